"""What stands between a service and an image that can be written down for it: told all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.rendered import Material
    from towline.spec.model import Service
    from towline.spec.stack import Stack

_INSTALLERS = {"python": ("pip", "uv", "poetry", "pipenv"), "node": ("npm", "pnpm", "yarn")}
_LOCKERS = {"uv": "uv lock", "poetry": "poetry lock", "pipenv": "pipenv lock"}


def gaps(material: Material, service: Service) -> Iterator[Finding]:
    """Why no Dockerfile can be written for a service that is built here; nothing when one can."""
    stack = material.stacks[service.name]
    yield from _left_out(material, service, stack)
    where = Where("compose.yaml", service.line)
    place = stack.folder or "the project's folder"
    if stack.language in ("other", "static") and service.kind != "static":
        sentence = f"`{service.name}` is built without a Dockerfile, and {place} has no package of Node or Python"
        yield Finding("no-dockerfile", f"{sentence}{_doubts(stack)}", where, f"write {_dockerfile(stack)}")
        return
    if service.kind == "static":
        if service.output is None:
            sentence = f"`{service.name}` is static, but nothing says in which folder its files are"
            yield Finding("no-output", sentence, where, f"services: {{{service.name}: {{output: dist}}}}")
    elif service.command is None:
        sentence = f"Nothing says how `{service.name}` starts"
        yield Finding("no-command", sentence, where, f"services: {{{service.name}: {{run: ...}}}}")
    if stack.language in _INSTALLERS and stack.installer not in _INSTALLERS[stack.language]:
        sentence = f"Nothing in {place} tells how the packages of `{service.name}` are installed{_doubts(stack)}"
        known = ", ".join(_INSTALLERS[stack.language])
        yield Finding("no-dockerfile", sentence, where, f"write {_dockerfile(stack)}, or use one of {known}")
    elif stack.installer in _LOCKERS and not stack.locks:
        sentence = f"Nothing pins the packages of `{service.name}`: {place} has no lock file"
        yield Finding("no-dockerfile", sentence, where, _LOCKERS[stack.installer])


def _left_out(material: Material, service: Service, stack: Stack) -> Iterator[Finding]:
    """The release command runs in this image, which has nothing that is for development only."""
    release = material.app.release
    if release is None or release.service != service.name:
        return
    words = set(" ".join(release.command).split())
    words |= {part for word in words for part in (stack.script(word) or "").split()}
    for tool in (one for one in stack.for_development if one in words):
        sentence = f"the release command runs `{tool}`, which package.json has for development only: no image has it"
        where = Where("towline.yaml", None)
        save = {"pnpm": f"pnpm add --save-prod {tool}", "yarn": f"yarn add {tool}"}
        hint = save.get(stack.installer or "", f"npm install --save-prod {tool}")
        yield Finding("wrong-value", sentence, where, f"cd {stack.folder} && {hint}" if stack.folder else hint)


def _dockerfile(stack: Stack) -> str:
    return f"{stack.context}/Dockerfile" if stack.context else "a Dockerfile"


def _doubts(stack: Stack) -> str:
    return f" ({'; '.join(stack.doubts)})" if stack.doubts else ""
