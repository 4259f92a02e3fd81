"""Files and machine in one report: what is missing hides nothing else, and nothing is guessed of what is wrong."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import CANARY, Project

from towline.core.errors import SiteUnreachable
from towline.ops.preflight import report
from towline.ops.workspace import sources_of, survey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.core.errors import Finding


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this very test listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def reported(project: Project) -> list[str]:
    """Place and code of everything but the machine's own troubles of the day."""
    return [f"{one.where} {one.code}" for one in found(project) if one.code not in {"disk-full", "memory-short"}]


def found(project: Project) -> tuple[Finding, ...]:
    findings = report(survey(project.root, "laptop"))
    assert CANARY not in repr(findings)
    return findings


def test_all_that_compose_misses_is_told_at_once(project: Project) -> None:
    """Compose stops at the first; every variable and every environment file is named, each with its line."""
    project.write("there.env", f"KEPT={CANARY}\n")
    project.write("broken.env", f"A B={CANARY}\n")
    config = project.compose(
        """services:
  api:
    build: .
    env_file: [gone.env, there.env, {path: also-gone.env, required: true}]
    ports: ["${WEB_PORT:?}:8000"]
    environment:
      TOKEN: ${TOKEN:?for the mails}
      MODE: ${MODE}
  work:
    build: .
    env_file: broken.env
    command: "${PROGRAM?}"
  calm: {build: .}
"""
    )
    assert sorted(f"{one.where} {one.code}" for one in config.findings) == [
        "broken.env:1 broken-env-file",
        "compose.yaml:12 missing-variable",
        "compose.yaml:4 missing-env-file",
        "compose.yaml:4 missing-env-file",
        "compose.yaml:5 missing-variable",
        "compose.yaml:7 missing-variable",
        "compose.yaml:8 missing-variable",
    ]
    api, work, calm = (config.container(name) for name in ("api", "work", "calm"))
    assert api is not None
    assert api.environment["KEPT"].reveal() == CANARY
    assert work is not None
    assert calm is not None
    assert api.doubts == {"environment", "ports"}
    assert work.doubts == {"environment", "command"}
    assert calm.doubts == frozenset()


def test_what_depends_on_something_missing_is_not_guessed(project: Project, taken: int) -> None:
    """Ports, programs and kinds that a missing variable or file would tell are no findings of their own."""
    text = """services:
  api:
    build: .
    command: ["${PROGRAM:?}", "serve"]
    ports: ["${WEB_PORT:?}:${WEB_PORT:?}"]
  inner:
    build: ./plain
    command: [no-such-program]
    env_file: gone.env
"""
    project.write("compose.yaml", text)
    project.write("plain/Dockerfile", "FROM x\n")
    project.write("towline.yaml", "services: {inner: {kind: private}}\n")
    assert reported(project) == [
        "compose.yaml:4 missing-variable",
        "compose.yaml:5 missing-variable",
        "compose.yaml:8 no-program",
        "compose.yaml:9 missing-env-file",
    ]
    project.write("gone.env", "PORT=8000\n")
    project.write(".env", f"PROGRAM=no-such-program\nWEB_PORT={taken}\n")
    assert reported(project) == ["compose.yaml:4 no-program", "compose.yaml:5 port-taken", "compose.yaml:8 no-program"]


def test_what_compose_says_of_a_stand_in_is_nobodys_mistake(project: Project) -> None:
    """A span, a volume or a whole image that is missing: only that is told."""
    for line in ("stop_grace_period: ${GRACE:?}", "volumes: ['${FOLDER:?}:/data']", "image: '${IMAGE:?}'"):
        project.write("compose.yaml", f"services:\n  api:\n    build: .\n    {line}\n  db: {{image: 'mysql:8'}}\n")
        assert reported(project) == ["compose.yaml:4 missing-variable"], line
    project.write("compose.yaml", "services:\n  api: {build: ., image: 'x/api:${TAG:?}'}\n  db: {image: 'mysql:8'}\n")
    assert reported(project) == ["compose.yaml:2 missing-variable", "compose.yaml:3 no-local-server"]


def test_a_file_that_cannot_be_left_out_is_told_alone(project: Project) -> None:
    """An environment file that comes from another Compose file, and a `.env` that is broken, end the reading."""
    project.write("other.yaml", "services:\n  api: {build: ., env_file: gone.env}\n")
    project.write("compose.yaml", "services:\n  api: {extends: {file: other.yaml, service: api}}\n")
    assert [one.split(" ")[1] for one in reported(project)] == ["missing-env-file"]
    project.write(".env", "A B\n")
    project.write("compose.yaml", "services:\n  api: {build: .}\n")
    assert reported(project) == [".env:1 broken-env-file"]


def test_refused_fields_make_no_machine_findings(project: Project, taken: int) -> None:
    """A refused `run`, `port`, `setup` or `kind` is told once; another service is looked at all the same."""
    project.write("Dockerfile", "FROM x\nEXPOSE 8000\nCMD [no-such-program]\n")
    text = "  {name}: {{build: ., command: [no-such-program], ports: ['{port}:{port}']}}\n"
    services = "".join(text.format(name=name, port=taken) for name in ("api", "by", "me"))
    plain = "  plain:\n    build: ./plain\n    command: [no-such-program]\n"
    project.write("plain/Dockerfile", "FROM x\n")
    project.write("compose.yaml", f"services:\n{services}{plain}")
    project.write("towline.yaml", "services:\n  api: {run: 7, port: x}\n  by: {prot: 1, rum: x}\n  me: {kind: [web]}\n")
    assert reported(project) == [
        "compose.yaml:7 no-program",
        "towline.yaml:2 wrong-type",
        "towline.yaml:2 wrong-type",
        "towline.yaml:3 unknown-key",
        "towline.yaml:3 unknown-key",
        "towline.yaml:4 wrong-value",
    ]
    project.write("towline.yaml", "services:\n  api: {}\n  by: {single: yes please}\n  me: {setup: []}\n")
    assert reported(project) == [
        "compose.yaml:2 port-taken",
        "compose.yaml:3 port-taken",
        "compose.yaml:4 port-taken",
        "compose.yaml:7 no-program",
        "towline.yaml:3 wrong-type",
        "towline.yaml:4 wrong-type",
    ]


def test_a_port_of_the_front_door_that_is_none_is_told_once(project: Project) -> None:
    """The machine is not asked for a port that cannot be."""
    project.write("compose.yaml", "services:\n  api: {build: ., command: [sh]}\n")
    for port in ("soon", "99999999999999999999", "0"):
        project.write("towline.yaml", f"targets: {{laptop: {{sites: {{local: {{kind: local, port: '{port}'}}}}}}}}\n")
        assert reported(project) == ["towline.yaml:1 wrong-value"], port


def test_a_server_that_is_not_there_hides_no_mistake(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What wrote the data cannot be compared then: the site's trouble, told once the files are right."""
    monkeypatch.setenv("TOWLINE_POSTGRES_BIN", str(project.root / "nowhere"))
    project.write(".towline/laptop/data/db/PG_VERSION", "18\n")
    project.write("compose.yaml", "services:\n  api: {build: ., command: [sh]}\n  db: {image: 'postgres:18'}\n")
    project.write("towline.yaml", "services: {apy: {}}\n")
    assert reported(project) == ["towline.yaml:1 unknown-service"]
    project.write("towline.yaml", "app: shop\n")
    with pytest.raises(SiteUnreachable):
        found(project)


def test_an_app_in_a_folder_of_its_repository(project: Project) -> None:
    """`cwd` is where it starts, where its lock files are, and where a build leaves what is not its code."""
    project.write("deploy/compose.yaml", "services:\n  web: {build: {context: .., dockerfile: app/Dockerfile}}\n")
    project.write("app/Dockerfile", "FROM x\nCMD [sh]\n")
    project.write("app/package-lock.json", "{}\n")
    project.write("requirements.txt", "x==1\n")
    project.write("shared/words.txt", "one\n")
    page = "compose: deploy/compose.yaml\nservices: {{web: {{kind: static, output: dist, cwd: {}}}}}\n"
    project.write("towline.yaml", page.format("app"))
    app = project.read().app
    service = app.service("web")
    assert (service.context, service.folder) == (project.root, project.root / "app")
    assert service.setup_locks == (project.root / "app/package-lock.json",)
    before = sources_of(app)
    project.write("app/dist/index.html", "built\n")
    assert sources_of(app) == before
    project.write("shared/words.txt", "two\n")
    assert sources_of(app).code != before.code
    assert sources_of(app).locks == before.locks


def test_a_folder_that_cannot_be_started_in(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One that is not there, one that is a file, a link out of the context; and ways out that are refused."""
    project.write("compose.yaml", "services:\n  api: {build: .}\n  tool: {image: x}\n")
    project.write("file", "")
    (project.root / "link").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    (project.root / "inner").mkdir()
    (project.root / "stays").symlink_to(project.root / "inner")
    expected = {
        "gone": "no-folder",
        "file": "no-folder",
        "link": "no-folder",
        "..": "wrong-value",
        "/tmp": "wrong-value",
        "inner": None,
        "stays": None,
        ".": None,
    }
    for name in ("api", "tool"):
        other = {"api": "tool", "tool": "api"}[name]
        for folder, code in expected.items():
            project.write(
                "towline.yaml", f"services:\n  {name}: {{run: sh, cwd: {folder}}}\n  {other}: {{omit: true}}\n"
            )
            told = found(project)
            assert [(one.code, str(one.where)) for one in told if one.level == "error"] == (
                [(code, "towline.yaml:2")] if code else []
            ), (name, folder)
            assert all(one.hint for one in told)
