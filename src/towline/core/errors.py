"""All errors that Towline raises, in one tree.

    TowlineError                 exit status
    |-- Findings                 2   the user's files, all that is wrong with them at once
    |-- UsageError               2   the command line
    |-- Refused                  3   nothing was done, on purpose
    |   |-- StalePlan            3   the site has left the facts of the plan
    |   |-- LockHeld             3   another release holds the target
    |   `-- Fenced               3   a newer operator has taken over
    |-- StepFailed               4   a step was tried and failed
    |-- CheckFailed              5   `verify` saw something that should not be
    |-- SiteUnreachable          6   a site, a server or a program does not answer
    `-- Defect                   70  a mistake in Towline itself

`docs/reference/exit-codes.md` is printed from this tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Where:
    """The place that an error speaks of: a line of a file, or a step on a site."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        return self.place if self.line is None else f"{self.place}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, in what the user wrote.

    `hint` is something to type or to write. `level` is "error" (nothing is started) or "warning".
    """

    code: str
    sentence: str
    where: Where | None = None
    hint: str | None = None
    level: Literal["error", "warning"] = "error"

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {
            "code": self.code,
            "level": self.level,
            "sentence": self.sentence,
            "where": None if self.where is None else str(self.where),
            "hint": self.hint,
        }


class TowlineError(Exception):
    """Something went wrong that Towline can explain."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str, *, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.where = where
        self.hint = hint

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {
            "code": self.code,
            "sentence": self.sentence,
            "where": None if self.where is None else str(self.where),
            "hint": self.hint,
        }


class Findings(TowlineError):
    """What the user wrote has mistakes; all of them are listed."""

    code = "findings"
    exit_status = 2

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        errors = sum(finding.level == "error" for finding in findings)
        noun = "mistake" if errors == 1 else "mistakes"
        super().__init__(f"{errors} {noun} found; nothing was started", hint="towline check")
        self.findings = findings

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`, one entry a finding."""
        return {**super().as_json(), "findings": [finding.as_json() for finding in self.findings]}


class UsageError(TowlineError):
    """The command line asks for something that cannot be."""

    code = "usage"
    exit_status = 2


class Refused(TowlineError):
    """Towline declined to act; nothing was changed."""

    code = "refused"
    exit_status = 3


class StalePlan(Refused):
    """The site is no longer as it was when the plan was made."""

    code = "stale-plan"


class LockHeld(Refused):
    """Another release holds the lock of this target."""

    code = "lock-held"


class Fenced(Refused):
    """A newer operator has taken over the target, so this one may change nothing more."""

    code = "fenced"


class StepFailed(TowlineError):
    """A step was tried and did not succeed.

    `evidence` holds the last lines of the thing that failed.
    """

    code = "step-failed"
    exit_status = 4

    def __init__(
        self,
        sentence: str,
        *,
        where: Where | None = None,
        hint: str | None = None,
        evidence: tuple[str, ...] = (),
    ) -> None:
        super().__init__(sentence, where=where, hint=hint)
        self.evidence = evidence

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`, evidence included."""
        return {**super().as_json(), "evidence": list(self.evidence)}


class CheckFailed(TowlineError):
    """`verify` saw something that should not be."""

    code = "check-failed"
    exit_status = 5


class SiteUnreachable(TowlineError):
    """A site, or a program that Towline needs there, does not answer."""

    code = "site-unreachable"
    exit_status = 6
    retryable = True


class Defect(TowlineError):
    """Towline itself made a mistake."""

    code = "defect"
    exit_status = 70
