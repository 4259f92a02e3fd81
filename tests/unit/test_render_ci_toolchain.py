"""How the workflows install and check a service, for each installer: as its own files call for."""

from __future__ import annotations

from typing import Any

import pytest

from towline.artifacts.ci.toolchain import toolchain_of
from towline.artifacts.node_lines import build_line
from towline.spec.stack import Member, Stack


def lines(stack: Stack, build: str | None = None) -> dict[str, str]:
    """The checks by name, and the installation."""
    chain = toolchain_of(stack, build)
    assert chain is not None
    return {"Install": chain.install, **{one.name: one.line for one in chain.checks}}


def given(stack: Stack) -> dict[str, Any]:
    """What the action that sets the language up is told."""
    chain = toolchain_of(stack)
    assert chain is not None
    found: dict[str, Any] = chain.setup[-1]["with"]  # type: ignore[assignment]  # a step as plain data
    return found


@pytest.mark.parametrize(
    ("installer", "lock", "version", "install", "script"),
    [
        ("npm", "package-lock.json", None, "npm ci --include=dev", "npm run lint"),
        ("pnpm", "pnpm-lock.yaml", None, "pnpm install --frozen-lockfile --prod=false", "pnpm run lint"),
        ("yarn", "yarn.lock", "1", "yarn install --frozen-lockfile --production=false", "yarn run lint"),
        ("yarn", "yarn.lock", "4", "yarn install --immutable", "yarn run lint"),
    ],
)
def test_node_installs_what_is_locked(
    installer: str, lock: str, version: str | None, install: str, script: str
) -> None:
    """With the packages that building needs, and the installer's own cache."""
    stack = Stack("node", "", "", "20", installer, ("package.json",), (lock,), ("lint",), installer_version=version)
    assert lines(stack) == {"Install": install, "Lint": script}
    assert given(stack) == {"node-version": "20", "cache": installer, "cache-dependency-path": lock}
    chain = toolchain_of(stack)
    assert chain is not None
    assert [step.get("run") for step in chain.setup[:-1]] == ([] if installer == "npm" else ["corepack enable"])


def test_without_a_lock_file_nothing_is_cached() -> None:
    """And nothing can be installed exactly."""
    stack = Stack("node", "", "", None, "npm", ("package.json",))
    assert lines(stack) == {"Install": "npm install --include=dev"}
    assert given(stack) == {"node-version": "22"}


@pytest.mark.parametrize(
    ("installer", "build", "test"),
    [
        ("npm", "npm run build --workspace packages/shared", "npm run test --workspace packages/api"),
        ("pnpm", "pnpm --filter @kirby/shared run build", "pnpm --filter @kirby/api run test"),
        ("yarn", "yarn workspace @kirby/shared run build", "yarn workspace @kirby/api run test"),
    ],
)
def test_a_workspace_builds_the_neighbours_first(installer: str, build: str, test: str) -> None:
    """From the root, where the packages are installed."""
    members = (
        Member("packages/shared", "@kirby/shared", builds=True),
        Member("packages/api", "@kirby/api", builds=True),
    )
    stack = Stack(
        "node", "packages/api", "", "20", installer, ("package.json",), ("lock",), ("test",), workspace=True,
        members=members, package="@kirby/api", script_lines=(("test", "node --test"),),
    )  # fmt: skip
    found = lines(stack)
    assert found["Install"].splitlines()[-1] == build
    assert found["Test"] == test


def test_jest_reports_coverage_and_types_are_checked() -> None:
    """A script of one's own goes before what the tools are known to do."""
    scripts = {"test": "jest", "typecheck": "tsc -b", "build": "tsc"}
    stack = Stack(
        "node", "api", "api", "20", "npm", ("api/package.json",), ("api/package-lock.json",), tuple(scripts),
        typescript=True, tools=("eslint",), script_lines=tuple(scripts.items()), prisma_schema="api/db/schema.prisma",
    )  # fmt: skip
    found = lines(stack)
    assert found["Install"].endswith("npx prisma generate --schema db/schema.prisma")
    assert (found["Lint"], found["Types"], found["Build"]) == ("npx eslint .", "npm run typecheck", "npm run build")
    assert found["Test"] == "npm run test -- --coverage --coverageReporters=text-summary --coverageReporters=lcov"


def test_a_build_that_installs_by_itself_is_not_given_a_second_installation() -> None:
    """What `towline init` writes for a site begins with its installation."""
    stack = Stack("node", "", "", None, "npm", ("package.json",), ("package-lock.json",), ("build",))
    assert build_line(stack, "npm ci && npm run build") == "npm ci && npm run build"
    assert build_line(stack, "npm run build") == "npm ci --include=dev && npm run build"
    assert build_line(stack, None) == "npm ci --include=dev && npm run build"


@pytest.mark.parametrize(
    ("installer", "locks", "install", "test"),
    [
        ("pip", ("ml/requirements.txt",), "pip install -r requirements.txt -r requirements-dev.txt", "pytest ."),
        ("uv", ("ml/uv.lock",), "uv sync --frozen --all-groups", "uv run pytest ."),
        ("poetry", ("ml/poetry.lock",), "poetry install", "poetry run pytest ."),
        ("pipenv", ("ml/Pipfile.lock",), "pipenv sync --dev", "pipenv run pytest ."),
    ],
)
def test_python_installs_what_is_locked_and_what_checks_it(
    installer: str, locks: tuple[str, ...], install: str, test: str
) -> None:
    """Each with its own installer, and every tool that is configured though no list names it."""
    dev = ("ml/requirements-dev.txt",) if installer == "pip" else ()
    stack = Stack(
        "python", "ml", "ml", "3.12", installer, (), locks, tools=("ruff", "black", "mypy", "pytest"), dev_manifests=dev
    )
    found = lines(stack)
    assert found["Install"].splitlines()[0] == install
    assert found["Install"].splitlines()[1].endswith("pip install ruff black mypy pytest pytest-cov")
    start = test.removesuffix("pytest .")
    assert found["Lint"] == f"{start}ruff check ."
    assert found["Format"] == f"{start}black --check ."
    assert found["Types"] == f"{start}mypy ."
    assert found["Test"] == f"{test} --cov=. --cov-report=term --cov-report=xml"
    assert given(stack)["python-version"] == "3.12"


def test_a_language_that_is_not_known_has_no_toolchain() -> None:
    """Its image is built all the same."""
    assert toolchain_of(Stack("other", "", "")) is None
