"""What stays outside an image: secrets, what the image makes itself, what only development needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.artifacts.docker.place import Place

_ALWAYS = (
    "**/.git",
    "**/.env",
    "**/.env.*",
    "!**/.env.example",
    "**/*.pem",
    "**/*.key",
    "**/.DS_Store",
    "**/*.log",
    "**/.idea",
    "**/.vscode",
    "**/.towline",
)
_OF = {
    "node": ("**/node_modules", "**/coverage", "**/.turbo", "**/*.tsbuildinfo", "**/.eslintcache"),
    "python": (
        "**/.venv",
        "**/__pycache__",
        "**/*.py[co]",
        "**/.pytest_cache",
        "**/.mypy_cache",
        "**/.ruff_cache",
        "**/*.egg-info",
        "**/.coverage",
    ),
}
_BUILT = ("**/dist", "**/.next", "**/.nuxt", "**/.output")


def ignored(places: Iterable[Place], rendered: str, kept: tuple[str, ...] = ()) -> str:
    """The list for one image. `rendered` is where rendered files are, `kept` folders of them that it needs."""
    known = tuple(places)
    lines = ["# Secrets, and what has no business in an image.", *_ALWAYS]
    for language in ("node", "python"):
        if any(one.stack.language == language for one in known):
            lines += ["", "# What the image makes itself, or what only development needs.", *_OF[language]]
    if any("build" in one.stack.scripts for one in known):
        lines += _BUILT
    lines += _strangers(known)
    lines += ["", "# Files that say how the app is deployed.", rendered, ".github", "**/*Dockerfile*"]
    lines += ["**/compose*.yaml", "**/docker-compose*.y*ml", "**/towline.yaml"]
    lines += [f"!{folder}" for folder in kept]
    return "\n".join(lines) + "\n"


def _strangers(places: tuple[Place, ...]) -> list[str]:
    """The packages of a workspace that the image does without: only their manifests, which the installer asks for."""
    lines: list[str] = []
    for place in places:
        own = {one.stack.folder for one in places} | {one.folder for other in places for one in other.stack.members}
        for folder in place.stack.strangers:
            if folder not in own and f"{place.source(folder)}/*" not in lines:
                lines += [f"{place.source(folder)}/*", f"!{place.source(folder)}/package.json"]
    return ["", "# Packages of the workspace that it does without.", *lines] if lines else []
