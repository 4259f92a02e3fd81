"""Replace a web service 20 times under load and count what fails; then see how long WebSockets live.

The load is open loop, over 64 keep-alive connections, half GETs and half POSTs of 200 bytes. Its rate is found first:
six tenths of the highest that this machine carries without a deploy, since client, front door, backend and the deploys
share its cores. Resets, timeouts (10 s) and every status but 200 count as failures; below 95 % of the rate a run is
void. A replacement is an ordinary deploy after a change of one variable.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import websockets

import light_app
from figures import Goals, machine, table
from load import Tally, open_loop
from towline.core.events import ignore
from towline.ops.deploy import deploy, prepare
from towline.ops.down import down
from towline.ops.workspace import Workspace, open_workspace

SWAPS = 20
DRAIN = 4.0
ROOM = 0.6
"""Of the highest rate that is carried when nothing else runs: each deploy starts programs on the same cores."""
HOST = "web.light.localhost"


def replace(folder: Path, version: str) -> float:
    """Deploy another version; seconds."""
    light_app.write(folder, version, drain=f"{DRAIN:g}s")
    workspace = open_workspace(folder, "laptop")
    began = time.monotonic()
    deploy(workspace, prepare(workspace), ignore)
    return time.monotonic() - began


async def carried(port: int, rate: float, seconds: float) -> Tally:
    """The load at a rate for some seconds, with nothing else going on."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    return await open_loop(port, HOST, rate=rate, stop=stop)


def full_rate(port: int) -> float:
    """The highest of the tried rates that is carried: nothing fails, and 99 of 100 answers come within 100 ms."""
    best = 200.0
    for rate in (500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 4000.0):
        tally = asyncio.run(carried(port, rate, 3.0))
        if tally.failed or tally.quantile(0.99) > 0.1 or tally.rate < 0.97 * rate:
            break
        best = rate
    return best


async def under_load(folder: Path, port: int, rate: float) -> tuple[Tally, list[float]]:
    """Twenty replacements while the load goes on."""
    stop = asyncio.Event()
    loop, times = asyncio.get_running_loop(), list[float]()

    def replacements() -> None:
        try:
            times.extend(replace(folder, f"v{number}") for number in range(1, SWAPS + 1))
        finally:
            loop.call_soon_threadsafe(stop.set)

    thread = threading.Thread(target=replacements)
    thread.start()
    tally = await open_loop(port, HOST, rate=rate, stop=stop)
    thread.join()
    return tally, times


async def websocket_life(folder: Path, port: int) -> tuple[int, float]:
    """How many of 20 WebSockets outlive the shift, and how long after the deploy began the first one ended."""
    # The name is for the Host header; the connection goes to this machine, which Python would not look it up as.
    sockets = [await websockets.connect(f"ws://{HOST}:{port}/", host="127.0.0.1") for _ in range(20)]
    began = time.monotonic()
    thread = asyncio.create_task(asyncio.to_thread(replace, folder, "sockets"))
    alive, first_end = len(sockets), float("inf")
    while not thread.done():
        for socket in list(sockets):
            try:
                await socket.send("still here")
                await asyncio.wait_for(socket.recv(), 5)
            except (websockets.ConnectionClosed, TimeoutError):
                sockets.remove(socket)
                first_end = min(first_end, time.monotonic() - began)
        await asyncio.sleep(0.05)
    await thread
    return alive, first_end


def shifted_at(workspace: Workspace) -> float:
    """Seconds from the start of the last deploy to its confirmed shift, by the journal."""
    lines = [line for line in workspace.site.journal() if line.event in ("plan", "done")]
    plan = max(place for place, line in enumerate(lines) if line.event == "plan")
    kinds = [line.step.kind for line in lines[plan:] if line.step is not None]
    return sum(line.seconds for line in lines[plan + 1 : plan + 2 + kinds.index("confirm-shift")])


def main() -> int:
    """Measure and print."""
    machine(front_door="caddy 2.11.7")
    goals = Goals("swap")
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name) / "light"
        replace(folder, "v0")
        workspace = open_workspace(folder, "laptop")
        port = json.loads((workspace.home / "ports.json").read_text())["door"]
        try:
            rate = ROOM * full_rate(port)
            tally, times = asyncio.run(under_load(folder, port, rate))
            alive, first_end = asyncio.run(websocket_life(folder, port))
            shift = shifted_at(workspace)
        finally:
            down(workspace.standing, ignore)
    share = tally.rate / rate
    table(
        ("replacements", "requests", "failed", "rate asked", "rate carried", "p50", "p99", "worst", "median swap"),
        [
            (
                str(len(times)),
                str(tally.sent),
                f"{tally.failed} {tally.failures or ''}",
                f"{rate:.0f}/s",
                f"{tally.rate:.0f}/s",
                f"{tally.quantile(0.5) * 1000:.0f} ms",
                f"{tally.quantile(0.99) * 1000:.0f} ms",
                f"{tally.quantile(1) * 1000:.0f} ms",
                f"{sorted(times)[len(times) // 2]:.1f} s",
            )
        ],
    )
    print(f"{alive} WebSockets: shift after {shift:.1f} s, the first ended after {first_end:.1f} s (drain {DRAIN:g} s)")
    goals.at_least("replacements", float(len(times)), "swaps", SWAPS)
    goals.at_most("failed", float(tally.failed), "requests", 0)
    goals.at_least("rate_kept", share, "ratio", 0.95)
    goals.at_least("websockets_after_shift", first_end - shift, "s", DRAIN)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
