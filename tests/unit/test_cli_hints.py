"""Hints of a target that is not the laptop: what is typed works on that target."""

from __future__ import annotations

import json

import pytest
import typer

from towline.cli.hints import for_target, with_targets
from towline.cli.main import command_line
from towline.cli.show import Screen
from towline.core.errors import Finding, Findings, Refused
from towline.ops.report import Check, Verdict


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("towline status", "towline status -t shop"),
        ("towline logs api", "towline logs api -t shop"),
        ("towline logs caddy  # shop.example", "towline logs caddy -t shop  # shop.example"),
        ("towline exec SERVICE -- sh", "towline exec SERVICE -t shop -- sh"),
        ("towline logs api -t other", "towline logs api -t other"),
        ("towline status --target other", "towline status --target other"),
        ("towline restore other 3\ntowline rollback", "towline restore other 3\ntowline rollback -t shop"),
        ("towline deploy", "towline deploy shop"),
        ("towline deploy other", "towline deploy other"),
        ("towline destroy, or another target", "towline destroy shop, or another target"),
        ("git checkout, then towline deploy TARGET", "git checkout, then towline deploy shop"),
        ("towline maintenance on TARGET", "towline maintenance on shop"),
        ("towline plan --help", "towline plan --help"),
        ("df -h, there", "df -h, there"),
        ("domain: another one", "domain: another one"),
    ],
)
def test_a_hint_gets_the_target_that_it_lacks(hint: str, told: str) -> None:
    """One that says a target already, or is no command of ours, stays; said twice it is the same."""
    assert for_target(hint, "shop") == told
    assert for_target(told, "shop") == told


@pytest.mark.parametrize("target", ["", "laptop"])
def test_the_laptop_needs_no_name(target: str) -> None:
    """It is what a command without a target means."""
    assert for_target("towline status", target) == "towline status"
    assert for_target(None, target) is None


def test_an_error_of_a_command_is_for_its_target() -> None:
    """Of a command and of one in a group; with every finding that it brings."""
    app, group = typer.Typer(), typer.Typer()

    def look(target: str = "shop") -> None:
        raise Refused(f"{target} does not run", hint="towline status")

    def serve(target: str = "shop") -> None:
        raise Findings((Finding("one", target, hint="towline logs api"), Finding("two", "no hint")))

    app.command()(look)
    group.command()(serve)
    app.add_typer(group, name="group")
    with_targets(app)
    with pytest.raises(Refused) as refused:
        app(["look"], standalone_mode=False)
    assert refused.value.hint == "towline status -t shop"
    with pytest.raises(Findings) as found:
        app(["group", "serve"], standalone_mode=False)
    assert [one.hint for one in found.value.findings] == ["towline logs api -t shop", None]


def test_every_command_of_the_program_names_its_target() -> None:
    """None is registered past it; its options are still its own."""

    def all_of(app: typer.Typer) -> list[object]:
        groups = [one.typer_instance for one in app.registered_groups if one.typer_instance is not None]
        return [one.callback for one in app.registered_commands] + [two for one in groups for two in all_of(one)]

    assert [one for one in all_of(command_line()) if not hasattr(one, "__wrapped__")] == []


def test_checks_and_documents_name_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    """In words on stderr, as JSON on stdout."""
    verdict = Verdict((Check("api is alive", ok=False, saw="no", hint="towline logs api"),), 0.1)
    Screen(target="shop").checks(verdict)
    assert "hint: towline logs api -t shop\n" in capsys.readouterr().err
    Screen(as_json=True, target="shop").verdict(verdict)
    assert json.loads(capsys.readouterr().out)["checks"][0]["hint"] == "towline logs api -t shop"
