"""The workflows of every example: as their cases say, valid by schema, clean for actionlint, pinned, least permissions.

`TOWLINE_REGENERATE=1` writes what is rendered into the case files, to be reviewed as a diff.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML
from tests.contract.render_projects import RENDERINGS, ROOT, Rendering, differences

from towline.artifacts.ci.actions import PINNED

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = ROOT / "tests" / "schemas"
WORKFLOW = Draft7Validator(json.loads((SCHEMAS / "github-workflow.schema.json").read_text()))
DEPENDABOT = Draft7Validator(json.loads((SCHEMAS / "dependabot-2.0.schema.json").read_text()))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
BUILT = {"kirby-sources", "nutri-sources", "kirby-whole", "repolens", "postcards", "reference"}


def told(one: Rendering) -> str:
    """The name of a test."""
    return f"{one.name}-{one.target}"


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_files_are_as_their_cases_say(one: Rendering, once: Path) -> None:
    """Every workflow and Dependabot's file is the reviewed one, and the same bytes come twice."""
    files = of_github(one, once)
    assert differences(one, [found for path, found in one.files(once).items() if path in files]) == []
    again = {path: file.text for path, file in one.made(once).items() if path in files}
    assert again == files


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_files_are_valid_by_the_published_schemas(one: Rendering, once: Path) -> None:
    """Neither GitHub's schema of workflows nor that of Dependabot finds anything."""
    found = {}
    for path, text in of_github(one, once).items():
        schema = DEPENDABOT if path.endswith("dependabot.yml") else WORKFLOW
        found[path] = [error.message for error in schema.iter_errors(loaded(text))]
    assert {path: errors for path, errors in found.items() if errors} == {}


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_which_files_there_are(one: Rendering, once: Path) -> None:
    """What is built is tested and built; what only has images is deployed; a release command makes a migration."""
    names = {Path(path).stem.removesuffix(f"-{one.target}") for path in of_github(one, once) if "workflows" in path}
    app = one.material(once).app
    assert ("build" in names) == ("test" in names) == (one.name in BUILT)
    assert ("migrate" in names) == (app.release is not None)
    assert {"deploy", "backup"} <= names


@pytest.mark.needs("go")
@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_actionlint_and_shellcheck_find_nothing(one: Rendering, once: Path, tmp_path: Path, actionlint: Path) -> None:
    """Expressions, types, contexts and every script, as the linter of workflows sees them."""
    place = tmp_path / "repository"
    for path, text in of_github(one, once).items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    files = sorted(str(path) for path in place.rglob("workflows/*.yml"))
    answer = lint(actionlint, files, place)
    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.needs("go")
def test_the_linter_looks_into_scripts(tmp_path: Path, actionlint: Path) -> None:
    """A script with a mistake is found: the check above is none that always passes."""
    file = tmp_path / "w.yml"
    file.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: rm -rf $HOME/$X\n")
    answer = lint(actionlint, [str(file)], tmp_path)
    assert "SC2086" in answer.stdout


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_every_action_is_pinned_to_a_commit(one: Rendering, once: Path) -> None:
    """Forty letters of a commit, the version behind them, and only actions whose commits are known."""
    for text in of_github(one, once).values():
        for used in re.findall(r"uses: (?!\./)(.+)", text):
            match = re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v[\d.]+)", used)
            assert match is not None, used
            assert PINNED[match[1]] == (match[2], match[3])


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_no_expression_stands_in_a_script(one: Rendering, once: Path) -> None:
    """Whatever a script reads comes through its environment: an expression inside could be somebody else's code."""
    for text in of_github(one, once).values():
        for step in steps_of(loaded(text)):
            assert "${{" not in str(step.get("run", ""))


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_permissions_are_the_least(one: Rendering, once: Path) -> None:
    """A workflow may read the code; only the job that pushes images may write, and only packages."""
    for path, text in of_github(one, once).items():
        value = loaded(text)
        if "jobs" not in value:
            continue
        assert value["permissions"] == {"contents": "read"}
        writing = {name for name, job in value["jobs"].items() if "write" in str(job.get("permissions", {}))}
        assert writing == (
            {"image"} if path.endswith(f"build-{one.target}.yml") and "image" in value["jobs"] else set()
        )


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_no_secret_of_the_project_is_in_a_file(one: Rendering, once: Path) -> None:
    """What the Compose file uses on a laptop, and every value that is asked for, stays out."""
    whole = "".join(of_github(one, once).values())
    assert "only-on-this-laptop" not in whole
    asked = {variable.name for variable in one.material(once).variables if variable.origin == "asked"}
    assert [name for name in asked if re.search(rf"^ +{name}: (?!\$)", whole, re.MULTILINE)] == []


def test_a_deploy_comes_only_after_a_build_that_passed(once: Path) -> None:
    """The trigger is the end of the build on main; another end, a pull request or a fork deploys nothing."""
    whole = next(one for one in RENDERINGS if one.name == "kirby-whole")
    value = loaded(of_github(whole, once)[".github/workflows/deploy-production.yml"])
    assert value["on"]["workflow_run"] == {
        "workflows": ["build-production"],
        "types": ["completed"],
        "branches": ["main"],
    }
    condition = value["jobs"]["release"]["if"]
    for part in (
        "conclusion == 'success'",
        "event != 'pull_request'",
        "head_repository.full_name == github.repository",
    ):
        assert part in condition
    assert value["jobs"]["cloud"]["needs"] == ["release", "migrate"]
    assert "needs.migrate.result == 'success' || needs.migrate.result == 'skipped'" in value["jobs"]["cloud"]["if"]
    assert value["jobs"]["tell"]["if"].startswith("always()")


@pytest.mark.parametrize("one", RENDERINGS, ids=told)
def test_no_backup_waits_for_an_approval(one: Rendering, once: Path) -> None:
    """An environment may ask for one; what deploys is in it, what keeps the data is not."""
    files = of_github(one, once)
    backup = loaded(files[f".github/workflows/backup-{one.target}.yml"])["jobs"]
    assert not [name for name, job in backup.items() if "environment" in job]
    deploy = loaded(files[f".github/workflows/deploy-{one.target}.yml"])["jobs"]
    sites = {name: job for name, job in deploy.items() if name not in {"release", "migrate", "look", "tell"}}
    assert {job["environment"]["name"] for job in sites.values()} == {one.target}


TWO_TARGETS = [
    ("cooly", "production", "alone"),
    ("kirby-whole", "production", "server"),
    ("nutri", "production", "dokploy"),
]


@pytest.mark.parametrize(("name", "first", "second"), TWO_TARGETS)
def test_the_files_of_two_targets_lie_side_by_side(name: str, first: str, second: str, once: Path) -> None:
    """In one `.github` two targets write the same bytes or different files, and share no secret that is about one."""
    one, other = (of_github(of_target(name, target), once) for target in (first, second))
    both = set(one) & set(other)
    assert both == {path for path in one if path.endswith(("/test.yml", "/dependabot.yml"))}
    assert {path: one[path] for path in both} == {path: other[path] for path in both}
    names = [set(re.findall(r"(?:secrets|vars)\.([A-Z0-9_]+)", "".join(files.values()))) for files in (one, other)]
    assert names[0] & names[1] <= {"GITHUB_TOKEN", "RENDER_API_KEY", "BACKUP_PASSPHRASE", "NOTIFY_WEBHOOK"}
    assert [loaded(files[path])["name"] for files in (one, other) for path in files if "/deploy-" in path] == [
        f"deploy-{first}",
        f"deploy-{second}",
    ]


def of_target(name: str, target: str) -> Rendering:
    """The rendering of a project's target."""
    return next(one for one in RENDERINGS if (one.name, one.target) == (name, target))


def test_the_build_pushes_what_it_scanned(once: Path) -> None:
    """Build, scan with an end at critical findings, push under commit and latest, write the digest down."""
    nutri = next(one for one in RENDERINGS if one.name == "nutri-sources")
    value = loaded(of_github(nutri, once)[".github/workflows/build-production.yml"])
    job = value["jobs"]["image"]
    assert job["needs"] == "test"
    assert [one["service"] for one in job["strategy"]["matrix"]["include"]] == ["api", "ml"]
    uses = [step.get("uses", "").split("@")[0] for step in job["steps"]]
    built, scanned, pushed = (number for number, name in enumerate(uses) if "build-push" in name or "trivy" in name)
    assert built < scanned < pushed
    assert job["steps"][scanned]["with"]["severity"] == "CRITICAL"
    assert job["steps"][scanned]["with"]["exit-code"] == "1"
    tags = job["steps"][pushed]["with"]["tags"].splitlines()
    assert [tag.rpartition(":")[2] for tag in tags] == [
        "${{ github.sha }}-production",
        "${{ github.sha }}",
        "latest",
    ]
    assert value["jobs"]["release"]["outputs"] == {"release": "${{ steps.release.outputs.release }}"}


def of_github(one: Rendering, root: Path) -> dict[str, str]:
    """The text of every file below .github, by path."""
    return {path: file.text for path, file in one.files(root).items() if path.startswith(".github/")}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every project is laid out once."""
    return tmp_path_factory.mktemp("rendered")


def loaded(text: str) -> Any:
    """The file as YAML 1.2 reads it: `on` is a word there."""
    return YAML(typ="safe", pure=True).load(text)


def steps_of(value: Any) -> Iterator[dict[str, Any]]:
    """Every step of a workflow."""
    for job in value.get("jobs", {}).values():
        yield from job.get("steps", ())


def lint(actionlint: Path, files: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    """What the linter says of files."""
    argv = [str(actionlint), *files]
    return subprocess.run(argv, check=False, cwd=place, env=with_tools(), capture_output=True, text=True, timeout=60)


def with_tools() -> dict[str, str]:
    """An environment in which actionlint finds the shellcheck of this one's packages."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The linter itself: from PATH, else built once from its own module and kept."""
    there = shutil.which("actionlint")
    if there:
        return Path(there)
    place = Path.home() / ".cache" / "towline-tools" / "bin"
    if not (place / "actionlint").exists():
        env = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "install", ACTIONLINT], env=env, check=True, timeout=240, capture_output=True)
    return place / "actionlint"
