"""The parser, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from pathlib import Path

# What is imported stays: looking through it for garbage again and again is a tenth of a command's start.
gc.disable()

import typer  # noqa: E402

from towline import __version__  # noqa: E402
from towline.cli.hints import with_targets  # noqa: E402
from towline.cli.show import Screen  # noqa: E402
from towline.core.errors import Defect, TowlineError  # noqa: E402

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C has ended: 128 and the number of SIGINT."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "local": ("up", "down"),
    "look": ("check", "status", "logs", "verify", "history", "exec"),
    "plan": ("plan",),
    "release": ("resume", "rollback"),
    "catalog": ("catalog",),
    "compare": ("compare",),
    "init": ("init",),
    "deploy": ("deploy",),
    "backup": ("backup", "restore"),
    "enter": ("run",),
    "operate": ("scale", "restart", "maintenance", "destroy"),
    "webhook": ("webhook",),
    "adopt": ("adopt",),
    "lab": ("lab",),
    "provision": ("provision",),
    "render": ("render",),
    "secrets": ("secrets",),
}
"""The modules of this package that hold commands, and the commands of each."""


def command_line(asked: str | None = None) -> typer.Typer:
    """The parser; with only the family that has the command `asked`, since loading all takes longer than most do."""
    app = typer.Typer(
        name="towline",
        help="One Compose file says what the app is, one page says where it runs.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback(invoke_without_command=True)(_towline)
    wanted = [name for name, commands in FAMILIES.items() if asked in commands] or list(FAMILIES)
    for name in wanted:
        import_module(f"towline.cli.{name}").add_to(app)
    with_targets(app)
    return app


def _towline(
    version: bool = typer.Option(False, "--version", help="Print the version and end.", is_eager=True),  # noqa: FBT003
) -> None:
    if version:
        sys.stdout.write(f"towline {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command line; every error of the tree becomes one message and its exit status."""
    # What stands behind `--` is somebody else's command.
    own = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
    screen = Screen(as_json="--json" in own)
    try:
        app = command_line(next(iter(sys.argv[1:]), None))
        gc.freeze()
        gc.enable()
        app()
    except TowlineError as error:
        screen.error(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        screen.quiet()
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has enough: `towline logs | head`. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception:  # noqa: BLE001 - the edge: what gets here is a mistake of ours, and is said so
        defect = _defect()
        screen.error(defect)
        sys.exit(defect.exit_status)


def _defect() -> Defect:
    """A defect whose traceback is kept in a private file; it could hold values, so it is not printed."""
    import tempfile
    import traceback

    descriptor, name = tempfile.mkstemp(prefix="towline-defect-", suffix=".txt")
    os.close(descriptor)
    Path(name).write_text(traceback.format_exc())
    return Defect(f"Towline itself made a mistake; the details are in {name}", hint="please report it, with that file")


if __name__ == "__main__":
    main()
