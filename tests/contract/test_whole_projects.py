"""Whole projects read with the real Compose: an app, a target and warnings, or all mistakes at once."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import CANARY, Project

from towline.core.errors import SiteUnreachable
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_project_whole(project: Project) -> None:
    """One call from two files to an App, a Target and the list of files that were read."""
    project.write("requirements.txt", "x==1\n")
    project.write(
        "compose.yaml",
        f"""
name: my-shop
services:
  api:
    build: .
    ports: ["8000:8000"]
    environment: {{DATABASE_URL: "postgres://shop:{CANARY}@db/shop"}}
    depends_on: [db]
  work: {{build: ., command: [python, -m, shop.work], environment: {{MODE: fast}}}}
  db: {{image: "postgres:18.1", environment: {{POSTGRES_PASSWORD: {CANARY}}}}}
""",
    )
    project.write(
        "towline.yaml",
        'services: {api: {ready: /health}}\nbind: {"*": {DATABASE_URL: db.url}}\nrelease: {run: migrate}\n',
    )
    resolved = project.read()
    app = resolved.app
    assert (app.name, app.root) == ("my-shop", project.root)
    assert [(service.name, service.kind) for service in app.services] == [("api", "web"), ("work", "worker")]
    assert [store.name for store in app.stores] == ["db"]
    assert app.service("api").setup_locks == (project.root / "requirements.txt",)
    assert app.service("api").environment["LOG"].reveal() == "info"
    assert (app.service("api").health.path, app.service("work").port) == ("/health", None)
    assert resolved.target.place == {"api": ("local",), "work": ("local",), "db": ("local",)}
    assert [path.name for path in resolved.files] == ["towline.yaml", "compose.yaml", "Dockerfile"]
    assert resolved.warnings == ()
    assert CANARY not in repr(resolved)


def test_all_mistakes_of_all_files_at_once(project: Project) -> None:
    """Page, Compose warnings and cross checks in one report, errors first."""
    project.write(
        "compose.yaml",
        f"""services:
  api:
    build: .
    ports: ["8000:8000"]
    environment:
      DATABASE_URL: postgres://shop:{CANARY}@db/shop
      MODE: ${{MODE}}
  gone: {{build: ./gone, command: [x]}}
  only: {{image: adminer}}
  db: {{image: "postgres:18.1"}}
""",
    )
    project.write("towline.yaml", "services:\n  api: {kinf: web}\n  apu: {}\nbind: {api: {X: bd.url}}\n")
    assert [(one.level, str(one.where), one.code) for one in project.mistakes()] == [
        ("error", "compose.yaml:6", "unbound-address"),
        ("error", "compose.yaml:8", "no-context"),
        ("error", "compose.yaml:9", "no-local-server"),
        ("error", "towline.yaml:2", "unknown-key"),
        ("error", "towline.yaml:3", "unknown-service"),
        ("error", "towline.yaml:4", "unknown-reference"),
        ("warning", "compose.yaml:7", "missing-variable"),
    ]


def test_warnings_stop_nothing(project: Project) -> None:
    """A project with warnings only is read, and they come with it."""
    project.write(
        "compose.yaml", "services:\n  api: {build: ., ports: ['80:80'], privileged: true, labels: ['a=${NONE}']}\n"
    )
    assert [finding.code for finding in project.read().warnings] == ["container-only", "missing-variable"]


def test_the_stage_and_the_arguments_of_the_build_count(project: Project) -> None:
    """`build.target` chooses the stage, `build.args` go before the Dockerfile's own defaults; so for an inline one."""
    text = 'ARG MODE=a\nFROM x AS dev\nARG MODE=a\nENV MODE=$MODE\nCMD ["dev"]\nFROM x\nCMD ["prod"]\n'
    project.write("Dockerfile", text)
    inline = text.replace("$", "$$").replace("\n", "\n        ")
    project.write(
        "compose.yaml",
        f"""
services:
  api: {{build: {{context: ., target: dev, args: {{MODE: b}}}}}}
  inline:
    build:
      target: dev
      args: {{MODE: b}}
      dockerfile_inline: |
        {inline}
""",
    )
    for service in project.read().app.services:
        assert service.command is not None
        assert (service.command.argv, service.environment["MODE"].reveal()) == (("dev",), "b")


def test_without_a_page_the_hint_is_one(project: Project) -> None:
    """What the hint proposes is, once written, a page that leaves nothing to say."""
    (project.root / "towline.yaml").unlink()
    project.write(
        "compose.yaml",
        f"""
name: shop
services:
  api: {{build: ., ports: ["80:80"], environment: {{DATABASE_URL: "postgres://u:{CANARY}@db/x"}}}}
  db: {{image: "postgres:18"}}
""",
    )
    (finding,) = project.mistakes()
    assert (finding.code, str(finding.where)) == ("no-page", "towline.yaml")
    proposed = (finding.hint or "").partition("\n\n")[2]
    project.write("towline.yaml", proposed)
    assert [one.reference for one in project.read().app.bindings] == ["db.url"]


def test_files_that_are_not_there(project: Project) -> None:
    """No Compose file, one that the page names wrongly, and a page that is no text."""
    assert project.told() == ["compose.yaml no-compose-file: There is no Compose file in this folder"]
    project.write("towline.yaml", "compose: [deploy/compose.yaml]\n")
    assert project.told() == ["towline.yaml:1 no-compose-file: The Compose file `deploy/compose.yaml` does not exist"]
    project.write("deploy/compose.yaml", "services: {api: {build: .., ports: ['80:80']}}\n")
    assert project.read().app.service("api").context == project.root
    (project.root / "towline.yaml").write_bytes(b"\xff\xfe\x00")
    project.write("compose.yaml", "services: {api: {build: ., ports: ['80:80']}}\n")
    assert project.told() == ["towline.yaml page-unreadable: `towline.yaml` cannot be read: it is no UTF-8 text"]
    (project.root / "compose.yaml").write_bytes(b"\xff\xfe\x00")
    assert [one.code for one in project.mistakes()] == ["compose-unreadable", "page-unreadable"]


def test_the_compose_program_is_chosen(project: Project, tmp_path: Path) -> None:
    """TOWLINE_COMPOSE is taken as it is; a Docker without Compose is passed over; the packaged binary is the last."""
    assert find_compose({"TOWLINE_COMPOSE": "/opt/compose"}) == ("/opt/compose",)
    assert find_compose({"TOWLINE_COMPOSE": "/usr/bin/docker"}) == ("/usr/bin/docker", "compose")
    programs = tmp_path / "bin"
    docker = project.write("bin/docker", "#!/bin/sh\necho unknown command >&2\nexit 1\n")
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    path = f"{programs}:/usr/bin:/bin"
    assert find_compose({"PATH": path})[0].endswith("/docker-compose")
    docker.write_text("#!/bin/sh\necho 2.40.3\n")
    own = {"PATH": path, "DOCKER_CONFIG": str(tmp_path / "docker")}
    assert find_compose(own)[0].endswith("/docker-compose"), "the client has no such plugin"
    settings = project.write("docker/config.json", '{"cliPluginsExtraDirs": ["/opt/plugins"]}')
    assert find_compose(own) == ("docker", "compose"), "it may have one in a place of its own"
    settings.unlink()
    project.write("docker/cli-plugins/docker-compose", "a plugin")
    assert find_compose(own) == ("docker", "compose")
    docker.write_text("#!/bin/sh\necho unknown command >&2\nexit 1\n")
    assert find_compose(own)[0].endswith("/docker-compose"), "it does not work"


def test_a_compose_that_does_not_answer_is_no_finding(project: Project) -> None:
    """A program that is not there, prints no JSON, or swallows its status: the site's trouble, not the user's file."""
    project.write("compose.yaml", "services: {api: {image: x}}\n")
    fake = project.write("fake", f"#!/bin/sh\necho {CANARY}\n")
    with pytest.raises(SiteUnreachable, match="cannot be started"):
        project.read(TOWLINE_COMPOSE=str(fake))
    fake.chmod(0o700)
    with pytest.raises(SiteUnreachable, match="did not answer with JSON") as caught:
        project.read(TOWLINE_COMPOSE=str(fake))
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.hint}"
    fake.write_text("#!/bin/sh\nexit 3\n")
    assert project.told(TOWLINE_COMPOSE=str(fake)) == [
        "compose.yaml compose-refused: Compose refused the file without a reason"
    ]
