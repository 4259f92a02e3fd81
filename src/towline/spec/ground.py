"""What lies in the folders that services are built from and start in: Dockerfiles, and the files that pin packages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from towline.spec.bound import Lies, lies_of
from towline.spec.container import Mount
from towline.spec.dockerfile import Recipe, read_dockerfile

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Build, Container
    from towline.spec.page import Page

_LOCKS = (
    "requirements*.txt",
    "requirements/*.txt",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "deno.lock",
    "Gemfile.lock",
    "composer.lock",
    "go.sum",
    "Cargo.lock",
    "mix.lock",
    "gradle.lockfile",
)


@dataclass(frozen=True)
class Ground:
    """What is there for one service. `recipe` is empty when its Dockerfile is not there.

    `folder` tells of the one that the page names with `cwd:`; `locks` are in it, else in the build context. `copied`
    are the folders (bind) and files (file) of the context that the image has as they are, with their place in it;
    what goes elsewhere than where its process starts is only a part of what is built (part). `lies` says what is where
    it mounts something of this machine, by path.
    """

    recipe: Recipe = field(default_factory=Recipe)
    context_exists: bool = True
    dockerfile_exists: bool = True
    locks: tuple[Path, ...] = ()
    folder: Literal["there", "absent", "outside"] = "there"
    copied: tuple[Mount, ...] = ()
    lies: dict[str, Lies] = field(default_factory=dict)


def look(compose: ComposeConfig, page: Page) -> dict[str, Ground]:
    """The ground of every service of the Compose file that is built, has a `cwd:` or mounts something of this machine.

    Reads, changes nothing.
    """
    folders = {name: entry.cwd for name, entry in page.services.items() if entry.cwd is not None}
    seen = [one for one in compose.containers if one.build is not None or one.name in folders]
    found = {one.name: _look_at(one, folders.get(one.name), compose.root) for one in seen}
    for one in compose.containers:
        if lies := lies_of(one, compose.root):
            found[one.name] = replace(found.get(one.name, Ground()), lies=lies)
    return found


def _look_at(container: Container, cwd: str | None, root: Path) -> Ground:
    build = container.build
    around = root if build is None else build.context
    if around is None or not around.is_dir():
        return Ground(context_exists=False, dockerfile_exists=False)
    folder = around if cwd is None else around / cwd
    recipe = _recipe(build) if build is not None else None
    return Ground(
        recipe=recipe or Recipe(),
        dockerfile_exists=recipe is not None,
        locks=_locks(folder),
        folder=_told(folder, around),
        copied=_copied(recipe, around) if recipe is not None else (),
    )


def _recipe(build: Build) -> Recipe | None:
    """What its Dockerfile says; None when it is not there."""
    if build.inline is not None:
        return read_dockerfile(build.inline.encode(), stage=build.stage, args=build.args)
    try:
        content = build.dockerfile.read_bytes() if build.dockerfile else b""
    except OSError:
        return None
    return read_dockerfile(content, stage=build.stage, args=build.args)


def _copied(recipe: Recipe, context: Path) -> tuple[Mount, ...]:
    """A folder's contents go to the place that COPY names, a file into it where that ends in a slash or is a folder."""
    found, home = {}, PurePosixPath(recipe.workdir or "/")
    for source, place in recipe.copies:
        path = (context / source).resolve()
        if not path.is_relative_to(context.resolve()) or not path.exists():
            continue
        into = path.is_file() and (place.endswith(("/", "/.")) or len(PurePosixPath(place).parts) <= 1)
        target = PurePosixPath(place) / path.name if into else PurePosixPath(place)
        kind = ("bind" if path.is_dir() else "file") if target.is_relative_to(home) else "part"
        found[str(target)] = Mount(kind, str(path), str(target), read_only=True)
    return tuple(found.values())


def _told(folder: Path, around: Path) -> Literal["there", "absent", "outside"]:
    """A link that leads out of the context is no folder of it: the image would not have it."""
    if not folder.is_dir():
        return "absent"
    return "there" if folder.resolve().is_relative_to(around.resolve()) else "outside"


def _locks(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted({path for pattern in _LOCKS for path in folder.glob(pattern) if path.is_file()}))
