"""A command loads only its own family: the table of families must know every command."""

import pytest
import typer.main

from towline.cli.main import FAMILIES, command_line


def names(asked: str | None) -> set[str]:
    return set(typer.main.get_command(command_line(asked)).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("family", "commands"), FAMILIES.items(), ids=list(FAMILIES))
def test_a_family_has_the_commands_that_the_table_says(family: str, commands: tuple[str, ...]) -> None:
    """Asked for one of them, the parser has these and no others."""
    assert family
    assert all(names(command) == set(commands) for command in commands)


@pytest.mark.parametrize("asked", [None, "--help", "uqp"])
def test_without_a_known_command_all_are_there(asked: str | None) -> None:
    """Help lists them all, and a mistyped name is compared with all."""
    assert names(asked) == {command for commands in FAMILIES.values() for command in commands}
