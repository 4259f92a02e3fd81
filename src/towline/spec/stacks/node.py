"""A Node service: package.json, its lock file, the workspace around it, its Prisma schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from towline.spec.guess.setups import NODE_LOCKS
from towline.spec.stacks.known import DEFAULT_NODE, FRAMEWORKS, NODE_COMPILED, NODE_GLIBC, NODE_NAMES, TOOLS
from towline.spec.stacks.model import Stack
from towline.spec.stacks.reading import names_in, table
from towline.spec.stacks.workspace import Workspace, needed_by, workspace_of

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.stacks.model import Member
    from towline.spec.stacks.reading import Reader

_PINNED = re.compile(r"^[v=^~\s]*(\d+(?:\.\d+){0,2})(?:\.[x*])*$")
_AT_LEAST = re.compile(r"^>=?\s*(\d+)")
_OUTPUT = re.compile(r"generator\s+\w+\s*\{[^}]*?\boutput\s*=\s*\"([^\"]+)\"")
_MANAGER = re.compile(r"^(npm|pnpm|yarn)@(\d[\w.-]*)")
_LOCK_VERSION = re.compile(r"^lockfileVersion:\s*'?(\d+)", re.MULTILINE)
_PNPM_OF_LOCK = {"5": "7", "6": "8", "9": "9"}
_BERRY = "4"
_INSTALLER_FILES = (".npmrc", ".yarnrc.yml", ".yarn/releases", ".yarn/patches", "pnpm-workspace.yaml", "patches")
_LIFECYCLE = ("preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare")


def read_node(reader: Reader, folder: Path, context: Path) -> Stack:
    """The Stack of the package in `folder`; `context` is what Compose builds the service from."""
    package = reader.json(folder / "package.json")
    around = workspace_of(reader, folder)
    root = around.root if around else folder
    members = around.closure(reader, folder) if around else ()
    manifests = [root / "package.json", *(path / "package.json" for path, _ in (around.packages if around else ()))]
    needed = _needed(package, around, members, reader)
    lines = {name: line for name, line in table(package.get("scripts")).items() if isinstance(line, str)}
    schema = _schema(reader, package, folder, root, members) if {"prisma", "@prisma/client"} & needed else None
    installer, locks, version = _installer(reader, root)
    return Stack(
        language="node",
        folder=reader.name(folder),
        root=reader.name(root),
        version=_version(reader, folder, root, package),
        installer=installer,
        manifests=tuple(reader.name(path) for path in dict.fromkeys(manifests) if path.is_file()),
        locks=locks,
        scripts=tuple(lines),
        workspace=around is not None,
        prisma_schema=None if schema is None else reader.name(schema),
        typescript="typescript" in needed or (folder / "tsconfig.json").is_file(),
        frameworks=tuple(name for name in FRAMEWORKS["node"] if name in needed),
        tools=tuple(name for name in TOOLS["node"] if name in needed),
        needs_compiler=bool(NODE_COMPILED & needed),
        context=reader.name(reader.outermost(root, context)),
        installer_version=version,
        script_lines=tuple(lines.items()),
        for_development=_for_development(_own(package, around, reader)),
        package=name if isinstance(name := package.get("name"), str) else None,
        members=members,
        strangers=around.strangers(reader, members) if around else (),
        prisma_output=_output(reader, schema),
        installer_files=tuple(reader.name(root / name) for name in _INSTALLER_FILES if (root / name).exists()),
        lifecycle=_lifecycle(reader, [folder] if around is None else [root, *(path for path, _ in around.packages)]),
        glibc=bool(NODE_GLIBC & needed),
    )


def node_version(text: str) -> str | None:
    """The version that one of the many notations pins; None when several would do, and the usual one is among them."""
    words = text.strip().lower().removeprefix("node").strip()
    if words.startswith("lts/"):
        return NODE_NAMES.get(words.removeprefix("lts/"))
    pinned = _PINNED.match(words)
    if pinned:
        return pinned[1] if words[0] not in "^~" and "x" not in words and "*" not in words else pinned[1].split(".")[0]
    least = _AT_LEAST.match(words)
    below = re.search(r"<\s*(\d+)", words)
    if least is None:
        return None
    fits = int(least[1]) <= int(DEFAULT_NODE) and (below is None or int(DEFAULT_NODE) < int(below[1]))
    return None if fits else least[1]


def _version(reader: Reader, folder: Path, root: Path, package: dict[str, Any]) -> str | None:
    files = [path / name for path in dict.fromkeys((folder, root)) for name in (".nvmrc", ".node-version")]
    written: list[object] = [reader.text(path) for path in files]
    for one in (package, reader.json(root / "package.json") if root != folder else {}):
        written += [table(one.get("volta")).get("node"), table(one.get("engines")).get("node")]
    found = (node_version(text) for text in written if isinstance(text, str) and text.strip())
    return next((version for version in found if version is not None), None)


def _installer(reader: Reader, root: Path) -> tuple[str | None, tuple[str, ...], str | None]:
    """What installs the packages, the files that pin them, and the version of the installer that the files ask for."""
    manager = reader.json(root / "package.json").get("packageManager")
    asked = _MANAGER.match(manager) if isinstance(manager, str) else None
    found = next(((file, line.split()[0]) for file, line, _ in NODE_LOCKS if (root / file).is_file()), None)
    if found is None:
        return None, (), None
    file, installer = found
    locks = (reader.name(root / file),) if file != "package.json" else ()
    if asked and not locks:
        installer = asked[1]
    if asked and asked[1] == installer:
        return installer, locks, asked[2]
    return installer, locks, _told_by_lock(reader, root / file, installer)


def _told_by_lock(reader: Reader, lock: Path, installer: str) -> str | None:
    if installer not in ("pnpm", "yarn"):
        return None
    text = reader.text(lock) or ""
    if installer == "yarn":
        return "1" if "yarn lockfile v1" in text[:400] else _BERRY
    match = _LOCK_VERSION.search(text[:400])
    return _PNPM_OF_LOCK.get(match[1]) if match else None


def _needed(
    package: dict[str, Any], around: Workspace | None, members: tuple[Member, ...], reader: Reader
) -> frozenset[str]:
    """The packages that this one and its neighbours name; the tools of a workspace are often the root's."""
    folders = {one.folder for one in members}
    others = [one for path, one in (around.packages if around else ()) if reader.name(path) in folders]
    of_root = _own(package, around, reader)[:1]
    return frozenset(name for one in (package, *others, *of_root) for name in needed_by(one))


def _own(package: dict[str, Any], around: Workspace | None, reader: Reader) -> list[dict[str, Any]]:
    """Every package.json that one installation reads."""
    if around is None:
        return [package]
    return [reader.json(around.root / "package.json"), *(one for _, one in around.packages)]


def _lifecycle(reader: Reader, folders: list[Path]) -> tuple[tuple[str, str], ...]:
    """What an installation runs of the app's own scripts, by folder."""
    scripts = ((folder, table(reader.json(folder / "package.json").get("scripts"))) for folder in folders)
    return tuple((reader.name(folder), name) for folder, known in scripts for name in _LIFECYCLE if name in known)


def _for_development(packages: list[dict[str, Any]]) -> tuple[str, ...]:
    """What these packages name for development, and none of them for production."""
    wanted = {name for one in packages for name in names_in(one.get("dependencies"))}
    return tuple(sorted({name for one in packages for name in names_in(one.get("devDependencies"))} - wanted))


def _schema(
    reader: Reader, package: dict[str, Any], folder: Path, root: Path, members: tuple[Member, ...]
) -> Path | None:
    named = table(package.get("prisma")).get("schema")
    places = [folder, *(reader.project / one.folder for one in reversed(members)), root]
    asked = [folder / named] if isinstance(named, str) else []
    asked += [place / name for place in places for name in ("prisma/schema.prisma", "schema.prisma")]
    return next((path for path in asked if path.is_file()), None)


def _output(reader: Reader, schema: Path | None) -> str | None:
    match = _OUTPUT.search(reader.text(schema) or "") if schema else None
    return match[1] if match else None
