"""The real Compose: what it inlines, what it refuses, and that no value is ever repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import CANARY, Project

from towline.spec.compose import ComposeConfig, find_files

if TYPE_CHECKING:
    from pathlib import Path


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
        "compose.yaml", "services:\n  api:\n    build: .\n    environment:\n      A: ${NEEDED:?for the mails}\n"
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
    project.write("compose.yaml", "services:\n  api:\n    build: .\n    env_file: bad.env\n")
    assert project.told() == [expected]
