"""The printed reference: nothing that is found or answered is missing there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer.main

from towline.cli.main import command_line
from towline.cli.reference import findings_page

if TYPE_CHECKING:
    from pathlib import Path


def test_every_finding_is_explained(checkout: Path) -> None:
    """Whatever a program can be told as a code, a person finds on the page."""
    written = "\n".join(one.read_text() for one in (checkout / "src/towline").rglob("*.py"))
    codes = set(re.findall(r'\bFinding\(\s*"([a-z0-9-]+)"', written))
    page = findings_page()
    assert sorted(code for code in codes if f"`{code}`" not in page) == []


def test_every_command_that_answers_does_so_as_json() -> None:
    """But for those that only act on the lab, and the one whose answer is a file of its own form."""
    missing = {name for name, command in leaves(typer.main.get_command(command_line())) if "--json" not in command}
    assert {name for name in missing if not name.startswith("lab ")} == {"secrets export"}
    assert "lab status" not in missing


def leaves(command: object, name: str = "") -> list[tuple[str, list[str]]]:
    """Every command by its words, with its options."""
    children = getattr(command, "commands", {})
    if not children:
        return [(name, [option for one in command.params for option in one.opts])]  # type: ignore[attr-defined]
    return [leaf for child in sorted(children) for leaf in leaves(children[child], f"{name} {child}".strip())]
