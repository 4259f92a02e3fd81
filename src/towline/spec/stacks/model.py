"""What a service is written in: frozen values, as far as its files tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["python", "node", "static", "other"]


@dataclass(frozen=True)
class Member:
    """A package of a workspace: its folder relative to the project, its own name, whether it has a build script."""

    folder: str
    name: str
    builds: bool


@dataclass(frozen=True)
class ModelLoad:
    """Weights that the code loads by name: `call` is what loads them, such as `transformers.pipeline`.

    `task` is the first argument of `pipeline`, None for every other call. `variable` is what may name others: then
    `name` is its default.
    """

    call: str
    name: str
    task: str | None = None
    variable: str | None = None


@dataclass(frozen=True)
class Stack:
    """What one service is written in.

    Paths are relative to the project, with forward slashes; "" is the project itself. `folder` is where the service's
    own manifest lies, `root` where its packages are installed (the workspace of a monorepo, else `folder`), `context`
    what its image is built from: the folder that holds `root` and what Compose calls its context.
    `version` is the runtime's, as far as the files pin it (`3.11`, `20`), else None. `installer` is pip, uv, poetry,
    pipenv, npm, pnpm or yarn; `locks` are the files that pin its packages. `scripts` are package.json's, `script_lines`
    the same with what they run. `manifests` are those of the whole workspace.
    `needs_compiler` says that a package is built from source; `model_weights` names what it loads at run time.

    `installer_version` is the one that the files ask for. `installer_files` are further files and folders that it
    reads (`.npmrc`, `patches`). `lifecycle` are the scripts that its own package.json runs at every installation,
    each with the folder of the file. `for_development` are packages of Node that no production has. `members` are
    the packages of a workspace that this service is made of, in the order of building, itself last; `strangers` are
    the folders of all others. `build_packages` and `run_packages` are packages of Debian that its own packages
    need. `glibc` says that one of them does not run on Alpine. `handles_term` says that its code or its server ends
    by itself on SIGTERM, also as the first process. `installs_itself` says that the service is a Python package
    that has to be installed to be found. `dev_manifests` are files that pin only what development needs.
    `cpu_torch` says that torch would come with all of CUDA, unless it is asked for from elsewhere. `doubts` are
    sentences about files that could not be understood.
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
    context: str = ""
    installer_version: str | None = None
    script_lines: tuple[tuple[str, str], ...] = ()
    package: str | None = None
    members: tuple[Member, ...] = ()
    strangers: tuple[str, ...] = ()
    prisma_output: str | None = None
    installer_files: tuple[str, ...] = ()
    lifecycle: tuple[tuple[str, str], ...] = ()
    for_development: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    run_packages: tuple[str, ...] = ()
    glibc: bool = False
    handles_term: bool = False
    installs_itself: bool = False
    dev_manifests: tuple[str, ...] = ()
    cpu_torch: bool = False
    model_loads: tuple[ModelLoad, ...] = ()
    doubts: tuple[str, ...] = ()

    def script(self, name: str) -> str | None:
        """What a script of package.json runs, None when there is none of that name."""
        return dict(self.script_lines).get(name)
