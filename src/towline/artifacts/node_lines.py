"""The shell lines of a Node project that install, build and run its scripts, for each installer and for workspaces."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.spec.stack import Stack

_INSTALL = {
    # Where NODE_ENV is `production` already while building, what builds would be left out without asking for it.
    "npm": "npm ci --include=dev",
    "pnpm": "pnpm install --frozen-lockfile --prod=false",
    "yarn": "yarn install --frozen-lockfile --production=false",
}
_BERRY = "yarn install --immutable"
_INSTALLS = re.compile(r"^\s*(npm (ci|install|i)\b|pnpm (install|i)\b|yarn( install)?(\s|$))")


def install_line(stack: Stack) -> str:
    """Installs everything that building needs, exactly as locked where there is a lock file."""
    installer = _installer(stack)
    if not stack.locks:
        return "npm install --include=dev" if installer == "npm" else f"{installer} install"
    if installer == "yarn" and (stack.installer_version or "1").split(".")[0] != "1":
        return _BERRY
    return _INSTALL[installer]


def script_line(stack: Stack, script: str, package: tuple[str, str] | None = None) -> str:
    """Runs a script from where the packages are installed: that of the service, or of `package` (folder, name)."""
    folder, name = package or (stack.folder, stack.package or "")
    inner = folder.removeprefix(stack.root).strip("/") if folder != stack.root else ""
    installer = _installer(stack)
    if not inner:
        return f"{installer} run {script}"
    if installer == "npm":
        return f"npm run {script} --workspace {shlex.quote(inner)}"
    if installer == "pnpm":
        return f"pnpm --filter {shlex.quote(name or f'./{inner}')} run {script}"
    return f"yarn workspace {shlex.quote(name)} run {script}" if name else f"(cd {shlex.quote(inner)} && yarn {script})"


def build_line(stack: Stack, build: str | None) -> str:
    """Installs, generates the Prisma client where there is a schema, and builds as `build` or the scripts say."""
    installs = build is not None and _INSTALLS.match(build) is not None
    lines = [install_line(stack)] if not installs and (stack.manifests or stack.locks) else []
    if stack.prisma_schema and not installs:
        schema = stack.prisma_schema.removeprefix(f"{stack.root}/") if stack.root else stack.prisma_schema
        lines.append(f"npx prisma generate --schema {shlex.quote(schema)}")
    lines += [script_line(stack, "build", (one.folder, one.name)) for one in stack.members[:-1] if one.builds]
    own = build_only(stack, build)
    return " && ".join([*lines, *([own] if own else [])])


def build_only(stack: Stack, build: str | None) -> str:
    """Builds the service itself, once everything is installed; "" where nothing says how."""
    inner = stack.folder.removeprefix(stack.root).strip("/")
    if build is None:
        return script_line(stack, "build") if "build" in stack.scripts else ""
    named = re.fullmatch(r"(?:npm run|pnpm run|pnpm|yarn run|yarn) ([\w:-]+)", build)
    if named is not None and named[1] in stack.scripts:
        return script_line(stack, named[1])
    return f"(cd {shlex.quote(inner)} && {build})" if inner else build


def _installer(stack: Stack) -> str:
    return stack.installer if stack.installer in _INSTALL else "npm"
