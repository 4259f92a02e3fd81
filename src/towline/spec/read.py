"""Read a project: Compose file, page and target name to one App and one Target, or every mistake at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Where
from towline.spec.check import check, in_order
from towline.spec.checks.view import View
from towline.spec.compose import find_files, read_compose
from towline.spec.ground import look
from towline.spec.mistakes import ALL, ReadPage, page_of
from towline.spec.page import Page
from towline.spec.resolve import known_targets, resolve, target_of
from towline.spec.source import Source, read_source
from towline.spec.write import smallest_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.spec.compose import ComposeConfig
    from towline.spec.model import App, Target

PAGE = "towline.yaml"


@dataclass(frozen=True)
class Resolved:
    """An app and a target without a mistake in them. `files` are all that were read, for whoever watches them."""

    app: App
    target: Target
    warnings: tuple[Finding, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Reading:
    """What a project's files say, mistakes and all.

    `view` is None where nothing can be said of the app, since Compose could make nothing of its file. `target` is None
    where nobody can tell which one is meant.
    """

    findings: tuple[Finding, ...]
    page: ReadPage
    target: Target | None
    view: View | None = None
    files: tuple[Path, ...] = ()

    @property
    def mistaken(self) -> bool:
        """Whether there is a mistake, and not only a warning."""
        return any(finding.level == "error" for finding in self.findings)

    def resolved(self) -> Resolved:
        """The app and its target. Raises Findings when there is a mistake."""
        if self.mistaken or self.view is None or self.target is None:
            raise Findings(self.findings)
        return Resolved(self.view.app, self.target, self.findings, self.files)


def read(project: Path, target: str = "laptop", *, env: Mapping[str, str] = os.environ) -> Resolved:
    """The app in folder `project`, with `env` for the variables of its Compose file.

    Raises Findings with every mistake in all files, SiteUnreachable when there is no Compose to read them with.
    """
    return read_with_mistakes(project, target, env=env).resolved()


def read_with_mistakes(project: Path, target: str = "laptop", *, env: Mapping[str, str] = os.environ) -> Reading:
    """The same, as far as it can be told: whatever is wrong with the files is among the findings.

    Raises SiteUnreachable when there is no Compose to read them with.
    """
    page = read_page(project / PAGE)
    written = page.page.compose
    paths = tuple(project / path for path in written) if written else find_files(project)
    absent = [path for path in paths if not path.is_file()]
    if absent or not paths:
        missing = _no_compose(page, project, absent)
        # A folder with neither file is no project: nothing can be said of where it would run.
        known = target_alone(page, target) if absent or (project / PAGE).is_file() else None
        return Reading(in_order((*page.findings, missing)), page, known)
    try:
        compose = read_compose(paths, env=env)
    except Findings as refused:
        return Reading(in_order((*page.findings, *refused.findings)), page, target_alone(page, target))
    if page.source.value is None and not page.findings and not (project / PAGE).is_file():
        findings = in_order((*compose.findings, _no_page(compose)))
        return Reading(findings, page, target_alone(page, target))
    return _judged(project, compose, page, target)


def read_page(path: Path) -> ReadPage:
    """The page at `path` with its findings; an empty one when there is none."""
    if not path.is_file():
        return ReadPage(Page(), Source(path.name))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        finding = Finding("page-unreadable", f"`{path.name}` cannot be read: {reason}", Where(path.name))
        return ReadPage(Page(), Source(path.name, findings=(finding,)), (finding,), ALL)
    return page_of(read_source(text, path.name))


def _judged(project: Path, compose: ComposeConfig, page: ReadPage, target: str) -> Reading:
    ground = look(compose, page.page)
    app, place, layout = resolve(compose, page, target, ground=ground)
    asked = {app.job.file[1]} if app.job and app.job.file else set()
    absent = frozenset(path for path in asked if not path.is_file())
    view = View(compose, page, app, place, layout, ground, absent)
    # A page of which nothing can be used was read as an empty one: judging that would only bury the one real finding.
    judged = () if page.refused == ALL else check(view)
    findings = in_order((*page.findings, *compose.findings, *judged))
    dockerfiles = {service.dockerfile for service in app.services if service.dockerfile}
    files = (project.resolve() / PAGE, *compose.files, *sorted(dockerfiles))
    known = place if target_alone(page, target) is not None else None
    return Reading(findings, page, known, view, tuple(dict.fromkeys(files)))


def target_alone(page: ReadPage, name: str) -> Target | None:
    """The target as far as the page tells it without the app; None when it does not have it."""
    return target_of(page, name, ()) if name in known_targets(page.page) else None


def _no_compose(page: ReadPage, project: Path, absent: list[Path]) -> Finding:
    if absent:
        names = ", ".join(f"`{path.relative_to(project)}`" for path in absent)
        sentence = f"The Compose file {names} does not exist"
        return Finding("no-compose-file", sentence, page.source.where("compose"), "correct `compose:`")
    hint = "write compose.yaml, or name the file: `compose: deploy/compose.yaml` in towline.yaml"
    return Finding("no-compose-file", "There is no Compose file in this folder", Where("compose.yaml"), hint)


def _no_page(compose: ComposeConfig) -> Finding:
    sentence = "There is no towline.yaml beside the Compose file"
    return Finding("no-page", sentence, Where(PAGE), f"write towline.yaml:\n\n{smallest_page(compose)}")
