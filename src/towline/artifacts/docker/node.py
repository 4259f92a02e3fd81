"""The stages that build a Node service: packages, Prisma client, its own code, and the packages that it runs with."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING

from towline.artifacts.docker.place import joined
from towline.artifacts.node_lines import script_line

if TYPE_CHECKING:
    from towline.artifacts.docker.place import Place

_CACHES = {
    "npm": "/root/.npm",
    "pnpm": "/root/.local/share/pnpm/store",
    "yarn": "/usr/local/share/.cache/yarn",
    "berry": "/root/.yarn/berry/cache",
}
_GLOBAL = {
    "pnpm": ("npm install --global pnpm@{version}", "10"),
    "yarn": ("npm install --global --force yarn@{version}", "1"),
    "berry": ("npm install --global --force @yarnpkg/cli-dist@{version}", "4"),
}
"""What installs the installers that Node's image lacks, or has in another version, and the one if no file names one."""

_PRISMA = {"npm": "npx prisma", "pnpm": "pnpm exec prisma", "yarn": "yarn prisma", "berry": "yarn prisma"}
_EVERYTHING = {
    "npm": "npm ci --include=dev",
    "pnpm": "pnpm install --frozen-lockfile --prod=false",
    "yarn": "yarn install --frozen-lockfile --production=false",
    "berry": "yarn install --immutable",
}
_SCRIPT = re.compile(r"^(?:npm run|pnpm(?: run)?|yarn(?: run)?) ([\w:-]+)$")
_UNPINNED = "# Nothing pins the packages, so that another build may get others: `npm install` writes a lock file."
_LIFECYCLE = "# What the app's own package.json runs at an installation is for a developer's folder."
_INSTALLS = re.compile(r"^\s*(?:(?:npm|pnpm) (?:ci|install|i)|yarn(?: install)?)(?: --?\S+)*\s*(?:&&|$)")
_NOT_LOCKED = {
    "npm": "npm install",
    "pnpm": "pnpm install",
    "yarn": "yarn install",
    "berry": "yarn install",
}


def installer_of(place: Place) -> str:
    """npm, pnpm, yarn, or berry for the yarn that came after 1."""
    name = place.stack.installer or "npm"
    if name == "yarn" and (place.stack.installer_version or "1").split(".")[0] != "1":
        return "berry"
    return name if name in _CACHES else "npm"


def build_stages(place: Place, *, alpine: bool) -> list[str]:
    """The stages before production's: all packages (development starts from them), the Prisma client, `build`."""
    stages = [
        *_first_stage(place, alpine=alpine),
        "",
        "# All packages: made again only when a manifest or the lock file has changed.",
        f"FROM {place.stage('base')} AS {place.stage('packages')}",
        *_install(place, production=False),
    ]
    if place.stack.prisma_schema:
        stages += ["", *_client(place)]
    if builds(place):
        stages += ["", *_build(place)]
    return stages


def production_stage(place: Place) -> list[str]:
    """The stage with the packages that the service runs with, and no others."""
    return [
        "# The packages that it runs with, without those that only build and check it.",
        f"FROM {place.stage('base')} AS {place.stage('production')}",
        *_install(place, production=True),
        *_generated(place),
    ]


def run_lines(place: Place) -> tuple[str, str]:
    """The COPY lines of the last stage: its packages, which change rarely, then its code."""
    code = f"COPY --from={place.stage('build')} {place.home} ./" if builds(place) else place.all_of_it()
    return f"COPY --from={place.stage('production')} {place.home} ./", code


def builds(place: Place) -> bool:
    """Whether its code is built, or files beside it."""
    made = any(one.builds for one in place.stack.members)
    generated = place.stack.prisma_schema is not None and place.stack.prisma_output is not None
    return place.service.build is not None or "build" in place.stack.scripts or made or generated


def programs(place: Place) -> str:
    """The folders of the programs that its packages bring, for PATH."""
    folders = dict.fromkeys((place.folder, place.root))
    return ":".join(f"{folder}/node_modules/.bin" for folder in folders)


def _first_stage(place: Place, *, alpine: bool) -> list[str]:
    """The stage that all others start from."""
    lines = [f"FROM ${{NODE_IMAGE}} AS {place.stage('base')}", f"WORKDIR {place.home}"]
    compiler = ("python3", "make", "g++") if place.stack.needs_compiler else ()
    names, installer = (*libraries(place, alpine=alpine), *compiler), _GLOBAL.get(installer_of(place))
    version = place.stack.installer_version
    then = (installer[0].format(version=version or installer[1]),) if installer else ()
    if names:
        return [*lines, *system(names, alpine=alpine, then=then)]
    return [*lines, *(f"RUN {one}" for one in then)]


def libraries(place: Place, *, alpine: bool) -> tuple[str, ...]:
    """The packages of the system that it needs also when it runs."""
    if place.stack.prisma_schema is None:
        return ()
    return ("openssl",) if alpine else ("openssl", "ca-certificates")


def system(names: tuple[str, ...], *, alpine: bool, then: tuple[str, ...] = ()) -> list[str]:
    """What installs packages of the system, and does what `then` says after it; nothing when there are none."""
    if not names:
        return []
    if alpine:
        return [
            "# Alpine keeps only the newest build of a package: one that is pinned cannot be had for long.",
            "# hadolint ignore=DL3018",
            f"RUN {joined('apk add --no-cache ' + ' '.join(names), *then)}",
        ]
    return apt(names, then)


def apt(names: tuple[str, ...], then: tuple[str, ...] = ()) -> list[str]:
    """What installs packages of Debian."""
    install = f"apt-get install --yes --no-install-recommends {' '.join(names)}"
    return [
        "# Debian keeps only the newest build of a package: one that is pinned cannot be had for long.",
        "# hadolint ignore=DL3008",
        f"RUN {joined('apt-get update', install, 'rm -rf /var/lib/apt/lists/*', *then)}",
    ]


def _install(place: Place, *, production: bool) -> list[str]:
    stack, name = place.stack, installer_of(place)
    lines = place.copies((*stack.manifests, *stack.locks, *stack.installer_files))
    line = _production_line(place, name) if production else _line(place, name)
    # Two stages install at the same time, which the first yarn's cache does not stand.
    locked = ",sharing=locked" if name == "yarn" else ""
    cache = f"--mount=type=cache,target={_CACHES[name]}{locked}"
    note = [] if stack.locks else [_UNPINNED]
    note += [_LIFECYCLE] if stack.lifecycle else []
    note += ["# hadolint ignore=DL3060"] if name == "berry" else []  # what it keeps is in the mounted cache
    return [*lines, *place.at_root(), *note, f"RUN {cache} {joined(*_without_lifecycle(place), line)}"]


def _line(place: Place, name: str) -> str:
    return (_EVERYTHING if place.stack.locks else _NOT_LOCKED)[name]


def _production_line(place: Place, name: str) -> str:
    """Installs what the service runs with; in a workspace, only what concerns it."""
    stack, package = place.stack, shlex.quote(place.stack.package or "")
    inside = stack.workspace and stack.package is not None and stack.folder != stack.root
    if name == "npm":
        line = "npm ci --omit=dev" if stack.locks else "npm install --omit=dev"
        return f"{line} --workspace={package} --include-workspace-root" if inside else line
    if name == "pnpm":
        frozen = " --frozen-lockfile" if stack.locks else ""
        return f"pnpm install{frozen} --prod" + (f" --filter {package}..." if inside else "")
    if name == "berry":
        return f"yarn workspaces focus {package if inside else '--all'} --production"
    return "yarn install --frozen-lockfile --production"


def _without_lifecycle(place: Place) -> list[str]:
    """What takes the app's own scripts away that an installation would run: those of its packages have to run."""
    folders: dict[str, list[str]] = {}
    for folder, script in place.stack.lifecycle:
        folders.setdefault(posixpath.relpath(folder or ".", place.stack.root or "."), []).append(f"scripts.{script}")
    prefixes = {folder: "" if folder == "." else f" --prefix {folder}" for folder in folders}
    return [f"npm{prefixes[folder]} pkg delete {' '.join(scripts)}" for folder, scripts in folders.items()]


def _client(place: Place) -> list[str]:
    """The Prisma client, made anew only when the schema has changed."""
    schema = place.stack.prisma_schema or ""
    folder = schema.rpartition("/")[0]
    copied = folder if folder.endswith("prisma") else schema
    return [
        "# The database client is made from the schema here, where the generator is.",
        f"FROM {place.stage('packages')} AS {place.stage('client')}",
        f"COPY {place.source(copied)} {place.absolute(copied)}",
        *_generate(place),
    ]


def _generate(place: Place) -> list[str]:
    """Makes the client in the package that has the schema: its generator may be nowhere else."""
    schema = place.stack.prisma_schema or ""
    folder = place.absolute(schema.rpartition("/")[0].removesuffix("prisma").rstrip("/"))
    line = f"RUN {_PRISMA[installer_of(place)]} generate --schema {place.absolute(schema)}"
    return [line] if folder == place.root else [f"WORKDIR {folder}", line, f"WORKDIR {place.root}"]


def _generated(place: Place) -> list[str]:
    """The client among the packages of production, unless the schema puts it beside the code."""
    if place.stack.prisma_schema is None or place.stack.prisma_output is not None:
        return []
    client = place.stage("client")
    if installer_of(place) != "pnpm":
        made = f"{place.root}/node_modules/.prisma"
        return [f"COPY --from={client} {made} {made}"]
    copied = f'to="{place.home}${{1#/made}}" && mkdir -p "$to" && cp -R "$1/." "$to"'
    return [
        "# The installer keeps it beside the package that it belongs to.",
        f"RUN --mount=type=bind,from={client},source={place.home},target=/made \\",
        f"    find /made -type d -path '*/node_modules/.prisma' -prune -exec sh -c '{copied}' sh {{}} ';'",
    ]


def _build(place: Place) -> list[str]:
    """The stage that builds the code, and leaves the packages behind that this took."""
    below = "client" if place.stack.prisma_schema else "packages"
    lines, own = _build_lines(place)
    emptied = f"find {place.home} -name node_modules -prune -exec rm -rf {{}} +"
    return [
        "# The code. What building it took stays behind.",
        f"FROM {place.stage(below)} AS {place.stage('build')}",
        *build_arguments(place),
        place.all_of_it(),
        *(_generate(place) if _beside(place) else []),
        *([f"RUN {joined(*lines)}"] if lines and own else []),
        *([f"WORKDIR {place.folder}"] if own and place.folder != place.root else []),
        f"RUN {joined(*(own or lines), emptied)}",
    ]


def build_arguments(place: Place) -> list[str]:
    """What the build reads: told by `--build-arg`, and no secret, since an image remembers it."""
    names = sorted({one.name for one in place.variables if one.build and not one.secret})
    return [f"ARG {name}" for name in names]


def _build_lines(place: Place) -> tuple[list[str], list[str]]:
    """What is run where the packages are, and what has to be run in the service's own folder."""
    stack = place.stack
    own = None if place.service.build is None else _INSTALLS.sub("", place.service.build).strip() or None
    lines = [script_line(stack, "build", (one.folder, one.name)) for one in stack.members[:-1] if one.builds]
    named = _SCRIPT.match(own) if own is not None else None
    script = named[1] if named else "build" if own is None else None
    if script is not None and script in stack.scripts:
        return [*lines, script_line(stack, script)], []
    return lines, [own] if own is not None else []


def _beside(place: Place) -> bool:
    """Whether the client is part of the code, which has just been copied over it."""
    return place.stack.prisma_schema is not None and place.stack.prisma_output is not None
