"""Projects read with the real Compose: what it inlines, what it refuses, and that no value is ever repeated."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import Finding, Findings, SiteUnreachable
from towline.spec.compose import ComposeConfig, find_compose, find_files, read_compose
from towline.spec.read import Resolved, read

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-S3cret-value"
ENV = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TOWLINE_COMPOSE"}}

DOCKERFILE = 'FROM python:3.11-slim\nENV LOG=info\nEXPOSE 8000\nCMD ["python", "-m", "shop"]\n'


class Project:
    """A folder with files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("Dockerfile", DOCKERFILE)
        self.write("towline.yaml", "app: shop\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def compose(self, text: str, **env: str) -> ComposeConfig:
        self.write("compose.yaml", text)
        return read_compose(find_files(self.root), env={**ENV, **env})

    def read(self, target: str = "laptop", **env: str) -> Resolved:
        return read(self.root, target, env={**ENV, **env})

    def mistakes(self, target: str = "laptop", **env: str) -> list[Finding]:
        """The findings of a project that cannot be read; none of them holds the canary."""
        with pytest.raises(Findings) as caught:
            self.read(target, **env)
        assert CANARY not in f"{caught.value!r}{caught.value}{caught.value.as_json()}{caught.value.findings}"
        return list(caught.value.findings)

    def told(self, target: str = "laptop", **env: str) -> list[str]:
        """The same, as place, code and sentence."""
        return [f"{one.where} {one.code}: {one.sentence}" for one in self.mistakes(target, **env)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def values(config: ComposeConfig, service: str) -> dict[str, str]:
    container = config.container(service)
    assert container is not None
    return {name: secret.reveal() for name, secret in container.environment.items()}


def test_environment_files_and_interpolation(project: Project) -> None:
    """`.env` fills variables, `env_file` is inlined, the machine goes before `.env`, and a dollar sign stays one."""
    project.write(".env", "FROM_DOTENV=dotenv\nBOTH=dotenv\n")
    project.write("api.env", f"INLINED={CANARY}\n# note\nexport QUOTED='a $b'\n")
    config = project.compose(
        """
services:
  api:
    image: x
    env_file: [api.env, {path: gone.env, required: false}]
    environment:
      A: ${FROM_DOTENV}
      B: ${BOTH}
      C: ${UNSET:-default}
      D: a$$b
      PASSED:
      NOT_PASSED:
    command: ["sh", "-c", "echo $$A ${BOTH}"]
""",
        BOTH="machine",
        PASSED="through",
    )
    assert values(config, "api") == {
        "A": "dotenv",
        "B": "machine",
        "C": "default",
        "D": "a$b",
        "INLINED": CANARY,
        "PASSED": "through",
        "QUOTED": "a $b",
    }
    api = config.container("api")
    assert api is not None
    assert api.command == ("sh", "-c", "echo $A machine")
    assert [path.name for path in config.files] == ["compose.yaml", ".env", "api.env"]
    assert CANARY not in repr(config)
    assert str(config.where_variable("api", "INLINED")) == "api.env:1"
    assert str(config.where_variable("api", "C")) == "compose.yaml:9"


def test_a_whole_service(project: Project) -> None:
    """Build, arguments, ports, order, health, limits: as Compose normalises them, in the types of this house."""
    config = project.compose(
        f"""
services:
  api:
    build: {{context: ., target: prod, args: {{TOKEN: {CANARY}}}}}
    ports: ["8080:8000", "53:53/udp"]
    depends_on: {{db: {{condition: service_healthy}}, seed: {{condition: service_completed_successfully}}}}
    healthcheck: {{test: curl -f http://localhost:8000/health}}
    stop_grace_period: 1m30s
    deploy: {{replicas: 2, resources: {{limits: {{memory: 256M}}}}}}
    volumes: ["data:/data", "./conf:/conf:ro"]
    networks: {{default: {{aliases: [front]}}}}
  seed: {{build: ., restart: "no", command: python -m "shop seed"}}
  db: {{image: "postgres:18"}}
volumes: {{data: }}
"""
    )
    api, seed = config.container("api"), config.container("seed")
    assert api is not None
    assert api.build is not None
    assert seed is not None
    assert (api.build.context, api.build.dockerfile) == (project.root, project.root / "Dockerfile")
    assert (api.build.stage, api.build.args["TOKEN"].reveal()) == ("prod", CANARY)
    assert (api.ports, api.published, api.aliases) == ((8000,), (8080,), ("front",))
    assert api.needs == {"db": "service_healthy", "seed": "service_completed_successfully"}
    assert api.health == "CMD-SHELL curl -f http://localhost:8000/health"
    assert (api.stop_within, api.replicas, api.memory) == (90.0, 2, 256 * 1024 * 1024)
    assert [(mount.kind, mount.target, mount.read_only) for mount in api.mounts] == [
        ("volume", "/data", False),
        ("bind", "/conf", True),
    ]
    assert (seed.command, seed.restart) == (("python", "-m", "shop seed"), "no")
    assert CANARY not in repr(config)


def test_lines_come_through_anchors_and_several_files(project: Project) -> None:
    """A variable that is merged in has the line where it is written; an override file is read as Compose reads it."""
    project.write("compose.override.yaml", "services:\n  api:\n    environment:\n      EXTRA: 1\n")
    config = project.compose(
        "x-env: &env\n  A: 1\nservices:\n  api:\n    image: x\n    environment:\n      <<: *env\n      B: 2\n"
    )
    assert values(config, "api") == {"A": "1", "B": "2", "EXTRA": "1"}
    places = [str(config.where_variable("api", name)) for name in ("A", "B", "EXTRA")]
    assert places == ["compose.yaml:2", "compose.yaml:8", "compose.override.yaml:4"]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"])
def test_the_file_is_found_by_composes_own_order(project: Project, name: str) -> None:
    """Each of the four names, the earlier before the later."""
    project.write(name, "services: {api: {image: x}}\n")
    assert [path.name for path in find_files(project.root)] == [name]
    project.write("docker-compose.yml", "services: {}\n")
    assert [path.name for path in find_files(project.root)] == [name]


def test_profiles_are_no_part_of_the_app(project: Project) -> None:
    """Neither by default nor when the machine's own variables or `.env` ask for one."""
    text = "services:\n  api: {image: x}\n  debug: {image: y, profiles: [debug], env_file: gone.env}\n"
    project.write(".env", "COMPOSE_PROFILES=debug\n")
    for env in ({}, {"COMPOSE_PROFILES": "debug"}):
        config = project.compose(text, **env)
        assert [container.name for container in config.containers] == ["api"]
        assert config.profiled == ("debug",)


def test_a_missing_variable_is_named_with_its_line(project: Project) -> None:
    """A warning for one that becomes nothing, an error for one that is demanded."""
    config = project.compose(
        "services:\n  api:\n    image: x\n    environment:\n      A: ${MISSING}\n      B: x${MISSING}\n"
    )
    assert [(one.code, one.level, str(one.where)) for one in config.findings] == [
        ("missing-variable", "warning", "compose.yaml:5")
    ]
    assert "`MISSING`" in config.findings[0].sentence
    project.write(
        "compose.yaml", "services:\n  api:\n    image: x\n    environment:\n      A: ${NEEDED:?for the mails}\n"
    )
    assert project.told() == ["compose.yaml:5 missing-variable: `NEEDED` must be set: for the mails"]


def test_a_value_that_is_cut_at_a_dollar_sign_is_told_but_not_shown(project: Project) -> None:
    """`pa$word` in an environment file loses half of itself under Compose: said, without saying which half."""
    project.write("api.env", "# first\nPASSWORD=pa$canarypiece\n")
    config = project.compose("services:\n  api:\n    image: x\n    env_file: api.env\n")
    assert [(one.code, str(one.where)) for one in config.findings] == [("missing-variable", "api.env")]
    assert "canarypiece" not in repr(config.findings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "services:\n  api:\n    image: x\n   bad: y\n",
            "compose.yaml:4 yaml-syntax: This is no YAML: the indentation does not fit the lines above",
        ),
        ("services:\n\tapi: {}\n", "compose.yaml:2 yaml-syntax: This is no YAML: a tab cannot indent YAML"),
        (
            "services:\n  api:\n    image: x\n    prots: []\n",
            "compose.yaml:4 compose-key: Compose does not know the key `prots` in `services.api`",
        ),
        (
            "services:\n  api:\n    image: x\n    env_file: [gone.env]\n",
            "compose.yaml:4 missing-env-file: The environment file `gone.env` does not exist",
        ),
        (
            f"services:\n  api:\n    image: x\n    ports: {CANARY}\n",
            "compose.yaml:4 compose-refused: `services.api.ports` must be a array",
        ),
        (
            f"services:\n  api:\n    image: x\n    environment: {{A: [{CANARY}]}}\n",
            "compose.yaml:4 compose-refused: `services.api.environment.A` must be a boolean, null, number or string",
        ),
        (
            f"services:\n  api:\n    image: x\n    mem_limit: {CANARY}\n",
            "compose.yaml:4 compose-refused: `services.api.mem_limit` cannot be read",
        ),
        (
            "services:\n  api:\n    image: x\n    depends_on: [db]\n",
            "compose.yaml:4 compose-refused: `api` names the service `db`, which the Compose file does not have",
        ),
        (
            "services:\n  api:\n    environment: {A: 1}\n",
            "compose.yaml:2 compose-refused: `api` has neither an image nor a build context specified",
        ),
        (
            "services:\n  api:\n    image: x\n    image: y\n",
            (
                "compose.yaml:4 yaml-syntax: This is no YAML that Compose can read: mapping key "
                '"image" already defined at line 3'
            ),
        ),
        (
            f"services:\n  api:\n    image: x\n    environment:\n      A: ${{X!}}{CANARY}\n",
            "compose.yaml:5 compose-refused: `services.api.environment.A` has a `$` that is no variable",
        ),
        ("", "compose.yaml compose-refused: Compose refuses the file: empty compose file"),
    ],
)
def test_what_compose_refuses_is_a_finding_with_its_line(project: Project, text: str, expected: str) -> None:
    """Its own reason in clean words, together with the page's own mistakes."""
    project.write("compose.yaml", text)
    project.write("towline.yaml", "app: shop\nservises: {}\n")
    unknown = "towline.yaml:2 unknown-key: Unknown key `servises`; did you mean `services`?"
    assert project.told() == [expected, unknown]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"A=1\nB C={CANARY}\n", "bad.env:2 broken-env-file: `bad.env` cannot be read: a name cannot hold a space"),
        (f"A='{CANARY}\n", "bad.env:1 broken-env-file: `bad.env` cannot be read: a quotation mark is never closed"),
    ],
)
def test_a_broken_environment_file(project: Project, content: str, expected: str) -> None:
    """Compose quotes the value in its message; the finding does not."""
    project.write("bad.env", content)
    project.write("compose.yaml", "services:\n  api:\n    image: x\n    env_file: bad.env\n")
    assert project.told() == [expected]


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
    assert find_compose({"PATH": path}) == ("docker", "compose")


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
