"""A hint is a command to type: it gets the target that was asked for, wherever it was written without one."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Final

from towline.cli.options import LAPTOP
from towline.core.errors import Findings, TowlineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

_BY_OPTION: Final = re.compile(
    r"\b(towline (?:check|exec|history|logs|resume|rollback|status|verify)(?: (?!and\b|or\b)\w[\w.]*)*)"
    r"(?![^\n,;|&]*(?: -t\b| --target\b))(?![\w.])"
)
_BY_PLACE: Final = re.compile(
    r"\b(towline (?:adopt|backup|deploy|destroy|plan|restart|restore|scale))(?=$|[\n.,;:)`]|  )"
)
_STANDS_FOR_IT: Final = re.compile(r"\bTARGET\b")


def for_target(hint: str | None, target: str) -> str | None:
    """The hint for somebody who works on that target; as it is for the one that needs no name."""
    if hint is None or target in ("", LAPTOP):
        return hint
    named = _BY_OPTION.sub(rf"\1 -t {target}", hint)
    return _STANDS_FOR_IT.sub(target, _BY_PLACE.sub(rf"\1 {target}", named))


def in_json(plain: object, target: str) -> object:
    """The same document, with its hints for that target."""
    if isinstance(plain, dict):
        return {
            key: for_target(value, target) if key == "hint" and isinstance(value, str) else in_json(value, target)
            for key, value in plain.items()
        }
    return [in_json(one, target) for one in plain] if isinstance(plain, (list, tuple)) else plain


def with_targets(app: typer.Typer) -> None:
    """Have every command of a parser, and of the groups in it, name its target in the hints of its errors."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _naming(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_targets(group.typer_instance)


def _naming(command: Callable[..., object]) -> Callable[..., object]:
    @wraps(command)
    def called(*words: object, **options: object) -> object:
        try:
            return command(*words, **options)
        except TowlineError as error:
            _name(error, str(options.get("which") or options.get("target") or ""))
            raise

    return called


def _name(error: TowlineError, target: str) -> None:
    error.hint = for_target(error.hint, target)
    if isinstance(error, Findings):
        error.findings = tuple(replace(one, hint=for_target(one.hint, target)) for one in error.findings)
