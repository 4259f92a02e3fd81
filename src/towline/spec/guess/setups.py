"""How the packages of a folder are installed and how its code is built, told from its lock files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.spec.container import Container
    from towline.spec.guess.scene import Scene
    from towline.spec.guess.surroundings import Folder

NODE_LOCKS = (
    ("package-lock.json", "npm ci", "npm run"),
    ("npm-shrinkwrap.json", "npm ci", "npm run"),
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm run"),
    ("yarn.lock", "yarn install --frozen-lockfile", "yarn run"),
    ("bun.lock", "bun install --frozen-lockfile", "bun run"),
    ("bun.lockb", "bun install --frozen-lockfile", "bun run"),
    ("package.json", "npm install", "npm run"),
)
"""The files that tell what installs the packages of Node: with them its line, and how it calls a script."""

_OTHERS = (
    ("uv.lock", "uv sync --frozen"),
    ("poetry.lock", "POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install --no-root"),
    ("pdm.lock", "pdm sync"),
    ("Pipfile.lock", "PIPENV_VENV_IN_PROJECT=1 pipenv sync"),
    ("requirements.txt", "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
    ("Gemfile.lock", "bundle install"),
    ("composer.lock", "composer install"),
    ("mix.lock", "mix deps.get"),
    ("go.sum", "go mod download"),
)


def setup_line(folder: Folder, text: str) -> tuple[str, str] | None:
    """The line that installs what a command needs, and the file that tells; `text` decides where both worlds meet."""
    node = next(((line, file) for file, line, _ in NODE_LOCKS if file in folder.names), None)
    other = next(((line, file) for file, line in _OTHERS if file in folder.names), None)
    if node and other:
        return node if any(word in text.split() for word in ("node", "npm", "npx", "yarn", "pnpm", "next")) else other
    return other or node


def build_line(folder: Folder) -> str | None:
    """The line that installs and builds a site; None without a package.json that says how."""
    if "build" not in folder.scripts:
        return None
    found = next(((line, run) for file, line, run in NODE_LOCKS if file in folder.names), None)
    return f"{found[0]} && {found[1]} build" if found else None


def built_before(scene: Scene, container: Container) -> str | None:
    """The line that builds a service's own code, when its command runs what a build leaves."""
    folder = scene.folder(container.name)
    text = scene.line(container).text
    ready = any(word in text for word in ("dist/", "build/", "next start", "nuxt start", ".output/", "start:prod"))
    run = next((run for file, _, run in NODE_LOCKS if file in folder.names), None)
    return f"{run} build" if ready and run and "build" in folder.scripts else None
