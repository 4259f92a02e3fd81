"""Commands that look at queues and act on single jobs, each one short transaction."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from towline_runtime.database import Database
from towline_runtime.errors import Misused, RuntimeFault

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from towline_runtime.settings import Settings

MOST_DEAD = 100_000  # dead letters that one command prints or replays
AT_ONCE = 1000
PROGRAM = "python -m towline_runtime"
PAUSED = True


@dataclass(frozen=True)
class QueueCommand:
    """One command: what it does, in words and in code, and its arguments as argparse takes them."""

    help: str
    run: Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, None]]
    arguments: Sequence[tuple[Sequence[str], Mapping[str, Any]]] = ()


async def status(settings: Settings, given: argparse.Namespace) -> None:
    """Print depth and age of each queue, and who holds which lease."""
    async with _database(settings) as database:
        queues = [dict(row) for row in await database.fetch("status")]
        leases = [dict(row) for row in await database.fetch("leases")]
    if given.json:
        _print_json({"queues": queues, "leases": leases})
        return
    _print_table([_shown(one) for one in queues], "no queue yet")
    sys.stdout.write("\n")
    _print_table([one | {"seconds_left": round(one["seconds_left"], 1)} for one in leases], "no lease is held")


async def dead(settings: Settings, given: argparse.Namespace) -> None:
    """Print dead letters, the latest first."""
    async with _database(settings) as database:
        rows = [dict(row) for row in await database.fetch("dead_letters", given.queue, given.most)]
    if given.json:
        _print_json(rows)
        return
    shown = ("id", "kind", "queue", "attempt", "finished_at", "error")
    _print_table([{name: _short(row[name]) for name in shown} for row in rows], "no dead letters")


async def replay(settings: Settings, given: argparse.Namespace) -> None:
    """Give dead or cancelled jobs all their attempts again, and print their ids."""
    if bool(given.ids) == bool(given.queue):
        raise Misused("Name either jobs or a queue", f"{PROGRAM} replay 17 18, or: {PROGRAM} replay --queue images")
    async with _database(settings) as database:
        ids = given.ids or [row["id"] for row in await database.fetch("dead_letters", given.queue, MOST_DEAD)]
        back: list[int] = []
        for start in range(0, len(ids), AT_ONCE):
            rows = await database.fetch("replay", ids[start : start + AT_ONCE])
            back += [row["id"] for row in rows]
    sys.stdout.write("".join(f"{id_}\n" for id_ in sorted(back)))
    left = sorted(set(given.ids) - set(back))
    if left:
        raise RuntimeFault(f"Neither dead nor cancelled: {', '.join(map(str, left))}", f"{PROGRAM} view {left[0]}")


async def cancel(settings: Settings, given: argparse.Namespace) -> None:
    """End a job that waits; tell one that runs to stop."""
    async with _database(settings) as database:
        rows = await database.fetch("ask_cancel", given.id)
    if not rows:
        raise RuntimeFault(f"Job {given.id} neither waits nor runs", f"{PROGRAM} view {given.id}")
    sys.stdout.write("cancelled\n" if rows[0]["state"] == "cancelled" else "asked to stop\n")


async def pause(settings: Settings, given: argparse.Namespace) -> None:
    """Start no more jobs of a queue; those that run go on."""
    async with _database(settings) as database:
        await database.fetch("pause_queue", given.queue, PAUSED)


async def resume(settings: Settings, given: argparse.Namespace) -> None:
    """Start jobs of a paused queue again."""
    async with _database(settings) as database:
        await database.fetch("pause_queue", given.queue, not PAUSED)


async def view(settings: Settings, given: argparse.Namespace) -> None:
    """Print one job, without its payload."""
    async with _database(settings) as database:
        rows = await database.fetch("view", [given.id])
    if not rows:
        raise RuntimeFault(f"There is no job {given.id}", "rows of ended jobs are forgotten after some days")
    job = dict(rows[0])
    for name in ("progress", "result"):
        job[name] = None if job[name] is None else json.loads(job[name])
    if given.json:
        _print_json(job)
        return
    told = [(name, value) for name, value in job.items() if value is not None]
    sys.stdout.write("".join(f"{name:<15} {value}\n" for name, value in told))


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    async with Database.open(settings.database_url, most=1, pooled=settings.database_pooled) as database:
        yield database


def _print_json(value: Any) -> None:
    sys.stdout.write(f"{json.dumps(value, default=str)}\n")


def _print_table(rows: Sequence[Mapping[str, Any]], otherwise: str) -> None:
    if not rows:
        sys.stdout.write(f"{otherwise}\n")
        return
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(f"{text.rstrip()}\n")


def _shown(queue: Mapping[str, Any]) -> dict[str, Any]:
    paused = "yes" if queue["paused"] else "no"
    return {**queue, "paused": paused, "oldest_seconds": round(queue["oldest_seconds"], 1)}


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:79]}…"


_JSON = (("--json",), {"action": "store_true", "help": "as JSON"})
_ID = (("id",), {"type": int, "metavar": "ID"})
_QUEUE = (("queue",), {"metavar": "QUEUE"})
_MOST = (("--most",), {"type": int, "default": 100, "help": "at most so many (default: 100)"})
_OF_QUEUE = (("--queue",), {"help": "of this queue only"})

QUEUE_COMMANDS = {
    "status": QueueCommand("depth and age of the queues, and who holds which lease", status, [_JSON]),
    "dead": QueueCommand("dead letters, the latest first", dead, [_OF_QUEUE, _MOST, _JSON]),
    "replay": QueueCommand(
        "give dead or cancelled jobs all their attempts again",
        replay,
        [
            (("ids",), {"type": int, "metavar": "ID", "nargs": "*"}),
            (("--queue",), {"help": "all dead ones of a queue"}),
        ],
    ),
    "cancel": QueueCommand("end a job that waits, tell one that runs to stop", cancel, [_ID]),
    "pause": QueueCommand("start no more jobs of a queue", pause, [_QUEUE]),
    "resume": QueueCommand("start jobs of a paused queue again", resume, [_QUEUE]),
    "view": QueueCommand("one job, without its payload", view, [_ID, _JSON]),
}
