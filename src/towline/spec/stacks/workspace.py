"""The workspace that a Node package belongs to: where its packages are installed, and which of them it is made of."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from towline.spec.stacks.model import Member
from towline.spec.stacks.reading import names_in, table, texts

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.stacks.reading import Reader

_DEEPEST = 4
"""Folders between the root of a workspace and a package of it, for patterns such as `packages/**`."""


@dataclass(frozen=True)
class Workspace:
    """`root` installs the packages of all `packages`, which are folders with their package.json."""

    root: Path
    packages: tuple[tuple[Path, dict[str, Any]], ...]

    def closure(self, reader: Reader, folder: Path) -> tuple[Member, ...]:
        """The packages that the one in `folder` is made of, in the order of building, itself last."""
        by_name = {str(one["name"]): (path, one) for path, one in self.packages if isinstance(one.get("name"), str)}
        by_path = dict(self.packages)
        done: dict[Path, Member] = {}

        def take(path: Path, package: dict[str, Any], above: tuple[Path, ...]) -> None:
            for name in needed_by(package):
                below = by_name.get(name)
                if below is not None and below[0] not in done and below[0] not in above:
                    take(*below, (*above, path))
            builds = "build" in table(package.get("scripts"))
            done[path] = Member(reader.name(path), str(package.get("name") or ""), builds)

        if folder in by_path:
            take(folder, by_path[folder], ())
        return tuple(done.values())

    def strangers(self, reader: Reader, members: tuple[Member, ...]) -> tuple[str, ...]:
        """The folders of the packages that are none of `members`."""
        own = {one.folder for one in members}
        return tuple(name for path, _ in self.packages if (name := reader.name(path)) not in own)


def needed_by(package: dict[str, Any]) -> tuple[str, ...]:
    """The packages that a package.json names, those for development included, for a build needs them."""
    keys = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
    return tuple(dict.fromkeys(name for key in keys for name in names_in(package.get(key))))


def workspace_of(reader: Reader, folder: Path) -> Workspace | None:
    """The workspace around `folder`, or the one whose root it is; None when it stands alone."""
    for root in (folder, *folder.parents):
        patterns = _patterns(reader, root)
        if patterns:
            found = _packages(reader, root, patterns)
            return Workspace(root, found) if root == folder or folder in (path for path, _ in found) else None
        if root == reader.project:
            return None
    return None


def _patterns(reader: Reader, root: Path) -> tuple[str, ...]:
    if (root / "pnpm-workspace.yaml").is_file():
        return texts(reader.yaml(root / "pnpm-workspace.yaml").get("packages"))
    if not (root / "package.json").is_file():
        return ()
    written = reader.json(root / "package.json").get("workspaces")
    return texts(written) or texts(table(written).get("packages"))


def _packages(reader: Reader, root: Path, patterns: tuple[str, ...]) -> tuple[tuple[Path, dict[str, Any]], ...]:
    wanted = [pattern.removeprefix("./").strip("/") for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:].removeprefix("./").strip("/") for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in wanted if pattern and ".." not in pattern.split("/")]
    found: set[Path] = set()
    for pattern in wanted:
        depths = ["/".join(["*"] * depth) for depth in range(1, _DEEPEST)] if "**" in pattern else [""]
        for depth in depths:
            found |= {path.parent for path in root.glob(f"{pattern.replace('**', depth)}/package.json")}
    kept = [path for path in sorted(found) if "node_modules" not in path.parts and not _refused(path, root, refused)]
    return tuple((path, reader.json(path / "package.json")) for path in kept)


def _refused(path: Path, root: Path, patterns: list[str]) -> bool:
    name = path.relative_to(root).as_posix()
    return any(fnmatch.fnmatchcase(name, pattern.replace("**", "*")) for pattern in patterns)
