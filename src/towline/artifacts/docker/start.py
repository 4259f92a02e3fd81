"""How the process of a service starts in an image: so that it is the one that gets SIGTERM."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.spec.stacks.known import ENDS_ON_TERM

if TYPE_CHECKING:
    from towline.spec.model import Command
    from towline.spec.stack import Stack

_SCRIPT = re.compile(r"^(?:npm|pnpm|yarn)(?:\s+run)?\s+([\w:.-]+)$")
_SHELL = re.compile(r"[$`*?\[\]{}~#!()<>|&;\n\"'\\]")
_ASSIGNED = re.compile(r"^(?:[A-Za-z_]\w*=\S*\s+)+")
_BUILTIN = frozenset({"cd", "set", "export", "exec", "if", "for", "while", "test", ".", "source", "sh", "bash"})
_DEEPEST = 3
"""Scripts that call each other: `start` calls `start:prod` calls what runs."""


@dataclass(frozen=True)
class Start:
    """An argument list, and whether something before it has to pass signals on; `all_of_it` to the whole group."""

    argv: tuple[str, ...]
    init: bool
    all_of_it: bool = False

    @property
    def instruction(self) -> str:
        """The CMD, in the form that starts no shell around it."""
        before = ("tini", *(("-g",) if self.all_of_it else ()), "--") if self.init else ()
        return f"CMD {json.dumps([*before, *self.argv], ensure_ascii=False)}"


def start_of(command: Command, stack: Stack) -> Start:
    """How `command` starts: scripts of package.json resolved, and a shell that gives way to what it starts.

    As the first process of a container, a program that does nothing about SIGTERM would not even end by it.
    """
    line = _resolved(_line(command), stack)
    if line is None:
        return Start(command.argv, init=not _ends(command.argv[0], stack))
    if not _SHELL.search(line) and not _ASSIGNED.match(line) and line.split()[0] not in _BUILTIN:
        argv = tuple(shlex.split(line))
        return Start(argv, init=not _ends(argv[0], stack, argv))
    execed = _execed(line)
    if execed is None:
        return Start(("/bin/sh", "-c", line), init=True, all_of_it=True)
    last = _words(line.rsplit("&&", 1)[-1] if _is_chain(line) else line)
    return Start(("/bin/sh", "-c", execed), init=not _ends(last[0] if last else "", stack, last))


def _line(command: Command) -> str | None:
    """The shell line of a command; None for an argument list that no line is needed for."""
    argv = command.argv
    if len(argv) == 3 and argv[0].rsplit("/", 1)[-1] in ("sh", "bash") and argv[1] in ("-c", "-lc"):
        return argv[2].strip()
    return " ".join(argv) if _SCRIPT.match(" ".join(argv)) else None


def _resolved(line: str | None, stack: Stack) -> str | None:
    """The line with a call of a script replaced by what the script runs, unless another one runs around it."""
    for _ in range(_DEEPEST):
        match = _SCRIPT.match(line) if line is not None else None
        name = match[1] if match else ""
        script = stack.script(name)
        if script is None or {f"pre{name}", f"post{name}"} & set(stack.scripts):
            return line
        line = script.strip()
    return line


def _execed(line: str) -> str | None:
    """The line, in which the shell gives way to the last program; None where nobody can tell which one that is."""
    if _is_chain(line):
        before, _, last = line.rpartition("&&")
        execed = _execed(last.strip())
        return None if execed is None else f"{before.strip()} && {execed}"
    if re.search(r"[;|&<>\n`()]|\$\(", line):
        return None
    assigned = _ASSIGNED.match(line)
    rest = line[assigned.end() :] if assigned else line
    if rest.startswith("exec "):
        return line
    if not rest or rest.split()[0] in _BUILTIN:
        return None
    return f"{assigned[0] if assigned else ''}exec {rest}"


def _is_chain(line: str) -> bool:
    """Whether it is commands one after the other, and nothing in it could hide an `&&` or what comes of it."""
    return "&&" in line and not _SHELL.search(line.replace("&&", "").replace("$", ""))


def _words(line: str) -> tuple[str, ...]:
    rest = _ASSIGNED.sub("", line.strip()).removeprefix("exec ")
    return tuple(rest.split())


def _ends(program: str, stack: Stack, words: tuple[str, ...] = ()) -> bool:
    """Whether what is started does something about SIGTERM by itself."""
    names = {one.rsplit("/", 1)[-1] for one in (program, *words[:4])}
    return stack.handles_term or bool(names & ENDS_ON_TERM)
