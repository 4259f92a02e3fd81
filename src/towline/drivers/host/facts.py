"""What one program sees on a host, read into facts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from towline.artifacts.images import architecture_of
from towline.core.secret import Secret
from towline.drivers.host.container_facts import instances_in, stores_in, upstreams_in
from towline.drivers.host.images import images_in
from towline.drivers.host.machine_door import machine_door_in, names_in
from towline.steps.model import Facts, Room
from towline.steps.past import releases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.steps.model import Line

FIRST_PORT: Final = 20000
_LAST_PORT: Final = 29999
_ROOM_PORTS: Final = 64


def seen_in(text: str) -> dict[str, list[str]]:
    """By word, what `observe.sh` prints: lines `WORD REST`. Words of a later version may be among them."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest)
    return found


def facts_of(site: str, found: Mapping[str, Sequence[str]], lines: tuple[Line, ...], now: float = 0.0) -> Facts:
    """The facts in what was seen, and in the journal; `now` is what the clock here says (seconds, Unix)."""
    tasks = [json.loads(text) for text in found.get("task", ())]
    finished, begun = releases(lines)
    names, taken = names_in(found.get("own", ()), found.get("taken", ()))
    return Facts(
        site=site,
        instances=instances_in(
            found.get("container", ()),
            frozenset(found.get("ready", ())),
            frozenset(one.partition(" ")[0] for one in found.get("leaving", ())),
        ),
        stores=stores_in(found.get("volume", ()), found.get("container", ())),
        upstreams=upstreams_in(found.get("slot", ())),
        door=next(iter(found.get("door", ())), None),
        link=next(iter(found.get("link", ())), None),
        link_key=next(iter(found.get("link_key", ())), ""),
        tasks={str(one["name"]): str(one["marker"]) for one in tasks},
        releases=finished,
        images=images_in(found.get("image", ())),
        architecture=architecture_of(next(iter(found.get("machine", ())), "")),
        begun=begun,
        names=names,
        taken=taken,
        led_to=next(iter(found.get("leads", ())), None),
        machine_door=machine_door_in(found.get("machine-door", ())),
        room=Room(
            disk_free=int(found["disk"][0]),
            memory_free=int(found["memory"][0]) * 1024,
            ports=_free_ports(found.get("listens", ())),
            **_ground(found, now),
        ),
        salt=Secret(found["salt"][0]),
    )


def _ground(found: Mapping[str, Sequence[str]], now: float) -> dict[str, Any]:
    """The engine, the clock, and who listens where a door would."""
    version, _, api = next(iter(found.get("engine", ())), "").partition(" ")
    clock = next(iter(found.get("clock", ())), "")
    holders = (line.partition(" ") for line in found.get("holds", ()))
    return {
        "engine": version,
        "api": api,
        "skew": float(clock) - now if clock else 0.0,
        "holders": {int(port): who for port, _, who in holders},
    }


def _free_ports(listened: Sequence[str]) -> tuple[int, ...]:
    """Ports on which nobody listens, from lines of /proc/net/tcp: the local address is `HEX:PORT`."""
    taken = {int(one.rsplit(":", 1)[1], 16) for one in listened}
    free = (port for port in range(FIRST_PORT, _LAST_PORT + 1) if port not in taken)
    return tuple(port for port, _ in zip(free, range(_ROOM_PORTS), strict=False))
