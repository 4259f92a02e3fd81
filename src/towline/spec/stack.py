"""What a service's folder says of its language, packages and build: read from its manifests and lock files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["python", "node", "static", "other"]


@dataclass(frozen=True)
class Stack:
    """What one service is written in.

    Paths are relative to the project, with forward slashes; "" is the project itself. `folder` is where the service's
    own manifest lies, `root` where its packages are installed (the workspace of a monorepo, else `folder`).
    `version` is the runtime's, as far as the files pin it (`3.11`, `20`), else None. `installer` is pip, uv, poetry,
    pipenv, npm, pnpm or yarn; `locks` are the files that pin its packages. `scripts` are package.json's.
    `needs_compiler` says that a package is built from source; `model_weights` names what it loads at run time.
    """

    language: Language
    folder: str
    root: str
    version: str | None = None
    installer: str | None = None
    manifests: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    workspace: bool = False
    prisma_schema: str | None = None
    typescript: bool = False
    frameworks: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    needs_compiler: bool = False
    model_weights: tuple[str, ...] = ()
