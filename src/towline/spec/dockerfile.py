"""What a Dockerfile says of the process it makes: command, variables, ports, of the stage that is built."""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
_WITH_BODY = re.compile(r"\s*(RUN|COPY|ADD)\s", re.IGNORECASE)
_DEFAULTED = re.compile(r"\$\{(\w+):?([-+])([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PORT = re.compile(r"(\d{1,5})(?:-\d{1,5})?(?:/tcp)?")

# They describe the inside of the image; outside of it they would lead a process astray.
_OF_THE_IMAGE = frozenset({"PATH", "VIRTUAL_ENV", "PYTHONHOME", "HOME", "LD_LIBRARY_PATH"})


@dataclass(frozen=True)
class Recipe:
    """What one stage ends up with. `entrypoint` and `command` are argument lists, shell form already wrapped.

    `entry_is_shell`: the entrypoint was written in shell form, which takes no arguments. `base` is the image below, as
    written: its variables stay variables. Whatever may hold the value of one is left out of the repr. `copies` are what
    it takes from the build context, in order: each path as written, and where it goes.
    """

    base: str | None = None
    entrypoint: tuple[str, ...] = field(default=(), repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    entry_is_shell: bool = False
    environment: dict[str, Secret] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    workdir: str | None = field(default=None, repr=False)
    stop_signal: str | None = field(default=None, repr=False)
    copies: tuple[tuple[str, str], ...] = ()


def read_dockerfile(content: bytes, *, stage: str | None = None, args: Mapping[str, Secret] | None = None) -> Recipe:
    """The Recipe of `stage` (a name or a number), else of the last stage; what cannot be understood is left out.

    `args` are build arguments; they go before the defaults of ARG.
    """
    given = {name: secret.reveal() for name, secret in (args or {}).items()}
    stages: dict[str, _Stage] = {}
    outside: dict[str, str] = {}
    current: _Stage | None = None
    for word, value in _instructions(content):
        if word == "FROM":
            image, name = _from(value)
            current = _Stage.on(image, stages, outside, given)
            stages[(name or str(len(stages))).lower()] = current
        elif current is not None:
            current.take(word, value)
        elif word == "ARG":
            outside |= {name: given.get(name, text) for name, text in _pairs(value, outside).items()}
    return _asked_for(stages, stage).recipe() if stages else Recipe()


def joined(recipe: Recipe, *, command: tuple[str, ...] | None, entrypoint: tuple[str, ...] | None) -> tuple[str, ...]:
    """The argument list that a container runs: Compose's `command` and `entrypoint` over those of the image.

    As in Docker's own merge, an entrypoint from Compose drops the image's CMD, an empty one drops only ENTRYPOINT.
    """
    if entrypoint:
        return (*entrypoint, *(command or ()))
    arguments = command or recipe.command
    if entrypoint is not None:
        return arguments
    return recipe.entrypoint if recipe.entry_is_shell else (*recipe.entrypoint, *arguments)


def _asked_for(stages: dict[str, _Stage], stage: str | None) -> _Stage:
    if stage is not None and stage.lower() in stages:
        return stages[stage.lower()]
    numbered = list(stages.values())
    if stage is not None and stage.isdigit() and int(stage) < len(numbered):
        return numbered[int(stage)]
    return numbered[-1]


class _Stage:
    """One stage while its instructions are read, in plain values; `recipe` closes it."""

    def __init__(self, base: str, outside: Mapping[str, str], given: Mapping[str, str]) -> None:
        self.base, self.outside, self.given = base, outside, given
        self.shell: tuple[str, ...] = ("/bin/sh", "-c")
        self.entrypoint: tuple[str, ...] = ()
        self.command: tuple[str, ...] = ()
        self.entry_is_shell = self.has_own_command = False
        self.variables: dict[str, str] = {}
        self.arguments: dict[str, str] = {}
        self.ports: list[int] = []
        self.copies: list[tuple[str, str]] = []
        self.workdir: str | None = None
        self.stop_signal: str | None = None

    @classmethod
    def on(
        cls, image: str, stages: Mapping[str, _Stage], outside: Mapping[str, str], given: Mapping[str, str]
    ) -> _Stage:
        """A new stage on an image, or on an earlier stage, whose settings (not arguments) it inherits."""
        below = stages.get(_expanded(image, outside).lower())
        made = cls(image if below is None else below.base, outside, given)
        if below is not None:
            made.entrypoint, made.command, made.entry_is_shell = below.entrypoint, below.command, below.entry_is_shell
            made.variables, made.ports, made.copies = dict(below.variables), list(below.ports), list(below.copies)
            made.workdir, made.stop_signal, made.shell = below.workdir, below.stop_signal, below.shell
        return made

    def take(self, word: str, value: str) -> None:
        """Apply one instruction; those that say nothing of the process are passed over."""
        handler = _HANDLERS.get(word)
        if handler is not None:
            handler(self, value)

    @property
    def scope(self) -> dict[str, str]:
        """What `$NAME` can mean: ENV before ARG."""
        return {**self.arguments, **self.variables}

    def take_env(self, value: str) -> None:
        self.variables |= _pairs(value, self.scope)

    def take_arg(self, value: str) -> None:
        """An ARG without a default takes its value from the build or from the ARG above the first FROM."""
        if "=" not in value:
            known = {**self.outside, **self.given}
            self.arguments |= {name: known[name] for name in value.split() if name in known}
            return
        self.arguments |= {name: self.given.get(name, text) for name, text in _pairs(value, self.scope).items()}

    def take_cmd(self, value: str) -> None:
        self.command, self.has_own_command = self._argv(value)[0], True

    def take_entrypoint(self, value: str) -> None:
        self.entrypoint, self.entry_is_shell = self._argv(value)
        if not self.has_own_command:
            self.command = ()

    def take_shell(self, value: str) -> None:
        self.shell = _exec_form(value) or self.shell

    def take_expose(self, value: str) -> None:
        for word in _expanded(value, self.scope).split():
            match = _PORT.fullmatch(word)
            if match and int(match[1]) not in self.ports:
                self.ports.append(int(match[1]))

    def take_workdir(self, value: str) -> None:
        folder = _expanded(value, self.scope).strip("\"'")
        self.workdir = folder if folder.startswith("/") else f"{self.workdir or ''}/{folder}"

    def take_copy(self, value: str) -> None:
        """What comes from another stage or image is none of the context's, nor is the body of a here-document."""
        words = [word for word in value.split() if not word.startswith("--")]
        words = list(_exec_form(" ".join(words)) or words)
        elsewhere = any(word.startswith("--from") for word in value.split())
        if elsewhere or len(words) < 2 or any("://" in word for word in words):
            return
        *sources, target = (_expanded(word, self.scope) for word in words)
        place = target if target.startswith("/") else f"{self.workdir or ''}/{target}"
        self.copies += [(source, place) for source in sources]

    def take_stopsignal(self, value: str) -> None:
        self.stop_signal = _expanded(value, self.scope)

    def _argv(self, value: str) -> tuple[tuple[str, ...], bool]:
        listed = _exec_form(value) if value.strip() else ()
        return (listed, False) if listed is not None else ((*self.shell, value.strip()), True)

    def recipe(self) -> Recipe:
        """The finished value; variables become Secrets here."""
        named = {name: text for name, text in self.variables.items() if _NAME.fullmatch(name)}
        kept = {name: Secret(text) for name, text in sorted(named.items()) if name not in _OF_THE_IMAGE}
        return Recipe(
            base=self.base,
            entrypoint=self.entrypoint,
            command=self.command,
            entry_is_shell=self.entry_is_shell,
            environment=kept,
            ports=tuple(self.ports),
            workdir=self.workdir,
            stop_signal=self.stop_signal,
            copies=tuple(self.copies),
        )


_HANDLERS: dict[str, Callable[[_Stage, str], None]] = {
    "ENV": _Stage.take_env,
    "ARG": _Stage.take_arg,
    "ADD": _Stage.take_copy,
    "CMD": _Stage.take_cmd,
    "COPY": _Stage.take_copy,
    "ENTRYPOINT": _Stage.take_entrypoint,
    "SHELL": _Stage.take_shell,
    "EXPOSE": _Stage.take_expose,
    "WORKDIR": _Stage.take_workdir,
    "STOPSIGNAL": _Stage.take_stopsignal,
}


def _instructions(content: bytes) -> Iterator[tuple[str, str]]:
    from dockerfile_parse import DockerfileParser

    # The library logs what it reads, values included; nobody shall switch that on by the way.
    logging.getLogger("dockerfile_parse").setLevel(logging.CRITICAL)
    text = _without_bodies(content.decode("utf-8", errors="replace"))
    parser: Any = DockerfileParser(fileobj=io.BytesIO(text.encode()), env_replace=False)
    for instruction in parser.structure:
        yield instruction["instruction"], instruction["value"]


def _without_bodies(text: str) -> str:
    """The file without the bodies of its here-documents, whose lines may look like instructions."""
    kept: list[str] = []
    awaited: list[str] = []
    for line in text.splitlines():
        if awaited:
            if line.strip() == awaited[0]:
                awaited.pop(0)
            continue
        kept.append(_HEREDOC.sub("", line) if _WITH_BODY.match(line) else line)
        if _WITH_BODY.match(line):
            awaited = [match[1] for match in _HEREDOC.findall(line)]
    return "\n".join(kept) + "\n"


def _from(value: str) -> tuple[str, str | None]:
    from dockerfile_parse.parser import image_from

    image, name = image_from(value)
    return image or "scratch", name


def _pairs(value: str, scope: Mapping[str, str]) -> dict[str, str]:
    """The names and values of an ENV or ARG line."""
    from dockerfile_parse.util import extract_key_values

    try:
        found = extract_key_values(True, {}, dict(scope), _with_defaults(value, scope))  # noqa: FBT003
    except (ValueError, IndexError):
        return {}
    return {str(name): str(text) for name, text in found}


def _with_defaults(value: str, scope: Mapping[str, str]) -> str:
    """`${NAME:-other}` and `${NAME:+other}` resolved; the library knows only `$NAME` and `${NAME}`."""

    def chosen(match: re.Match[str]) -> str:
        there = scope.get(match[1], "")
        return (match[3] if there else "") if match[2] == "+" else (there or match[3])

    return _DEFAULTED.sub(chosen, value)


def _expanded(value: str, scope: Mapping[str, str]) -> str:
    text = _with_defaults(value, scope)
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: scope.get(match[1] or match[2], ""), text)


def _exec_form(value: str) -> tuple[str, ...] | None:
    """The list of the JSON form; None when this is the shell form."""
    try:
        words = json.loads(value)
    except ValueError:
        return None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return None
