"""Colour, tables and progress for people, on stderr; answers on stdout. No meaning lies in colour alone."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from towline.cli.hints import for_target, in_json
from towline.core import events
from towline.core.errors import Findings, StepFailed, TowlineError
from towline.core.units import show_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.status import Status

    from towline.core.errors import Finding
    from towline.ops.report import Check, Verdict

MARK = {True: "[green]✓[/green]", False: "[red]✗[/red]"}


WIDE = 240
"""Columns of a table that no terminal shows: a file or a pipe has no edge to wrap at."""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


@dataclass
class Screen:
    """Where a command talks: `answer` is stdout, `talk` is stderr. With `as_json` stdout carries one JSON document.

    `target` is the one that hints are for, where they say none.
    """

    as_json: bool = False
    target: str = ""
    answer: Console = field(default_factory=lambda: _console(stderr=False))
    talk: Console = field(default_factory=lambda: _console(stderr=True))
    _status: Status | None = None
    _stage: str = ""

    def json(self, document: object) -> None:
        """Print one JSON document on stdout."""
        sys.stdout.write(json.dumps(in_json(document, self.target), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def listener(self, event: events.Event) -> None:
        """Show what happens: finished steps as lines, the one at work as a moving line where stderr is a terminal."""
        match event:
            case events.StageBegan(number, of, name):
                self._stage = name
                self.talk.print(Text.assemble((f"{number}/{of}", "dim"), " ", (name, "bold")))
            case events.StepBegan(_, title):
                self._moving(Text(title))
            case events.Progressed(_, title, line):
                self._moving(Text.assemble(title, "  ", (line[:80], "dim")))
            case events.StepDone(_, title, already, seconds, saw):
                self.quiet()
                state = "already so" if already else show_seconds(seconds)
                seen = f"  {saw}" if saw and not already else ""
                self.talk.print(Text.assemble("    ", ("✓", "green"), f" {title}  ", (state + seen, "dim")))
            case events.StepBroke(_, title, sentence, _):
                self.quiet()
                self.talk.print(Text.assemble("    ", ("✗", "red"), f" {title}  {sentence}"))
            case events.Noted(sentence):
                self.quiet()
                self.talk.print(Text(sentence))

    def _moving(self, shown: Text) -> None:
        if not self.talk.is_terminal:
            return
        if self._status is None:
            self._status = self.talk.status(shown)
            self._status.start()
        else:
            self._status.update(shown)

    def quiet(self) -> None:
        """End the moving line."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def checked(self, check: Check) -> None:
        """Show that `verify` goes on."""
        self._moving(Text(check.name))

    def verdict(self, verdict: Verdict) -> None:
        """The checks as a table on stdout, then the summary as the last line."""
        if self.as_json:
            self.json(verdict.as_json())
            return
        self.checks(verdict)
        self.answer.print(f"[bold]{escape(verdict.summary)}[/bold]")

    def checks(self, verdict: Verdict) -> None:
        """What each check saw, as a table on stdout."""
        self.table(
            ("", "check", "what was seen"),
            [(MARK[one.ok], escape(one.name), escape(one.saw)) for one in verdict.checks],
            safe=True,
        )
        for one in verdict.checks:
            if not one.ok and one.hint:
                self.talk.print(Text(f"hint: {for_target(one.hint, self.target)}"))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], *, safe: bool = False) -> None:
        """A table on stdout; `safe` cells carry markup of ours."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
        for name in head:
            table.add_column(escape(name), overflow="fold")
        for row in rows:
            table.add_row(*(cell if safe else escape(cell) for cell in row))
        with self.answer.capture() as drawn:
            self.answer.print(table)
        lines = (line.rstrip() for line in drawn.get().splitlines())
        self.answer.file.write("".join(f"{line}\n" for line in lines))

    def findings(self, findings: Iterable[Finding]) -> None:
        """Findings on stderr, errors first, each with its place and its hint."""
        for one in sorted(findings, key=lambda finding: finding.level != "error"):
            colour = "red" if one.level == "error" else "yellow"
            place = f"{one.where}: " if one.where else ""
            self.talk.print(Text.assemble((one.level, colour), f" {place}{one.sentence} ", (f"({one.code})", "dim")))
            if hint := for_target(one.hint, self.target):
                first, *more = hint.splitlines()
                self.talk.print(Text(f"    hint: {first}"))
                for line in more:
                    self.talk.print(Text(f"          {line}"))

    def error(self, error: TowlineError) -> None:
        """An error on stderr: sentence, place, evidence, and the hint after a blank line; with `as_json` on stdout."""
        self.quiet()
        if self.as_json:
            self.json({"ok": False, "error": error.as_json()})
            return
        if isinstance(error, Findings):
            self.findings(error.findings)
        place = f"{error.where}: " if error.where else ""
        self.talk.print(Text.assemble(("error", "red"), f" {place}{error.sentence}"))
        if isinstance(error, StepFailed):
            for line in error.evidence:
                self.talk.print(Text.assemble("    ", ("|", "dim"), f" {line}"))
        if hint := for_target(error.hint, self.target):
            self.talk.print(Text(f"\nhint: {hint}"))
