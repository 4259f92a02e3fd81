"""How a process starts in an image: it is the one that gets SIGTERM, or something before it passes the signal on."""

from __future__ import annotations

import json

import pytest

from towline.artifacts.docker.start import Start, start_of
from towline.spec.model import Command
from towline.spec.stack import Stack

NODE = Stack(
    "node",
    "",
    "",
    scripts=("start", "start:prod", "worker", "guarded", "preguarded", "loop"),
    script_lines=(
        ("start", "npm run start:prod"),
        ("start:prod", "node dist/main.js"),
        ("worker", "NODE_OPTIONS=--no-warnings node dist/worker.js"),
        ("guarded", "node dist/guarded.js"),
        ("preguarded", "node check.js"),
        ("loop", "npm run loop"),
    ),
)
QUIET = Stack("python", "", "")


def line(text: str, stack: Stack = QUIET) -> Start:
    """How a shell line starts."""
    return start_of(Command(("/bin/sh", "-c", text), "run:"), stack)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("python -m worker", ("python", "-m", "worker")),
        ("uvicorn app:app --port $PORT", ("/bin/sh", "-c", "exec uvicorn app:app --port $PORT")),
        ("LEVEL=debug python app.py", ("/bin/sh", "-c", "LEVEL=debug exec python app.py")),
        ("exec python app.py --port $PORT", ("/bin/sh", "-c", "exec python app.py --port $PORT")),
        ("alembic upgrade head && python app.py", ("/bin/sh", "-c", "alembic upgrade head && exec python app.py")),
        ("a && b && c --x", ("/bin/sh", "-c", "a && b && exec c --x")),
    ],
)
def test_the_shell_gives_way(text: str, argv: tuple[str, ...]) -> None:
    """No shell stays between the container and the program, whatever line starts it."""
    assert line(text).argv == argv
    assert not line(text).all_of_it


@pytest.mark.parametrize(
    "text",
    ["python a.py | tee log", "python a.py & python b.py", "cd app && ./run.sh; echo done", "cd app", "a > log && b",
     "if x; then y; fi", "a && (b; c)", "echo 'a && b' && python app.py", "x || y"],
)  # fmt: skip
def test_a_line_that_nobody_can_tell_of_gets_its_signals_as_a_group(text: str) -> None:
    """Where the last program cannot be told, the line stays as it is, and the signal goes to all that it started."""
    start = line(text)
    assert start == Start(("/bin/sh", "-c", text), init=True, all_of_it=True)
    assert json.loads(start.instruction.removeprefix("CMD ")) == ["tini", "-g", "--", "/bin/sh", "-c", text]


def test_scripts_are_resolved() -> None:
    """npm is no process of the container: what its script runs is."""
    assert line("npm start", NODE).argv == ("node", "dist/main.js")
    assert start_of(Command(("npm", "run", "start"), "CMD"), NODE).argv == ("node", "dist/main.js")
    assert line("yarn worker", NODE).argv == ("/bin/sh", "-c", "NODE_OPTIONS=--no-warnings exec node dist/worker.js")


def test_a_script_with_another_around_it_is_npms() -> None:
    """What npm runs before a script is not left out, and a script that calls itself ends the search."""
    assert line("npm run guarded", NODE).argv == ("npm", "run", "guarded")
    assert line("npm run unknown", NODE).argv == ("npm", "run", "unknown")
    assert line("npm run loop", NODE).argv == ("npm", "run", "loop")


def test_something_passes_signals_on_only_where_it_has_to() -> None:
    """A server that is known to end on SIGTERM, or code that does something about it, is the first process itself."""
    handles = Stack("node", "", "", handles_term=True)
    assert line("python -m worker").init
    assert line("python -m worker").instruction == 'CMD ["tini", "--", "python", "-m", "worker"]'
    assert not line("uvicorn app:app --port $PORT").init
    assert not line("python -m uvicorn app:app").init
    assert not line("/opt/venv/bin/gunicorn app:app").init
    assert not start_of(Command(("node", "server.js"), "command:"), handles).init
    assert start_of(Command(("node", "server.js"), "command:"), QUIET).init
