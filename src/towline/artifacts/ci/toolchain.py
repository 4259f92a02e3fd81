"""How a service's language is set up in a workflow, and which commands check it: as its own files call for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.artifacts.ci.actions import run, uses
from towline.artifacts.node_lines import build_only, install_line, script_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.stack import Stack

NODE, PYTHON = "22", "3.11"
"""What runs a service whose files name no version."""

_TYPES = ("typecheck", "type-check", "check-types", "types", "tsc")
_COVERED = ("test:coverage", "test:cov", "coverage")
_CHECKED_PYTHON = ("ruff", "black", "isort", "flake8", "mypy", "pytest")


@dataclass(frozen=True)
class Check:
    """One command that must succeed, and what it is called in the log."""

    name: str
    line: str


@dataclass(frozen=True)
class Toolchain:
    """The steps that install everything, the checks after them, and the folder that they run in."""

    folder: str
    setup: tuple[dict[str, object], ...]
    install: str
    checks: tuple[Check, ...] = field(default=())


def toolchain_of(stack: Stack, build: str | None = None) -> Toolchain | None:
    """What tests a service of this stack; None for a language that is not known."""
    if stack.language == "node":
        return Toolchain(stack.root, tuple(_node_setup(stack)), _node_install(stack), tuple(_node(stack, build)))
    if stack.language == "python":
        return Toolchain(stack.root, tuple(_python_setup(stack)), _python_install(stack), tuple(_python(stack)))
    return None


def prefix(stack: Stack) -> str:
    """What stands before a command so that it finds the packages."""
    return {"uv": "uv run ", "poetry": "poetry run ", "pipenv": "pipenv run "}.get(stack.installer or "", "")


def _node_setup(stack: Stack) -> Iterator[dict[str, object]]:
    if stack.installer in {"pnpm", "yarn"}:
        yield run("Provide the package manager that package.json names", "corepack enable")
    given: dict[str, object] = {"node-version": stack.version or NODE}
    if stack.locks:
        given |= {"cache": stack.installer or "npm", "cache-dependency-path": stack.locks[0]}
    yield uses("actions/setup-node", "", given)


def _node_install(stack: Stack) -> str:
    lines = [install_line(stack)]
    if stack.prisma_schema:
        schema = stack.prisma_schema.removeprefix(f"{stack.root}/") if stack.root else stack.prisma_schema
        lines.append(f"npx prisma generate --schema {shlex.quote(schema)}")
    # Its neighbours in the workspace are built first: its types and tests look into what that leaves.
    lines += [script_line(stack, "build", (one.folder, one.name)) for one in stack.members[:-1] if one.builds]
    return "\n".join(lines)


def _node(stack: Stack, build: str | None) -> Iterator[Check]:
    inner = stack.folder.removeprefix(stack.root).strip("/") or "."
    if "lint" in stack.scripts:
        yield Check("Lint", script_line(stack, "lint"))
    elif "eslint" in stack.tools:
        yield Check("Lint", f"npx eslint {inner}")
    types = next((script for script in _TYPES if script in stack.scripts), None)
    if types:
        yield Check("Types", script_line(stack, types))
    elif stack.typescript:
        # TypeScript may be there for another package of the workspace.
        place = "tsconfig.json" if inner == "." else f"{inner}/tsconfig.json"
        yield Check("Types", f"if [ -f {place} ]; then npx tsc --noEmit --project {place}; fi")
    covered = next((script for script in _COVERED if script in stack.scripts), None)
    if covered:
        yield Check("Test", script_line(stack, covered))
    elif "test" in stack.scripts and "jest" in (stack.script("test") or ""):
        line = script_line(stack, "test")
        yield Check(
            "Test", f"{line} {_dashes(stack)}--coverage --coverageReporters=text-summary --coverageReporters=lcov"
        )
    elif "test" in stack.scripts:
        yield Check("Test", script_line(stack, "test"))
    if "build" in stack.scripts or build:
        yield Check("Build", build_only(stack, build))


def _dashes(stack: Stack) -> str:
    """npm and pnpm take what follows `--` for the script; yarn passes all of it on."""
    return "" if stack.installer == "yarn" else "-- "


def _python_setup(stack: Stack) -> Iterator[dict[str, object]]:
    version = stack.version or PYTHON
    if stack.installer == "uv":
        yield uses("astral-sh/setup-uv", "", {"python-version": version, "enable-cache": True})
        return
    if stack.installer in {"poetry", "pipenv"}:
        # Before Python is set up, whose cache asks the package manager where its packages lie.
        yield run("Provide the package manager", f"pipx install {stack.installer}")
    given: dict[str, object] = {"python-version": version}
    files = [one for one in (*stack.locks, *stack.manifests, *stack.dev_manifests) if one]
    if files and stack.installer:
        given |= {"cache": stack.installer, "cache-dependency-path": "\n".join(files) if files[1:] else files[0]}
    yield uses("actions/setup-python", "", given)


def _python_install(stack: Stack) -> str:
    tools = _python_tools(stack)
    if stack.installer == "uv":
        return "uv sync --frozen --all-groups" + (f"\nuv pip install {' '.join(tools)}" if tools else "")
    if stack.installer == "poetry":
        return "poetry install" + (f"\npoetry run pip install {' '.join(tools)}" if tools else "")
    if stack.installer == "pipenv":
        return "pipenv sync --dev" + (f"\npipenv run pip install {' '.join(tools)}" if tools else "")
    inner = f"{stack.root}/" if stack.root else ""
    listed = [one.removeprefix(inner) for one in (*stack.locks[:1], *stack.dev_manifests) if one.endswith(".txt")]
    lines = [f"pip install {' '.join(f'-r {one}' for one in listed)}"] if listed else ["pip install ."]
    # What the lists above pin is there by now and stays as it is.
    return "\n".join([*lines, *([f"pip install {' '.join(tools)}"] if tools else [])])


def _python_tools(stack: Stack) -> list[str]:
    """What checks it, whether its lists name it or only its configuration does."""
    found = [tool for tool in _CHECKED_PYTHON if tool in stack.tools]
    return [*found, *(["pytest-cov"] if "pytest" in found else [])]


def _python(stack: Stack) -> Iterator[Check]:
    start = prefix(stack)
    inner = stack.folder.removeprefix(stack.root).strip("/") or "."
    if "ruff" in stack.tools:
        yield Check("Lint", f"{start}ruff check {inner}")
    elif "flake8" in stack.tools:
        yield Check("Lint", f"{start}flake8 {inner}")
    if "black" in stack.tools:
        yield Check("Format", f"{start}black --check {inner}")
    if "isort" in stack.tools:
        yield Check("Order of imports", f"{start}isort --check-only {inner}")
    if "mypy" in stack.tools:
        yield Check("Types", f"{start}mypy {inner}")
    if "pytest" in stack.tools:
        yield Check("Test", f"{start}pytest {inner} --cov={inner} --cov-report=term --cov-report=xml")
    elif "fastapi" in stack.frameworks or "django" in stack.frameworks or stack.tools:
        yield Check("Compile", f"{start}python -m compileall -q {inner}")
