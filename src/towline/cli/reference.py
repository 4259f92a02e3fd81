"""Print the reference pages from what they describe: `python -m towline.cli.reference docs/reference`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from towline.catalog import judge
from towline.cli.main import INTERRUPTED, command_line
from towline.core import errors
from towline.ops import operate, preflight, preflight_hosts, secrets, told
from towline.ops.folders import CODES as folder_codes  # noqa: N811
from towline.ops.images import CODES as image_codes  # noqa: N811
from towline.release.adopt import CODES as adopt_codes  # noqa: N811
from towline.release.names import CODES as name_codes  # noqa: N811
from towline.release.objections import CODES as machine_codes  # noqa: N811
from towline.spec import reference as spec_reference
from towline.spec.guess.model import CODES as init_codes  # noqa: N811 - several rooms have a table of that name

if TYPE_CHECKING:
    import click

OF_THE_COMMANDS = {
    10: "`towline plan`: there is something to do<br>`towline compare`: nothing fits the wishes"
    "<br>`towline render --check`: a file would be new or another"
    "<br>`towline provision --check`: an item is not as it should be; `--plan`: there is something to do"
    "<br>`towline adopt --plan`: it could be taken over<br>`towline secrets list`: a name has no value",
    11: "`towline plan`: there are no steps, since this version cannot deploy to a site, or cannot ask it now",
    125: "`towline exec`, `towline run` on a host: what should have run the command does not run",
    255: "`towline exec`, `towline run` on a host: the connection broke. Any other status is that of the command",
}
"""Exit statuses that are answers and no errors."""


def pages() -> dict[str, str]:
    """Every printed page: file name to text."""
    printed = spec_reference.reference_files()
    return {**printed, "findings.md": findings_page(), "commands.md": commands(), "exit-codes.md": exit_codes()}


def findings_page() -> str:
    """Every finding, by where it is told."""
    parts = (preflight_findings, catalog_findings, init_findings, machine_findings, name_findings, host_findings)
    return "".join([spec_reference.reference_files()["findings.md"], *(one() for one in parts), other_findings()])


def preflight_findings() -> str:
    """The part of the findings page that is about the machine."""
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in preflight.CODES.items()]
    told = "Told in the same report as the above, before anything is started. What is wrong in the files hides"
    rest = "nothing of it but what depends on the very thing that is wrong."
    head = ["", "## On this machine", "", told, rest, ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def catalog_findings() -> str:
    """The part of the findings page that is about the catalogue."""
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in judge.CODES.items()]
    head = ["", "## In the catalogue", "", "Told by `towline catalog check`, and by every command that reads it.", ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def init_findings() -> str:
    """The part of the findings page that is about guessing a page."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in init_codes.items()]
    head = ["", "## While guessing a page", "", "Told by `towline init` beside the page that it writes: warnings, all."]
    return "\n".join([*head, "", "| code | meaning |", "|---|---|", *rows]) + "\n"


def machine_findings() -> str:
    """The part of the findings page that is about a machine that is to be provisioned."""
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in machine_codes.items()]
    head = ["", "## On a machine", "", "Told by `towline provision`, all at once, before anything is changed.", ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def host_findings() -> str:
    """The part of the findings page that is about the hosts of a target."""
    known = {**preflight_hosts.CODES, **image_codes, **folder_codes}
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in known.items()]
    told = "Told by `towline check`, `plan` and `deploy`, all at once, before anything is changed."
    head = ["", "## On the hosts of a target", "", told, ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def name_findings() -> str:
    """The part of the findings page that is about the names of an app on a machine that it shares."""
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in name_codes.items()]
    head = ["", "## Beside other apps", "", "Told by `towline deploy`, all at once, before anything is changed.", ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def other_findings() -> str:
    """The part of the findings page that is about what else is done to a target."""
    known = {**secrets.CODES, **told.CODES, **operate.CODES, **adopt_codes}
    rows = [f"| `{code}` | {level} | {meaning} |" for code, (level, meaning) in known.items()]
    head = ["", "## In the vault, around a deploy, and when a target is scaled or taken over", ""]
    return "\n".join([*head, "| code | level | meaning |", "|---|---|---|", *rows]) + "\n"


def exit_codes() -> str:
    """The page of exit statuses, from the tree of errors."""
    rows: dict[int, list[str]] = {0: ["everything is well"]}
    for kind in _tree(errors.TowlineError):
        rows.setdefault(kind.exit_status, []).append(f"`{kind.code}`: {(kind.__doc__ or '').splitlines()[0]}")
    for status, meaning in OF_THE_COMMANDS.items():
        rows.setdefault(status, []).append(meaning)
    rows[INTERRUPTED] = ["Ctrl-C, or a polite signal: everything that ran was stopped in order"]
    lines = ["# Exit codes", "", "Scripts may rely on these.", "", "| status | means |", "|---|---|"]
    lines += [f"| {status} | {'<br>'.join(rows[status])} |" for status in sorted(rows)]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """The page of commands, from the parser itself."""
    root = typer.main.get_command(command_line())
    lines = [
        "# Commands",
        "",
        "stdout is data, stderr is talk. Every command that answers takes `--json`, and an error is JSON then too.",
        "`NO_COLOR` is respected.",
    ]
    for name, command in _leaves(root):
        lines += ["", *_command(name, command)]
    return "\n".join(lines) + "\n"


def _leaves(command: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every command that does something, by all its words: `catalog list`."""
    children: dict[str, Any] = getattr(command, "commands", {})
    if not children:
        return [(name, command)]
    return [leaf for child in sorted(children) for leaf in _leaves(children[child], f"{name} {child}".strip())]


def _command(name: str, command: click.Command) -> list[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    words = " ".join(
        f"{one.name.upper()}" if one.required else f"[{one.name.upper()}]" for one in arguments if one.name
    )
    lines = [f"## `towline {' '.join(part for part in (name, words) if part)}`", "", _text(command.help), ""]
    lines += ["| option | meaning |", "|---|---|"]
    for one in options:
        metavar = "" if getattr(one, "is_flag", False) else f" {one.metavar or (one.name or '').upper()}"
        lines.append(f"| `{', '.join(one.opts)}{metavar}` | {_text(getattr(one, 'help', ''))} |")
    return lines


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _tree(kind: type[errors.TowlineError]) -> list[type[errors.TowlineError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _tree(child))]


def main() -> int:
    """Write all pages into the folder that is named, or with --check compare them."""
    folder, check = Path(sys.argv[1]), "--check" in sys.argv
    stale = []
    for name, text in pages().items():
        path = folder / name
        if check and (not path.exists() or path.read_text() != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}\n\nhint: make docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
