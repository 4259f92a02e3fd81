"""All checks of what the user wrote, in one pass: every finding at once, in the order of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.spec.checks import bindings, data, keys, mounts, names, place, services, stores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.core.errors import Finding
    from towline.spec.checks.view import View


def check(view: View) -> tuple[Finding, ...]:
    """The findings of every check; none of them depends on another having found nothing."""
    subjects = (names, bindings, stores, services, data, mounts, keys, place)
    return in_order(finding for subject in subjects for finding in subject.check(view))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once: errors before warnings, then by file and line."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=_rank))


def _rank(finding: Finding) -> tuple[bool, str, int, str, str]:
    place = finding.where.place if finding.where else ""
    line = (finding.where.line if finding.where else None) or 0
    return finding.level != "error", place, line, finding.code, finding.sentence
