"""The file that tells the supervisor which processes one container runs: order, readiness, limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.artifacts.docker import node, python
from towline.artifacts.docker.start import start_of
from towline.artifacts.variables import on_a_server
from towline.spec.service import host_label

if TYPE_CHECKING:
    from towline.artifacts.docker.place import Place
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service

PORT = "{PORT}"
"""Stands for the port of the container, which the platform chooses: start.py puts it in."""

MEMORY = 512 * 2**20
"""Bytes of the smallest container that platforms have, and the only one that is free."""

RESERVE = 52 * 2**20
"""Bytes of it for the supervisor (12 MB), and for what a process takes between two looks at it (1 s)."""

RELEASE = "release"
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEAP = 0.75
"""How much of its memory Node may fill with objects; it takes more for itself."""


@dataclass(frozen=True)
class Inside:
    """What runs in the container, in the order of the app. `lead` takes the requests that come to it."""

    material: Material
    places: tuple[Place, ...]
    lead: Service

    def place(self, name: str) -> Place | None:
        """The place of one service, None when it is elsewhere."""
        return next((one for one in self.places if one.service.name == name), None)

    def port(self, service: Service) -> str:
        """Where a service listens, as text in the file."""
        moves = service.name == self.lead.name and service.port_variable is not None
        return PORT if moves else str(service.port)

    @property
    def default_port(self) -> int:
        """The port of the container where nobody chooses one."""
        return self.lead.port or 8080


def processes(inside: Inside) -> str:
    """The whole file."""
    tables = [_process(inside, place) for place in inside.places]
    release = _release(inside)
    head = [
        f"# The processes of {inside.material.app.name}, which share one container.",
        f"# {PORT} is the port that the platform gives it, else {inside.default_port}: start.py puts it in.",
        f"name = {_text(inside.material.app.name)}",
        "",
        "[limit]",
        "# Over it, the largest process that is not vital starts anew, before the platform ends the whole container.",
        f"memory = {_text(_size(_limit(inside)))}",
    ]
    return "\n".join(["\n".join(table) for table in (head, *([release] if release else []), *tables)]) + "\n"


def _process(inside: Inside, place: Place) -> list[str]:
    service = place.service
    lines = ["", f"[process.{process_name(service)}]", *_starts(place, service.command.argv if service.command else ())]
    after = _after(inside, service)
    if after:
        lines.append(f"after = {_list(after)}")
    lines += [f"env = {_table(_environment(inside, place))}", *_ready(inside, service)]
    if service.kind == "web":
        lines += [
            "# Without it nobody is served: when it ends, the container ends, and the platform starts a fresh one."
        ]
        lines += ["vital = true"]
    lines.append(_stop(place))
    if service.memory is not None and service.kind != "web":
        lines.append(f"memory = {_text(_size(service.memory))}")
    return lines


def _starts(place: Place, argv: tuple[str, ...]) -> list[str]:
    command = start_of(place.service.command, place.stack).argv if place.service.command else argv
    return [f"command = {_list(command)}", f"cwd = {_text(place.folder)}"]


def _release(inside: Inside) -> list[str]:
    """The release command: it is safe to run twice, so it runs at every start, before everything else."""
    release = inside.material.app.release
    place = inside.place(release.service) if release is not None else None
    if release is None or place is None:
        return []
    return [
        "",
        "# What every release runs before the new version serves. It runs at each start, and is safe to run twice.",
        f"[process.{RELEASE}]",
        f"command = {_list(release.command)}",
        f"cwd = {_text(place.folder)}",
        f"env = {_table(_environment(inside, place))}",
        'restart = "never"',
        "# The others wait until it has ended, and not only until it has lived for a moment.",
        f"settle = {release.within:g}",
    ]


def _after(inside: Inside, service: Service) -> tuple[str, ...]:
    """What must be ready first: what the app says, the release, and for a worker everything that it may ask."""
    named = {other for other in service.after if inside.place(other) is not None}
    if service.kind == "worker":
        named |= {one.service.name for one in inside.places if one.service.kind in ("web", "private")}
        named -= {other for other in named if service.name in _needs(inside, other)}
    released = (RELEASE,) if _release(inside) else ()
    order = [one.service for one in inside.places if one.service.name in named]
    return (*released, *(process_name(one) for one in order))


def _needs(inside: Inside, name: str) -> frozenset[str]:
    """Everything that a service waits for, and what that waits for."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        place = inside.place(waiting.pop())
        new = set(place.service.after if place else ()) - found
        found |= new
        waiting += sorted(new)
    return frozenset(found)


def process_name(service: Service) -> str:
    """The name of its process; `release` and `supervisor` are taken."""
    name = host_label(service.name)
    return f"{name}-service" if name in (RELEASE, "supervisor") else name


def _environment(inside: Inside, place: Place) -> dict[str, str]:
    """What only this process is told: its programs, its port, the addresses of its neighbours, its share of memory."""
    service = place.service
    of_node = place.stack.language == "node"
    programs = node.programs(place) if of_node else f"{python.environment_of(place)}/bin"
    told = {"PATH": f"{programs}:{_SYSTEM}"}
    if service.port is not None:
        # Only the container's own port is for the outside.
        told["HOST"] = "0.0.0.0" if service.name == inside.lead.name else "127.0.0.1"  # noqa: S104 - in a container
        told |= {service.port_variable: inside.port(service)} if service.port_variable else {}
    if of_node and service.memory is not None:
        told["NODE_OPTIONS"] = f"--max-old-space-size={int(service.memory / 2**20 * _HEAP)}"
    return {**told, **_own(inside, place), **_neighbours(inside, place)}


def _own(inside: Inside, place: Place) -> dict[str, str]:
    """Values of the Compose file that another process of the container has otherwise."""
    found: dict[str, str] = {}
    for variable in map(on_a_server, place.variables):
        others = [one for other in inside.places for one in other.variables if one.name == variable.name]
        shared = {on_a_server(one).value for one in others} == {variable.value}
        if variable.value is not None and not shared and variable.name != place.service.port_variable:
            found[variable.name] = variable.value
    return found


def _neighbours(inside: Inside, place: Place) -> dict[str, str]:
    found: dict[str, str] = {}
    for variable in place.variables:
        of, _, attribute = (variable.reference or "").rpartition(".")
        there = inside.place(of)
        if there is None or attribute == "url":
            continue
        port = inside.port(there.service)
        known = {"host": "127.0.0.1", "port": port, "internal_url": f"http://127.0.0.1:{port}"}
        found[variable.name] = known[attribute]
    return found


def _ready(inside: Inside, service: Service) -> list[str]:
    if service.port is None:
        return []
    address = f"127.0.0.1:{inside.port(service)}"
    kind, where = ("http", f"http://{address}{service.health.path}") if service.health.path else ("tcp", address)
    return [f"ready = {{ {kind} = {_text(where)}, within = {service.health.within:g} }}"]


def _stop(place: Place) -> str:
    command = place.service.command
    group = command is not None and start_of(command, place.stack).all_of_it
    parts = [f'signal = "{place.service.stop_signal}"', f"within = {place.service.max_job:g}"]
    return f"stop = {{ {', '.join((*parts, *(('group = true',) if group else ())))} }}"


def _limit(inside: Inside) -> int:
    """The memory of all processes together: what the smallest container leaves, or what they are promised."""
    promised = sum(one.service.memory or 0 for one in inside.places)
    return max(MEMORY - RESERVE, promised)


def _size(count: int) -> str:
    return f"{count // 2**20}MiB" if count % 2**20 == 0 else f"{count // 10**6}MB" if count % 10**6 == 0 else str(count)


def _list(words: tuple[str, ...]) -> str:
    return f"[{', '.join(_text(word) for word in words)}]"


def _table(values: dict[str, str]) -> str:
    return f"{{ {', '.join(f'{name} = {_text(value)}' for name, value in values.items())} }}"


def _text(value: str) -> str:
    """A text as TOML reads it: JSON's notation, but for the one letter that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
