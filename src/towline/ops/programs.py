"""Whether the programs that services start with are on this machine, and what to type where one is not."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from towline.artifacts.environment import path_of
from towline.core.errors import Finding
from towline.spec.checks.view import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.spec.checks.view import View
    from towline.spec.model import Service

INSTALL = {
    "python3": "sudo apt-get install -y python3 python3-venv",
    "python": "sudo apt-get install -y python3 python3-venv",
    "node": "sudo apt-get install -y nodejs npm",
    "npm": "sudo apt-get install -y nodejs npm",
    "npx": "sudo apt-get install -y nodejs npm",
    "go": "sudo apt-get install -y golang-go",
    "ruby": "sudo apt-get install -y ruby-full",
    "bundle": "sudo apt-get install -y ruby-full",
    "php": "sudo apt-get install -y php-cli",
    "java": "sudo apt-get install -y default-jre-headless",
}
"""What to type on Debian and Ubuntu for the programs that Compose files start most."""

SHELL_WORDS = frozenset({"exec", "cd", "set", "if", "test", "export", "true", "echo", "for", "while", "trap", "ulimit"})
"""What a shell knows by itself."""


def programs(view: View, service: Service, machine: Mapping[str, str]) -> Iterator[Finding]:
    """The first word of a service's command must be a program on its own PATH, unless `setup` will still bring it."""
    path = path_of(service.folder, machine)
    for key, line in (("setup", service.setup), ("build", service.build)):
        if view.sure(service.name, "cwd", key) and _missing(_first_word(line), path, service.folder):
            yield _no_program(view, service, _first_word(line), key)
    container = view.compose.container(service.name)
    ours = service.command is not None and service.command.source == "run:"
    if service.command is None or not (ours or (container is not None and container.build is not None)):
        return  # an image that is not built here brings its own programs
    if not view.sure(service.name, "cwd", "run", "command", "entrypoint", *KIND):
        return
    argv = service.command.argv
    word = _first_word(argv[2]) if argv[:2] == ("/bin/sh", "-c") else argv[0]
    if _missing(word, path, service.folder) and not _setup_pending(view, service):
        yield _no_program(view, service, word, {"run:": "run", "command:": "command"}.get(service.command.source, ""))


def _setup_pending(view: View, service: Service) -> bool:
    """Whether a `setup` of this code base may still bring a program; of a refused one nobody can tell."""
    around = [other for other in view.app.services if other.context == service.context]
    return any(other.setup is not None or not view.sure(other.name, "setup") for other in around)


def _first_word(line: str | None) -> str | None:
    """The program that a shell line starts with; None where only the shell can tell."""
    if line is None:
        return None
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    words = [word for word in words if "=" not in word.split("/")[0]]
    return words[0] if words and words[0].replace("-", "").replace(".", "").replace("/", "").isalnum() else None


def _missing(word: str | None, path: str, folder: Path) -> bool:
    """Whether there is no such program; of a folder that is not there its own finding tells."""
    if word is None or word in SHELL_WORDS or not folder.is_dir():
        return False
    return (shutil.which(word, path=path) if "/" not in word else shutil.which(str(folder / word))) is None


def _no_program(view: View, service: Service, word: str | None, key: str) -> Finding:
    program = Path(word or "").name
    return Finding(
        "no-program",
        f"service `{service.name}` starts `{word}`, and there is no such program here",
        where=view.at_service(service.name, key) if key else view.at_service(service.name),
        hint=INSTALL.get(program, f"install `{program}`, or say how the service gets it with `setup:`"),
    )
