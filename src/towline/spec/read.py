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
from towline.spec.mistakes import ReadPage, page_of
from towline.spec.page import Page
from towline.spec.resolve import resolve
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


def read(project: Path, target: str = "laptop", *, env: Mapping[str, str] = os.environ) -> Resolved:
    """The app in folder `project`, with `env` for the variables of its Compose file.

    Raises Findings with every mistake in all files, SiteUnreachable when there is no Compose to read them with.
    """
    page = read_page(project / PAGE)
    written = page.page.compose
    paths = tuple(project / path for path in written) if written else find_files(project)
    absent = [path for path in paths if not path.is_file()]
    if absent or not paths:
        raise Findings(in_order((*page.findings, _no_compose(page, project, absent))))
    try:
        compose = read_compose(paths, env=env)
    except Findings as refused:
        raise Findings(in_order((*page.findings, *refused.findings))) from None
    if page.source.value is None and not page.findings and not (project / PAGE).is_file():
        raise Findings(in_order((*compose.findings, _no_page(compose))))
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
        return ReadPage(Page(), Source(path.name, findings=(finding,)), (finding,))
    return page_of(read_source(text, path.name))


def _judged(project: Path, compose: ComposeConfig, page: ReadPage, target: str) -> Resolved:
    ground = look(compose)
    app, place, layout = resolve(compose, page, target, ground=ground)
    asked = {app.job.file[1]} if app.job and app.job.file else set()
    absent = frozenset(path for path in asked if not path.is_file())
    view = View(compose, page, app, place, layout, ground, absent)
    # A page that is no YAML has been read as an empty one: judging that would only bury the one real finding.
    judged = () if page.source.broken else check(view)
    findings = in_order((*page.findings, *compose.findings, *judged))
    if any(finding.level == "error" for finding in findings):
        raise Findings(findings)
    dockerfiles = {service.dockerfile for service in app.services if service.dockerfile}
    files = (project.resolve() / PAGE, *compose.files, *sorted(dockerfiles))
    return Resolved(app, place, findings, tuple(dict.fromkeys(files)))


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
