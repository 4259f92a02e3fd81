"""A Python service: requirements, pyproject, Pipfile, and the lock files of uv, Poetry and Pipenv."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.spec.stacks.known import (
    DEFAULT_PYTHON,
    FRAMEWORKS,
    PYTHON_COMPILED,
    PYTHON_LIBRARIES,
    TOOLS,
    WEIGHTS,
    WITH_OWN_LIBRARY,
)
from towline.spec.stacks.model import Stack
from towline.spec.stacks.reading import names_in, table, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.stacks.reading import Reader

_REQUIREMENTS = (
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "requirements-prod.txt",
    "requirements.prod.txt",
)
_FOR_DEVELOPMENT = (
    "requirements-dev.txt",
    "requirements.dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements-test.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
)
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[=\s]+(\S+)", re.MULTILINE)
_LOCKED = re.compile(r"^name = \"([^\"]+)\"", re.MULTILINE)
_VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)")
_BOUND = re.compile(r"(>=|>|<=|<|==|~=|\^|~)\s*3\.(\d+)")
_INDEX = re.compile(r"download\.pytorch\.org|\+cpu\b|--hash=")


@dataclass(frozen=True)
class _Found:
    """What installs the packages, with which files, and the names of the packages as far as they are told."""

    installer: str | None
    manifests: tuple[Path, ...]
    locks: tuple[Path, ...]
    needed: frozenset[str]
    for_development: frozenset[str] = frozenset()


def read_python(reader: Reader, folder: Path, context: Path) -> Stack:
    """The Stack of the service in `folder`; `context` is what Compose builds it from."""
    root = _root(reader, folder, context)
    project = reader.toml(root / "pyproject.toml")
    found = _found(reader, root, project)
    development = tuple(root / name for name in _FOR_DEVELOPMENT if (root / name).is_file())
    extra = found.for_development | _named(reader, development) | _configured(project)
    compiled = sorted(PYTHON_COMPILED.keys() & found.needed)
    members = _uv_members(root, project) if found.installer == "uv" else ()
    own = reader.toml(folder / "pyproject.toml") if members and folder != root else project
    libraries = [*(PYTHON_COMPILED[one][1] for one in compiled), *_libraries(found.needed)]
    return Stack(
        language="python",
        folder=reader.name(folder),
        root=reader.name(root),
        version=_version(reader, folder, root, project),
        installer=found.installer,
        manifests=tuple(reader.name(path) for path in (*found.manifests, *members)),
        locks=tuple(reader.name(path) for path in found.locks),
        frameworks=tuple(name for name in FRAMEWORKS["python"] if name in found.needed),
        tools=tuple(name for name in TOOLS["python"] if name in found.needed | extra),
        needs_compiler=bool(compiled),
        model_weights=tuple(name for name in WEIGHTS if name in found.needed),
        context=reader.name(reader.outermost(root, context)),
        build_packages=_sorted([PYTHON_COMPILED[one][0] for one in compiled]),
        run_packages=_sorted(libraries),
        installs_itself="build-system" in own and (bool(members) or _is_package(root, own)),
        workspace=bool(members),
        package=name if isinstance(name := table(own.get("project")).get("name"), str) else None,
        dev_manifests=tuple(reader.name(path) for path in development),
        cpu_torch=found.installer == "pip" and "torch" in found.needed and not _indexed(reader, found.locks),
    )


def python_version(text: str) -> str | None:
    """The version that one of the many notations pins; None when several would do, and the usual one is among them."""
    bounds = [(sign, int(minor)) for sign, minor in _BOUND.findall(text)]
    if not bounds:
        match = _VERSION.search(text)
        return match[1] if match else None
    pinned = next((minor for sign, minor in bounds if sign in ("==", "~=", "^", "~")), None)
    if pinned is not None:
        return f"3.{pinned}"
    usual = int(DEFAULT_PYTHON.partition(".")[2])
    least = max((minor + (sign == ">") for sign, minor in bounds if sign in (">=", ">")), default=0)
    most = min((minor - (sign == "<") for sign, minor in bounds if sign in ("<=", "<")), default=99)
    return None if least <= usual <= most else f"3.{least or most}"


def _root(reader: Reader, folder: Path, context: Path) -> Path:
    """Where the packages are installed: a uv workspace around the folder, itself, or the context around it."""
    around = [folder, *(path for path in folder.parents if path.is_relative_to(reader.project) or path == context)]
    for path in around[1:]:
        if folder / "pyproject.toml" in _uv_members(path, reader.toml(path / "pyproject.toml")):
            return path
    found = (path for path in around if any((path / name).is_file() for name in _MARKS))
    return next((path for path in found if path in (folder, context)), folder)


_MARKS = ("uv.lock", "poetry.lock", "Pipfile.lock", "Pipfile", "pyproject.toml", *_REQUIREMENTS, "setup.py")


def _uv_members(root: Path, project: dict[str, Any]) -> tuple[Path, ...]:
    """The manifests of the packages of a uv workspace; none when it is no workspace."""
    workspace = table(table(table(project.get("tool")).get("uv")).get("workspace"))
    found = {path for one in texts(workspace.get("members")) for path in root.glob(f"{one.strip('/')}/pyproject.toml")}
    return tuple(sorted(found))


def _found(reader: Reader, root: Path, project: dict[str, Any]) -> _Found:
    """The most exact file wins: a lock before a list, a list before a manifest."""
    if (root / "Pipfile").is_file() or (root / "Pipfile.lock").is_file():
        return _of_pipenv(reader, root)
    pyproject = (root / "pyproject.toml",) if project else ()
    named, development = _of_project(project)
    for lock, installer in (("uv.lock", "uv"), ("poetry.lock", "poetry")):
        if (root / lock).is_file():
            locked = frozenset(_plain(name) for name in _LOCKED.findall(reader.text(root / lock) or ""))
            own = locked - (development - named)
            return _Found(installer, pyproject, (root / lock,), own, development)
    listed = next((root / name for name in _REQUIREMENTS if (root / name).is_file()), None)
    if listed is not None:
        files = tuple(_with_included(reader, listed))
        return _Found("pip", pyproject, files, _named(reader, files), development)
    if named and "project" not in project:
        return _Found("poetry", pyproject, (), named, development)
    if "project" in project:
        return _Found("pip", pyproject, (), named, development)
    return _Found(None, pyproject, (), frozenset())


def _of_pipenv(reader: Reader, root: Path) -> _Found:
    manifest, lock = (tuple(path for path in (root / name,) if path.is_file()) for name in ("Pipfile", "Pipfile.lock"))
    keys = ("default", "develop") if lock else ("packages", "dev-packages")
    listed = reader.json(root / "Pipfile.lock") if lock else reader.toml(root / "Pipfile")
    needed, other = (frozenset(map(_plain, names_in(listed.get(key)))) for key in keys)
    return _Found("pipenv", manifest, lock, needed, other)


def _of_project(project: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The packages that pyproject.toml names for running, and those for development."""
    own, poetry = table(project.get("project")), table(table(project.get("tool")).get("poetry"))
    run = [*texts(own.get("dependencies")), *(one for one in names_in(poetry.get("dependencies")) if one != "python")]
    groups = [texts(one) for one in table(project.get("dependency-groups")).values()]
    groups += [texts(one) for one in table(own.get("optional-dependencies")).values()]
    groups += [names_in(table(one).get("dependencies")) for one in table(poetry.get("group")).values()]
    groups.append(names_in(poetry.get("dev-dependencies")))
    return _requirements(run), _requirements([name for group in groups for name in group])


def _configured(project: dict[str, Any]) -> frozenset[str]:
    """Tools with a section of their own."""
    return frozenset(_plain(name) for name in names_in(project.get("tool")))


def _with_included(reader: Reader, first: Path) -> Iterator[Path]:
    """A list of requirements and those that it includes, in the order of reading."""
    waiting, seen = [first], set[Path]()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = reader.text(path)
        if text is None:
            reader.doubts.append(f"{reader.name(first)} includes {reader.name(path)}, which is not there")
            continue
        yield path
        waiting += [path.parent / name for name in _INCLUDED.findall(text) if "://" not in name]


def _named(reader: Reader, files: tuple[Path, ...]) -> frozenset[str]:
    lines = [line for path in files for line in (reader.text(path) or "").splitlines()]
    return _requirements([line for line in lines if line.strip() and line.lstrip()[0] not in "#-"])


def _requirements(lines: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for line in lines:
        match = _NAME.match(line)
        if match:
            name = _plain(match[1])
            found |= {
                name,
                *(f"{name}-{_plain(extra.strip())}" for extra in (match[2] or "").split(",") if extra.strip()),
            }
    return frozenset(found)


def _plain(name: str) -> str:
    """The name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _libraries(needed: frozenset[str]) -> list[tuple[str, ...]]:
    without = {"psycopg"} if needed & WITH_OWN_LIBRARY else set()
    return [PYTHON_LIBRARIES[name] for name in sorted((PYTHON_LIBRARIES.keys() & needed) - without)]


def _sorted(groups: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({one for group in groups for one in group}))


def _is_package(root: Path, project: dict[str, Any]) -> bool:
    """Whether its own code is found only once it is installed: a `src` layout, or scripts that it brings."""
    own = table(project.get("project"))
    return (root / "src").is_dir() or bool(own.get("scripts"))


def _indexed(reader: Reader, files: tuple[Path, ...]) -> bool:
    """Whether the list says itself where torch comes from, or lets nothing else in."""
    return any(_INDEX.search(reader.text(path) or "") for path in files)


def _version(reader: Reader, folder: Path, root: Path, project: dict[str, Any]) -> str | None:
    places = dict.fromkeys((folder, root))
    written: list[object] = [reader.text(path / name) for path in places for name in (".python-version", "runtime.txt")]
    written.append(table(project.get("project")).get("requires-python"))
    written.append(table(table(table(project.get("tool")).get("poetry")).get("dependencies")).get("python"))
    requires = table(reader.toml(root / "Pipfile").get("requires"))
    written += [requires.get("python_full_version"), requires.get("python_version")]
    found = (python_version(text) for text in written if isinstance(text, str))
    return next((version for version in found if version is not None), None)
