"""The command line of the runtime: migrate, run the roles, look at queues, and act on single jobs.

Exit codes: 0 done; 1 it could not be done (the database does not answer, no such job); 2 wrong arguments or settings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import asyncpg

from towline_runtime import logs, roles
from towline_runtime.database import AWAY
from towline_runtime.errors import Misused, RuntimeFault, SettingsInvalid
from towline_runtime.queue_commands import QUEUE_COMMANDS
from towline_runtime.reporting import flush_reports, install_reporting
from towline_runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

DONE, FAILED, WRONG = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; argparse itself ends the process with 2 for wrong arguments."""
    given = _parser().parse_args(arguments)
    try:
        settings = Settings.read(os.environ)
        logs.install(settings.service_name, settings.log_level, secrets=settings.secrets, stream=sys.stderr)
        if given.lasts:
            install_reporting(settings)
        _run(given.run(settings, given))
    except (SettingsInvalid, Misused) as error:
        return _tell(str(error), WRONG)
    except RuntimeFault as error:
        return _tell(str(error), FAILED)
    except (*AWAY, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        return _tell(f"The database does not answer: {reason}\n\nhint: check DATABASE_URL", FAILED)
    except KeyboardInterrupt:
        return FAILED
    finally:
        if given.lasts:
            flush_reports()
    return DONE


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        asyncio.run(coroutine)
        return
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(coroutine)


def _tell(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m towline_runtime",
        description="Background jobs: the address of the database is DATABASE_URL, of the doorbell DOORBELL_URL.",
        epilog="Exit codes: 0 done, 1 it could not be done, 2 wrong arguments or settings.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_roles(commands)
    _add_queue_commands(commands)
    return parser


def _add_roles(commands: Any) -> None:
    migrate = commands.add_parser("migrate", help="bring the tables up to date")
    migrate.set_defaults(run=roles.migrate, lasts=False)

    worker = commands.add_parser("worker", help="run jobs until SIGTERM")
    worker.add_argument("jobs", metavar="MODULE:JOBS", help="where the Jobs are, for instance app.jobs:jobs")
    worker.add_argument("--queues", type=_names, help="only these, for instance images,mail (default: all of JOBS)")
    worker.add_argument("--concurrency", type=_positive, help="jobs at once (default: WORKER_CONCURRENCY)")
    worker.add_argument("--name", help="the worker's name in the job table (default: host and process)")
    worker.add_argument(
        "--with",
        dest="beside",
        type=_beside,
        default=_beside("relay,sweeper"),
        help="roles to carry along: relay,sweeper (the default; of many workers one is active) or none",
    )
    worker.set_defaults(run=roles.worker, lasts=True)

    relay = commands.add_parser("relay", help="carry doorbells from the outbox until SIGTERM")
    relay.set_defaults(run=roles.relay, lasts=True)
    sweep = commands.add_parser("sweep", help="expire leases, ring again, forget old rows, until SIGTERM")
    sweep.set_defaults(run=roles.sweep, lasts=True)
    for role in (relay, sweep):
        source = role.add_mutually_exclusive_group(required=True)
        source.add_argument("jobs", metavar="MODULE:JOBS", nargs="?", help="serve the queues of these Jobs")
        source.add_argument("--queues", type=_names, help="serve these queues, for instance images,mail")


def _add_queue_commands(commands: Any) -> None:
    for name, command in QUEUE_COMMANDS.items():
        parser = commands.add_parser(name, help=command.help)
        parser.set_defaults(run=command.run, lasts=False)
        for flags, options in command.arguments:
            parser.add_argument(*flags, **options)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("names no queue")
    return names


def _beside(text: str) -> frozenset[str]:
    names = frozenset(_names(text)) - {"none"}
    if names - {"relay", "sweeper"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither relay, sweeper, both with a comma, nor none")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
