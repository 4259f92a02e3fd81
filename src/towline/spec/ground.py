"""What lies in the folders that the Compose file builds from: Dockerfiles, and the files that pin what they install."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.spec.dockerfile import Recipe, read_dockerfile

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Build

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
    """What is there for one service. `recipe` is empty when its Dockerfile is not there."""

    recipe: Recipe = field(default_factory=Recipe)
    context_exists: bool = True
    dockerfile_exists: bool = True
    locks: tuple[Path, ...] = ()


def look(compose: ComposeConfig) -> dict[str, Ground]:
    """The ground of every service of the Compose file that is built; reads, changes nothing."""
    return {one.name: _look_at(one.build) for one in compose.containers if one.build is not None}


def _look_at(build: Build) -> Ground:
    if build.inline is not None:
        recipe = read_dockerfile(build.inline.encode(), stage=build.stage, args=build.args)
        return Ground(recipe, build.context is None or build.context.is_dir(), locks=_locks(build.context))
    if build.context is None or not build.context.is_dir():
        return Ground(context_exists=False, dockerfile_exists=False)
    try:
        content = (build.dockerfile or build.context / "Dockerfile").read_bytes()
    except OSError:
        return Ground(dockerfile_exists=False, locks=_locks(build.context))
    return Ground(read_dockerfile(content, stage=build.stage, args=build.args), locks=_locks(build.context))


def _locks(context: Path | None) -> tuple[Path, ...]:
    if context is None or not context.is_dir():
        return ()
    return tuple(sorted({path for pattern in _LOCKS for path in context.glob(pattern) if path.is_file()}))
