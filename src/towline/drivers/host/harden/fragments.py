"""An item's fragments of POSIX sh, read and put together: what asks whether it holds, does it, and proves it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import quote

if TYPE_CHECKING:
    from towline.steps.ensure import Ensure, Item

_BESIDE: Final[frozenset[Item]] = frozenset(
    {"kernel", "journal", "clean-up", "packages", "bans", "deployer", "ssh", "firewall"}
)
"""What may be done side by side with its like of the same stage: none of them minds those."""

_SECTION = re.compile(r"^#: (shared|holds|apply|proof)$", re.MULTILINE)
_COMMENT = re.compile(r"\A(# .*\n)+")


@dataclass(frozen=True)
class Fragments:
    """The sections of an item's file. `proof` is asked after `apply`; where none is told, it is `holds` again."""

    shared: str
    holds: str
    apply: str
    proof: str


@cache
def fragments(item: Item) -> Fragments:
    """The sections of `items/ITEM.sh`."""
    _, *parts = _SECTION.split(_text(item))
    told = dict(zip(parts[::2], parts[1::2], strict=True))
    return Fragments(told.get("shared", ""), told["holds"], told["apply"], told.get("proof", told["holds"]))


def question(step: Ensure) -> str:
    """A program that ends with 0 when the step holds, and prints what was seen; else its last words say why not."""
    parts = fragments(step.item)
    return f"{_opening(step)}{parts.shared}{parts.holds}"


def program_of(step: Ensure) -> StepProgram:
    """The step as a batch carries it out. What was done is asked for its proof before it counts as done.

    There is nothing to put down before: what an item finds is not what anybody wants back, and where it could be, the
    item `way-back` keeps it.
    """
    parts = fragments(step.item)
    act = f"{_opening(step)}{parts.shared}{parts.apply}{parts.proof}"
    return StepProgram(holds=question(step), apply=act, beside=step.item in _BESIDE)


def _opening(step: Ensure) -> str:
    variables = "".join(f"{_name(name)}={quote(value)}\n" for name, value in sorted(step.settings.items()))
    return variables + _text("shared")


def _name(setting: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]*", setting):
        raise ValueError(f"{setting!r} is no name of a setting")
    return setting.upper()


@cache
def _text(name: str) -> str:
    text = files("towline.drivers.host.harden").joinpath("items", f"{name}.sh").read_text(encoding="utf-8")
    return _COMMENT.sub("", text)
