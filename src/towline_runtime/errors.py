"""One tree of errors for the runtime; each says what happened, and what to do about it.

RuntimeFault
├── SettingsInvalid      the environment lacks or misspells something; all findings at once
├── MigrationFailed      the schema could not be brought up to date; nothing was changed
├── SchemaMissing        the tables are not there: `python -m towline_runtime migrate`
├── KindInvalid          a kind is declared wrongly, or twice
├── PayloadInvalid       arguments that do not fit the kind's function
├── ChildEnded           the process in which a job ran came to its end
├── LeaseLost            this attempt no longer owns its job: another may be running it
├── KeyRefused           a key that no object may have
├── ObjectMissing        no object has this key
├── StorageFailed        the object store refused, or is away
├── Misused              a command names what is not there, or contradicts itself
└── GiveUp               raised by a job: no further attempt can help
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class RuntimeFault(Exception):
    """Something went wrong in the runtime; `hint` is what to do, often a command."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence}\n\nhint: {self.hint}" if self.hint else self.sentence


class SettingsInvalid(RuntimeFault):
    """The environment lacks or misspells something."""

    def __init__(self, findings: Sequence[str], hint: str = "") -> None:
        super().__init__("\n".join(findings), hint)
        self.findings = tuple(findings)


class MigrationFailed(RuntimeFault):
    """The schema could not be brought up to date; nothing was changed."""


class SchemaMissing(RuntimeFault):
    """The tables of the runtime are not in this database."""


class KindInvalid(RuntimeFault):
    """A kind of job is declared wrongly, or twice."""


class PayloadInvalid(RuntimeFault):
    """Arguments do not fit the function of the kind."""


class ChildEnded(RuntimeFault):
    """The process in which a job ran came to its end before the job did."""


class LeaseLost(RuntimeFault):
    """This attempt no longer owns its job, so nothing of it may be written."""


class KeyRefused(RuntimeFault):
    """No object may have this key: it could leave its folder, or means two things to two stores."""


class ObjectMissing(RuntimeFault):
    """No object has this key."""


class StorageFailed(RuntimeFault):
    """The object store refused, or is away; the same call may succeed a moment later."""


class Misused(RuntimeFault):
    """A command names what is not there, or contradicts itself."""


class GiveUp(RuntimeFault):
    """Raise it in a job for which no further attempt can help: it becomes a dead letter at once."""
