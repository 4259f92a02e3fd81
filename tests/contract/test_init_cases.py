"""Cases as files: the files of a project in; towline.yaml, what is told beside it, and what `check` then says out.

Every Compose file is read by the real Compose. `TOWLINE_REGENERATE=1` writes what is found into the case files, to be
reviewed as a diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import ENV

from towline.ops.init import Proposed, proposed, write
from towline.spec.compose import find_files, read_compose
from towline.spec.guess.model import CODES
from towline.spec.mistakes import page_of
from towline.spec.procfile import READ, translate_procfile
from towline.spec.read import read_with_mistakes
from towline.spec.render_yaml import translate_render
from towline.spec.source import read_source
from towline.spec.write_compose import config

if TYPE_CHECKING:
    from towline.core.errors import Finding

CASES = sorted((Path(__file__).resolve().parent.parent / "cases" / "init").glob("*.txt"))
CANARY = "canary"

# What a line of the page can never mend: the value itself has to change, or a machine has to have the program.
NEEDS_A_PERSON = {
    "unbound-address",
    "half-bound",
    "no-local-server",
    "no-command",
    "no-port",
    "no-output",
    "no-dockerfile",
    "no-context",
    "bad-name",
    "sqs-on-local",
}


def parts_of(text: str) -> dict[str, str]:
    """The sections of a case by their divider, in order."""
    parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)
    return {"title": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def laid_out(parts: dict[str, str], root: Path) -> Path:
    """The files of a case in a folder that is called `shop`."""
    project = root / "shop"
    project.mkdir()
    for name, text in parts.items():
        if name != "title" and not name.startswith("expected "):
            path = project / name.rstrip("/")
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                path.write_text(text)
    return project


def printed(findings: tuple[Finding, ...], project: Path) -> str:
    """Findings as they stand in a case file."""
    lines = [f"{one.level} {one.where} {one.code}: {one.sentence}" for one in findings]
    return "".join(f"{line}\n" for line in lines).replace(str(project), "PROJECT") or "nothing\n"


def compose_files(project: Path) -> tuple[Path, ...]:
    """What a person would name where Compose finds nothing by itself."""
    odd = tuple(project.glob("docker-compose.*.yml"))
    return () if find_files(project) else odd


def outcome(project: Path) -> tuple[Proposed, dict[str, str]]:
    """What `init` proposes for a project, and the sections of the case that it becomes."""
    found = proposed(project, compose_files(project), env=ENV)
    write(project, found.files, force=False)
    checked = read_with_mistakes(project, env=ENV).findings
    told = {f"expected {name}": text for name, text in found.files.items()}
    told["expected findings"] = printed(found.proposal.findings, project)
    told["expected check"] = printed(checked, project)
    return found, told


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_the_page_is_that_of_the_case(path: Path, tmp_path: Path) -> None:
    """The page, what is told beside it and what `check` says of both are those of the case file, to the letter."""
    text = path.read_text()
    _, told = outcome(laid_out(parts_of(text), tmp_path))
    if os.environ.get("TOWLINE_REGENERATE"):
        head = re.split(r"^=== expected ", text, flags=re.MULTILINE)[0]
        path.write_text(head + "".join(f"=== {name}\n{body}" for name, body in told.items()))
    expected = {name: body for name, body in parts_of(path.read_text()).items() if name.startswith("expected ")}
    assert told == expected


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_what_check_still_says_is_marked_todo(path: Path, tmp_path: Path) -> None:
    """The page itself is without mistakes; an error that stays is one that the page names as TODO."""
    project = laid_out(parts_of(path.read_text()), tmp_path)
    found, _ = outcome(project)
    page = page_of(read_source((project / "towline.yaml").read_text(), "towline.yaml"))
    assert page.findings == ()
    assert page.page.app is not None
    errors = [one for one in read_with_mistakes(project, env=ENV).findings if one.level == "error"]
    known = {one.code for one in found.proposal.findings}
    todo = " ".join(f"{guess.field} {guess.reason}" for guess in found.proposal.open)
    for one in errors:
        if one.code not in known:
            assert one.code in NEEDS_A_PERSON, one
            named = re.findall(r"`([^`]+)`", one.sentence)
            assert any(name in todo for name in named), f"{one} is not marked TODO"


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_no_value_is_repeated(path: Path, tmp_path: Path) -> None:
    """The canary that stands in values of the cases is in nothing that is proposed from a Compose file."""
    found, told = outcome(laid_out(parts_of(path.read_text()), tmp_path))
    shown = repr(found.proposal) + told["expected findings"] + told["expected towline.yaml"]
    assert CANARY not in shown


TRANSLATED = [path for path in CASES if path.stem.startswith(("render", "procfile"))]


@pytest.mark.parametrize("path", TRANSLATED, ids=[path.stem for path in TRANSLATED])
def test_a_written_compose_file_is_one(path: Path, tmp_path: Path) -> None:
    """Compose accepts what is written from another platform's file, and reads in it exactly what was guessed from."""
    project = laid_out(parts_of(path.read_text()), tmp_path)
    if "render" in path.stem:
        translated = translate_render(read_source((project / "render.yaml").read_text(), "render.yaml"))
    else:
        beside = {name: (project / name).read_text() for name in READ if (project / name).is_file()}
        translated = translate_procfile((project / "Procfile").read_text(), beside)
    outcome(project)
    read = read_compose(find_files(project), env=ENV)
    assert read.findings == ()
    assert read.containers == config(translated, project, "shop").containers


def test_every_code_has_a_case() -> None:
    """The table of codes is complete, and each is told in some case."""
    told = "".join(parts_of(path.read_text())["expected findings"] for path in CASES)
    seen = set(re.findall(r"^warning \S+ ([a-z-]+): ", told, re.MULTILINE))
    assert set(CODES) <= seen


def test_the_page_of_the_example_is_guessed(checkout: Path) -> None:
    """Of the page that was written by hand for Postcards, everything that its files tell is guessed as it is there."""
    example = checkout / "examples" / "postcards"
    text = proposed(example, env=ENV).files["towline.yaml"]
    guessed = page_of(read_source(text, "towline.yaml")).page
    written = page_of(read_source((example / "towline.yaml").read_text(), "towline.yaml")).page
    assert guessed.app == written.app
    assert guessed.release == written.release
    assert {name: store.kind for name, store in guessed.stores.items()} == {
        name: store.kind for name, store in written.stores.items()
    }
    assert guessed.stores["queue"].use == written.stores["queue"].use
    # The region is no variable of its Compose file: whoever wrote the page knew the code.
    assert guessed.bind["*"] == {key: value for key, value in written.bind["*"].items() if key != "S3_REGION"}
    assert guessed.services["worker"].max_job == written.services["worker"].max_job
    assert guessed.services["migrate"].omit
