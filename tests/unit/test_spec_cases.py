"""Cases as files: a page and a Compose excerpt in, findings out.

`TOWLINE_REGENERATE=1` writes what is found into the files, to be reviewed as a diff.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from towline.spec.check import check, in_order
from towline.spec.checks.view import View
from towline.spec.codes import CODES, WARNINGS
from towline.spec.compose import config_of
from towline.spec.dockerfile import read_dockerfile
from towline.spec.ground import Ground
from towline.spec.mistakes import ALL, page_of
from towline.spec.resolve import resolve
from towline.spec.source import read_source

if TYPE_CHECKING:
    from towline.core.errors import Finding
    from towline.spec.compose import ComposeConfig
    from towline.spec.mistakes import ReadPage

CASES = sorted((Path(__file__).resolve().parent.parent / "cases" / "spec").glob("*.txt"))
ROOT = Path("/app")

# Compose's own complaints and files that are not there are proved by tests of their own, with a real Compose.
PROVED_ELSEWHERE = {
    "broken-env-file",
    "compose-key",
    "compose-refused",
    "compose-unreadable",
    "compose-warning",
    "missing-env-file",
    "missing-variable",
    "no-compose-file",
    "no-page",
    "page-unreadable",
}


def sections(text: str) -> dict[str, str]:
    """The parts of a case file by their divider; what stands above the first is its title."""
    parts = re.split(r"^--- (.+)$", text, flags=re.MULTILINE)
    return {"title": parts[0], **dict(zip(parts[1::2], [part.lstrip("\n") for part in parts[2::2]], strict=True))}


def ground_of(parts: dict[str, str], compose: ComposeConfig) -> dict[str, Ground]:
    """What the case says of each build context: a Dockerfile, an empty folder, or none; and of the folder in it.

    `lies` says what is where a service mounts something.
    """
    found: dict[str, Ground] = {}
    for container in compose.containers:
        dockerfile = parts.get(f"Dockerfile {container.name}")
        if f"no folder {container.name}" in parts:
            found[container.name] = Ground(context_exists=False, dockerfile_exists=False)
        elif dockerfile is None:
            found[container.name] = Ground(dockerfile_exists=False)
        else:
            found[container.name] = Ground(read_dockerfile(dockerfile.encode()))
        for told in ("absent", "outside"):
            if f"folder {container.name} {told}" in parts:
                found[container.name] = replace(found[container.name], folder=told)
        if f"lies {container.name}" in parts:
            words: Any = [line.split() for line in parts[f"lies {container.name}"].splitlines()]
            found[container.name] = replace(found[container.name], lies=dict(words))
    return found


def judge(parts: dict[str, str]) -> tuple[Finding, ...]:
    """All findings of a case, as `read` would order them."""
    written = read_source(parts["compose"], "compose.yaml", strict=False)
    compose = config_of({"name": "shop", **written.value}, ROOT, (written,))
    page: ReadPage = page_of(read_source(parts["towline.yaml"], "towline.yaml"))
    target = next((name.removeprefix("target ") for name in parts if name.startswith("target ")), "laptop")
    ground = ground_of(parts, compose)
    app, place, layout = resolve(compose, page, target, ground=ground)
    absent = frozenset({app.job.file[1]} if app.job and app.job.file else ())
    view = View(compose, page, app, place, layout, ground, absent)
    return in_order((*page.findings, *(() if page.refused == ALL else check(view))))


def printed(findings: tuple[Finding, ...]) -> str:
    """Findings as they stand in a case file."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.level} {finding.where} {finding.code}: {finding.sentence}")
        lines += [f"    {line}" for line in (finding.hint or "").splitlines()]
    return "".join(f"{line}\n" for line in lines) or "nothing\n"


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_findings_are_those_of_the_case(path: Path) -> None:
    """What is found is what the case file says, to the letter."""
    text = path.read_text()
    found = printed(judge(sections(text)))
    if os.environ.get("TOWLINE_REGENERATE"):
        path.write_text(text[: text.index("--- expected\n")] + "--- expected\n" + found)
    assert found == sections(path.read_text())["expected"]


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_findings_hold_no_value(path: Path) -> None:
    """The canary that stands in values of the cases is in no finding, hint or repr."""
    findings = judge(sections(path.read_text()))
    assert "canary" not in "".join(f"{finding!r}{finding.as_json()}" for finding in findings)


def test_every_code_has_a_case() -> None:
    """The table of codes is complete, and each code is proved somewhere."""
    expected = "".join(sections(path.read_text())["expected"] for path in CASES)
    seen = {(level, code) for level, code in re.findall(r"^(error|warning) \S+ ([a-z-]+): ", expected, re.MULTILINE)}
    codes = {code for _, code in seen}
    assert codes <= set(CODES)
    assert set(CODES) - codes == PROVED_ELSEWHERE
    assert {code for level, code in seen if level == "warning"} <= WARNINGS
    assert not {code for level, code in seen if level == "error"} & WARNINGS
