"""Everything that changes an app on a host, again and again under load: no request fails, no WebSocket drops.

An open loop of keep-alive GETs and POSTs of 200 bytes (half each) asks the front door of a lab host all the time, at
2,000 a second or, where this machine carries less, at six tenths of what it carries when nothing else runs: client,
doors, backend and the deploys share its cores. Resets, timeouts (10 s) and every status but 200 count as failures, and
below 95 % of the rate the run is void. Meanwhile, in turn and ten times each: a new version, a changed variable, a
rollback, more copies and fewer, another app that is added to the host and taken away again. 50 WebSockets are opened
before each act, and have to answer after it. `--requests`, `--times` and `--rate` make it shorter.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import websockets

import light_app
from figures import Goals, machine, table
from hosted import BASE, DOOR, Hosted, on_host
from load import Tally, To, open_loop_to

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS, TIMES, RATE = 1_000_000, 10, 2000.0
ROOM = 0.6
SOCKETS = 50
IMAGE = "towline-light:1"
SETTLE = 3.0
TRIED = (200.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3350.0)

COMPOSE = """
services:
  web:
    image: {image}
    ports: ["8000:8000"]
    stop_grace_period: 10s
    environment: {{HOST: 0.0.0.0, PORT: "8000", VERSION: "{version}", EXTRA: "{extra}"}}
"""
PAGE = """
app: {app}
services:
  web: {{kind: web, ready: /, scale: 2, max_job: 60s}}
targets:
  box:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: near.conf, address: {address}{domain}}}
"""
OTHER = "other.example"


def write(app: Hosted, version: str, extra: str = "") -> None:
    """Another version, or another variable."""
    (app.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, version=version, extra=extra))


def project(app: Hosted, name: str, domain: str | None) -> Hosted:
    """The project of an app on the host."""
    folder = app.folder.parent / name
    folder.mkdir(exist_ok=True)
    for conf in ("direct.conf", "far.conf"):
        shutil.copy(app.folder / conf, folder / conf)
    # One authority for both: a machine's door that has to begin with certificates is another one.
    told = f", certificates: internal{f', domain: {domain}' if domain else ''}"
    page = PAGE.format(app=name, name=app.host.name, address=app.host.ipv4, domain=told)
    (folder / "towline.yaml").write_text(page)
    made = Hosted(folder, app.lab, app.host)
    write(made, "v0")
    return made


def built(app: Hosted) -> None:
    """The image of the light app, on the host."""
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        (context / "server.py").write_text(light_app.SERVER)
        (context / "Dockerfile").write_text(
            f"FROM {BASE}\nRUN python3 -m venv /v && /v/bin/pip install -q uvicorn websockets httptools uvloop\n"
            'COPY server.py /\nCMD ["/v/bin/python", "/server.py"]\n'
        )
        app.lab.docker.run("build", "-t", IMAGE, str(context), within=600)
    app.host.load(IMAGE, DOOR)


class Acts:
    """What is done to the app, in turn; each keeps its seconds."""

    def __init__(self, app: Hosted, other: Hosted) -> None:
        self._app, self._other = app, other
        self.times: dict[str, list[float]] = {}

    def of_round(self, number: int) -> list[tuple[str, Callable[[], float]]]:
        """One round of all."""
        app, other = self._app, self._other
        return [
            ("deploy", lambda: self._deployed(f"v{number}")),
            ("changed variable", lambda: self._deployed(f"v{number}", f"x{number}")),
            ("rollback", lambda: app.towline("rollback", "-t", "box")),
            ("scale up", lambda: app.towline("scale", "box", "web=3", "--yes")),
            ("scale down", lambda: app.towline("scale", "box", "web=2", "--yes")),
            ("another app added", lambda: other.towline("deploy", "box", "--yes")),
            ("another app removed", lambda: other.towline("destroy", "box", "--name", "other/box")),
        ]

    def _deployed(self, version: str, extra: str = "") -> float:
        write(self._app, version, extra)
        return self._app.towline("deploy", "box", "--yes")


async def sockets_to(to: To) -> list[websockets.ClientConnection]:
    """New WebSockets through the front door."""
    uri = f"ws://{to.host}:{to.port}/"
    opened = (websockets.connect(uri, host=to.address, open_timeout=20, proxy=None) for _ in range(SOCKETS))
    return list(await asyncio.gather(*opened))


async def ended(sockets: list[websockets.ClientConnection]) -> int:
    """How many do not answer any more; all are closed."""

    async def lost(socket: websockets.ClientConnection) -> bool:
        try:
            await socket.send("still here")
            return await asyncio.wait_for(socket.recv(), 10) != "still here"
        except (websockets.ConnectionClosed, TimeoutError):
            return True
        finally:
            await socket.close()

    return sum(await asyncio.gather(*(lost(one) for one in sockets)))


async def carried(to: To, rate: float) -> Tally:
    """The load at a rate for some seconds, with nothing else going on."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(SETTLE, stop.set)
    return await open_loop_to(to, rate=rate, stop=stop)


def full_rate(to: To) -> float:
    """The highest of the tried rates that is carried: nothing fails, and 99 of 100 answers come within 100 ms."""
    best = TRIED[0]
    for rate in TRIED:
        tally = asyncio.run(carried(to, rate))
        if tally.failed or tally.quantile(0.99) > 0.1 or tally.rate < 0.97 * rate:
            break
        best = rate
    return best


async def under_load(to: To, rate: float, acts: Acts, wish: argparse.Namespace) -> tuple[Tally, int, int]:
    """All rounds under load, then more of it until there were enough requests; WebSockets opened, and lost."""
    stop, tally = asyncio.Event(), Tally()
    load = asyncio.create_task(open_loop_to(to, rate=rate, stop=stop, tally=tally))
    opened = lost = 0
    try:
        for number in range(wish.times):
            for name, act in acts.of_round(number):
                sockets = await sockets_to(to)
                acts.times.setdefault(name, []).append(await asyncio.to_thread(act))
                opened, lost = opened + len(sockets), lost + await ended(sockets)
                took = acts.times[name][-1]
                print(f"{number + 1}. {name}: {took:.1f} s, {tally.failed} failed, {lost} lost", flush=True)
        while tally.sent < wish.requests:
            await asyncio.sleep(0.5)
    finally:
        stop.set()
        await load
    return tally, opened, lost


def wished() -> argparse.Namespace:
    """What the command line asks for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--requests", type=int, default=REQUESTS)
    asked.add_argument("--times", type=int, default=TIMES)
    asked.add_argument("--rate", type=float, default=RATE)
    return asked.parse_args()


def main() -> int:
    """Measure and print."""
    wish, began = wished(), time.monotonic()
    machine(front_door=DOOR)
    with on_host() as host:
        built(host)
        app, other = project(host, "light", None), project(host, "other", OTHER)
        app.towline("deploy", "box", "--yes")
        to = To(app.host.name, 80, app.host.ipv4)
        full = full_rate(to)
        rate = min(wish.rate, ROOM * full)
        print(f"carried when nothing else runs: {full:.0f}/s; asked: {rate:.0f}/s", flush=True)
        acts = Acts(app, other)
        tally, opened, lost = asyncio.run(under_load(to, rate, acts, wish))
    rows = [(name, str(len(times)), f"{sorted(times)[len(times) // 2]:.1f} s") for name, times in acts.times.items()]
    table(("act", "times", "median"), rows)
    print(
        f"{tally.sent} requests, {tally.failed} failed {tally.failures or ''}; {tally.rate:.0f}/s of {rate:.0f}/s; "
        f"p50 {tally.quantile(0.5) * 1000:.0f} ms, p99 {tally.quantile(0.99) * 1000:.0f} ms, "
        f"worst {tally.quantile(1) * 1000:.0f} ms; {opened} WebSockets, {lost} lost; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    goals = Goals("deploy-under-load")
    goals.at_least("requests", float(tally.sent), "requests", wish.requests)
    goals.at_most("failed", float(tally.failed), "requests", 0)
    goals.at_most("websockets_lost", float(lost), "sockets", 0)
    goals.at_least("rate_kept", tally.rate / rate, "ratio", 0.95)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
