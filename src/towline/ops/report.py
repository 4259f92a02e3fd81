"""What `verify` saw: a list of checks, each with its verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at from outside: what was seen, or what is wrong and what to do about it."""

    name: str
    ok: bool
    saw: str
    hint: str | None = None

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {"name": self.name, "ok": self.ok, "saw": self.saw, "hint": self.hint}


@dataclass(frozen=True)
class Verdict:
    """All checks of one look, and how long it took (seconds)."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """True when every check saw what it should; a verdict of no checks is not one."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def summary(self) -> str:
        """`VERIFIED 9 of 9 checks in 1.2 s`, or `FAILED 7 of 9 checks in 1.2 s`."""
        good = sum(check.ok for check in self.checks)
        word = "VERIFIED" if self.ok else "FAILED"
        return f"{word} {good} of {len(self.checks)} checks in {self.seconds:.1f} s"

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {"ok": self.ok, "seconds": round(self.seconds, 3), "checks": [one.as_json() for one in self.checks]}
