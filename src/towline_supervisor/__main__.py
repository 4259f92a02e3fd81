"""The command line of the process engine: `run FILE.toml` and `serve --socket PATH --logs DIR`."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from towline_supervisor import VERSION
from towline_supervisor.control import SocketError
from towline_supervisor.spec import SpecErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MISTAKES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; gives its exit status: 0 fine, 2 mistakes in the file or the options, 3 already serving."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options) if options.verb == "run" else _serve(options)
    except SpecErrors as errors:
        for where, sentence in errors.mistakes:
            _tell(f"{where}: {sentence}")
        return MISTAKES
    except SocketError as error:
        _tell(str(error))
        if error.hint:
            _tell(f"\nhint: {error.hint}")
        return error.status
    except OSError as error:
        _tell(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1


def _run(options: argparse.Namespace) -> int:
    from towline_supervisor.procfile import read_file
    from towline_supervisor.run import Printing, run

    procfile = read_file(options.file)
    if options.check:
        _tell(f"{options.file} is valid; start order: {', '.join(spec.name for spec in procfile.processes)}")
        return 0
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return run(procfile, Printing(json=options.json, colour=colour), options.socket)


def _serve(options: argparse.Namespace) -> int:
    from towline_supervisor.serve import Places, serve

    places = Places(options.socket.absolute(), options.logs.absolute(), options.state and options.state.absolute())
    announce = partial(print, flush=True)  # standard output is the interface
    return serve(places, announce, idle=options.idle)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="towline-supervisor", description="Runs a few processes as one.")
    parser.add_argument("--version", action="version", version=VERSION)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="run|serve")
    run = verbs.add_parser("run", help="run what a TOML file names, as PID 1 or in a terminal")
    run.add_argument("file", type=Path, metavar="FILE.toml")
    run.add_argument("--check", action="store_true", help="list all mistakes of the file and run nothing")
    run.add_argument("--json", action="store_true", help="print one JSON object a line")
    run.add_argument("--socket", type=Path, metavar="PATH", help="also listen on this control socket")
    serve = verbs.add_parser("serve", help="begin with nothing and do what clients of the control socket ask")
    serve.add_argument("--socket", type=Path, metavar="PATH", required=True)
    serve.add_argument("--logs", type=Path, metavar="DIR", required=True, help="folder for NAME.log, JSON lines")
    serve.add_argument("--state", type=Path, metavar="FILE", help="remember the processes, to end them after a SIGKILL")
    serve.add_argument("--idle", type=float, metavar="SECONDS", help="end if nothing was started within this time")
    return parser


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - this is the edge where talk leaves


if __name__ == "__main__":
    sys.exit(main())
