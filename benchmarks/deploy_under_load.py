"""Everything that changes an app on a host, again and again under load: no request fails, no WebSocket drops, no job is
lost.

An open loop of keep-alive requests asks the front door of a lab host all the time. Resets, timeouts (10 s) and every
other status than the right one count as failures, and below 95 % of the rate the run is void. Meanwhile, in turn and
ten times each: a new version, a changed variable, a rollback, more copies and fewer, another app that is added to the
host and taken away again. Two halves, each on a host of its own (`--only light`, `--only reference`):

light      GETs and POSTs of 200 bytes (half each) to a backend that does nothing, at 2,000 a second. 50 WebSockets
           are opened before each act, and have to answer after it.
reference  the reference app whole: API, workers, relay, sweeper, Postgres, Valkey and a bucket, at 300 requests a
           second. One in ten is a POST, one in 300 orders a picture. At the end every order has ended in one picture
           that is kept and paid for once, and there is no other.

Where this machine carries less, the rate is six tenths of what it carries when nothing else runs: client, doors,
backend and the deploys share its cores. `--room 1` asks for as much as it carries. `--requests`, `--times` and `--rate`
make a half shorter.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import websockets

import light_on_host
import reference_on_host
from figures import Goals, machine, table
from hosted import DOOR, Hosted, on_host
from load import Tally, To, echoes, open_loop_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from load import Ask

TIMES, ROOM = 10, 0.6
SOCKETS = 50
SETTLE = 3.0
TRIED = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.7)
"""What is tried to find what this machine carries, in parts of the wanted rate."""

OTHER = "other.example"


@dataclass(frozen=True)
class Wish:
    """Requests at least, their rate, how often each act is done, and the part of what is carried that is asked."""

    requests: int
    rate: float
    times: int
    room: float = ROOM


@dataclass
class Half:
    """An app under load, another one that comes and goes, and how often each act is done; `times` has their seconds.

    `quick` is how many seconds 99 of 100 answers may take at a rate that is carried.
    """

    app: Hosted
    other: Hosted
    service: str
    write: Callable[[Hosted, str, str], None]
    ask: Callable[[int], Ask]
    wish: Wish
    copies: int = 2
    quick: float = 0.1
    sockets: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def to(self) -> To:
        """Where its requests go."""
        return To(self.app.host.name, 80, self.app.host.ipv4)

    def of_round(self, number: int) -> list[tuple[str, Callable[[], float]]]:
        """One round of all acts."""
        app, other = self.app, self.other
        return [
            ("deploy", lambda: self._deployed(f"v{number}")),
            ("changed variable", lambda: self._deployed(f"v{number}", f"x{number}")),
            ("rollback", lambda: app.towline("rollback", "-t", "box")),
            ("scale up", lambda: app.towline("scale", "box", f"{self.service}={self.copies + 1}", "--yes")),
            ("scale down", lambda: app.towline("scale", "box", f"{self.service}={self.copies}", "--yes")),
            ("another app added", lambda: other.towline("deploy", "box", "--yes")),
            ("another app removed", lambda: other.towline("destroy", "box", "--name", "other/box")),
        ]

    def _deployed(self, version: str, extra: str = "") -> float:
        self.write(self.app, version, extra)
        return self.app.towline("deploy", "box", "--yes")


async def sockets_to(to: To, count: int) -> list[websockets.ClientConnection]:
    """New WebSockets through the front door."""
    uri = f"ws://{to.host}:{to.port}/"
    opened = (websockets.connect(uri, host=to.address, open_timeout=20, proxy=None) for _ in range(count))
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


async def carried(half: Half, rate: float) -> Tally:
    """The load at a rate for some seconds, with nothing else going on."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(SETTLE, stop.set)
    return await open_loop_to(half.to, rate=rate, stop=stop, ask=half.ask)


def full_rate(half: Half) -> float:
    """The highest of the tried rates that is carried: nothing fails, and 99 of 100 answers are quick."""
    best = TRIED[0] * half.wish.rate
    for rate in (part * half.wish.rate for part in TRIED):
        tally = asyncio.run(carried(half, rate))
        if tally.failed or tally.quantile(0.99) > half.quick or tally.rate < 0.97 * rate:
            break
        best = rate
    return best


async def under_load(half: Half, rate: float) -> tuple[Tally, int, int]:
    """All rounds under load, then more of it until there were enough requests; WebSockets opened, and lost."""
    stop, tally = asyncio.Event(), Tally()
    load = asyncio.create_task(open_loop_to(half.to, rate=rate, stop=stop, tally=tally, ask=half.ask))
    opened = lost = 0
    try:
        for number in range(half.wish.times):
            for name, act in half.of_round(number):
                sockets = await sockets_to(half.to, half.sockets)
                half.times.setdefault(name, []).append(await asyncio.to_thread(act))
                opened, lost = opened + len(sockets), lost + await ended(sockets)
                took = half.times[name][-1]
                print(f"{number + 1}. {name}: {took:.1f} s, {tally.failed} failed, {lost} lost", flush=True)
        while tally.sent < half.wish.requests:
            await asyncio.sleep(0.5)
    finally:
        stop.set()
        await load
    return tally, opened, lost


def measured(half: Half, goals: Goals, name: str) -> None:
    """One half under load, its table, and its goals."""
    began, full = time.monotonic(), full_rate(half)
    rate = min(half.wish.rate, half.wish.room * full)
    print(f"carried when nothing else runs: {full:.0f}/s; asked: {rate:.0f}/s", flush=True)
    tally, opened, lost = asyncio.run(under_load(half, rate))
    rows = [(name, str(len(times)), f"{sorted(times)[len(times) // 2]:.1f} s") for name, times in half.times.items()]
    table(("act", "times", "median"), rows)
    print(
        f"{tally.sent} requests, {tally.failed} failed {tally.failures or ''}; {tally.rate:.0f}/s of {rate:.0f}/s; "
        f"p50 {tally.quantile(0.5) * 1000:.0f} ms, p99 {tally.quantile(0.99) * 1000:.0f} ms, "
        f"worst {tally.quantile(1) * 1000:.0f} ms; {opened} WebSockets, {lost} lost; "
        f"{time.monotonic() - began:.0f} s in all"
    )
    goals.at_least(f"{name}_requests", float(tally.sent), "requests", half.wish.requests)
    goals.at_most(f"{name}_failed", float(tally.failed), "requests", 0)
    if half.sockets:
        goals.at_most(f"{name}_websockets_lost", float(lost), "sockets", 0)
    goals.at_least(f"{name}_rate_kept", tally.rate / rate, "ratio", 0.95)


def light(wish: Wish, goals: Goals) -> None:
    """A backend that does nothing: what is asked is the doors."""
    with on_host() as host:
        light_on_host.built(host)
        app, other = light_on_host.project(host, "light", None), light_on_host.project(host, "other", OTHER)
        app.towline("deploy", "box", "--yes")
        half = Half(app, other, "web", light_on_host.write, echoes(app.host.name), wish, sockets=SOCKETS)
        measured(half, goals, "light")


def reference(wish: Wish, goals: Goals) -> None:
    """The reference app whole: what is asked is the engine, and what becomes of its jobs."""
    with on_host() as host:
        light_on_host.built(host)
        made = reference_on_host.deployed(host)
        other = light_on_host.project(host, "other", OTHER)
        half = Half(made.app, other, "api", reference_on_host.write, made.ask, wish, copies=1, quick=0.5)
        measured(half, goals, "reference")
        found = made.outcome()
    print(f"{found.ordered} pictures ordered; {found.again} needed more than one attempt")
    goals.at_least("jobs", float(found.ordered), "jobs", wish.times)
    goals.at_most("lost_jobs", float(found.lost), "jobs", 0)
    goals.at_most("other_effects", float(found.other), "pictures", 0)


HALVES = {"light": (light, 1_000_000, 2000.0), "reference": (reference, 50_000, 300.0)}
"""Each half, with its requests at least and their rate."""


def wished() -> argparse.Namespace:
    """What the command line asks for."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", choices=sorted(HALVES))
    asked.add_argument("--requests", type=int)
    asked.add_argument("--times", type=int, default=TIMES)
    asked.add_argument("--rate", type=float)
    asked.add_argument("--room", type=float, default=ROOM)
    return asked.parse_args()


def main() -> int:
    """Measure and print."""
    wish, goals = wished(), Goals("deploy-under-load")
    machine(front_door=DOOR)
    for name, (half, requests, rate) in HALVES.items():
        if wish.only in (None, name):
            print(f"\n{name}", flush=True)
            half(Wish(wish.requests or requests, wish.rate or rate, wish.times, wish.room), goals)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
