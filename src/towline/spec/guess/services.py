"""The lines below `services:`: kind, port, readiness, packages, jobs, copies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.spec.guess.bindings import prefix
from towline.spec.guess.images import short
from towline.spec.guess.model import Guess
from towline.spec.guess.roles import usual_port
from towline.spec.guess.setups import built_before, setup_line
from towline.spec.guess.written import spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Scene

_OWN = (
    r"(?P<scheme>https?://)?(?<![\w.-])(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|{name})"
    r"(?::(?P<port>\d{{1,5}}|\$\{{?\w+[^}}/]*\}}?))?(?P<path>/[^\s'\"|;)?#\\,\]]*)?"
)
_HEALTHCHECK = re.compile(r"^\s*HEALTHCHECK\s+((?:.*\\\n)*.*)", re.MULTILINE | re.IGNORECASE)
_LIMIT = re.compile(r"--(?:time-limit|soft-time-limit|timeout|job-timeout)[=\s]+(\d{1,6})\b")
_SYSTEM = ("/bin/", "/sbin/", "/usr/", "/opt/")
_LISTENS = frozenset({"web", "private"})


def of_services(scene: Scene, roles: Iterable[Role]) -> Iterator[Guess]:
    """Every line of every service that is no store."""
    known = list(roles)
    installs = _installers(scene, known)
    for role in known:
        if role.kind == "omit":
            yield Guess(("services", role.name, "omit"), True, role.reason, role.confidence)  # noqa: FBT003
        elif role.kind != "store":
            yield Guess(("services", role.name, "kind"), role.kind, role.reason, role.confidence)
            yield from _of_kind(scene, role, installs=role.name in installs)


def _of_kind(scene: Scene, role: Role, *, installs: bool) -> Iterator[Guess]:
    at = ("services", role.name)
    if role.domain:
        yield Guess((*at, "domain"), role.domain, "the host in its labels", "likely")
    yield from _port(scene, role)
    yield from _ready(scene, role)
    yield from _folder(scene, role)
    yield from _packages(scene, role, installs=installs)
    yield from _start(scene, role)
    yield from _job(scene, role)
    if role.once and (role.container.replicas or 1) < 2:
        yield Guess((*at, "single"), True, f"{role.once}: two of it would do everything twice", "likely")  # noqa: FBT003


def listening_port(scene: Scene, role: Role) -> int | None:
    """The port that is found without a line on the page: PORT, `ports`, `expose` or EXPOSE."""
    container = role.container
    listed = (*container.ports, *container.expose, *scene.folder(role.name).ground.recipe.ports)
    written = scene.running(container).get("PORT")
    value = written.reveal() if written is not None else ""
    own = int(value) if value.isascii() and value.isdigit() and 0 < int(value[:6]) < 65536 else None
    if own is not None and (own in listed or not listed):
        return own
    return listed[0] if listed else None


def _port(scene: Scene, role: Role) -> Iterator[Guess]:
    at, found = ("services", role.name, "port"), listening_port(scene, role)
    if role.kind == "stateful" and found is None:
        port = usual_port(scene, role.container)
        if port is not None:
            yield Guess(at, port, "the usual one of its image", "likely")
    if role.kind not in _LISTENS or (found is not None and role.port in {None, found}):
        return
    if role.port is not None:
        yield Guess(at, role.port, "the one to which its proxy passes requests", "likely")
        return
    line = scene.line(role.container)
    called = _called_port(scene, role)
    if line.port is not None:
        yield Guess(at, line.port, "told in its command", "likely")
    elif called is not None:
        yield Guess(at, called, "the one at which others call it", "likely")
    elif line.usual_port is not None:
        yield Guess(at, line.usual_port, "the usual one of its framework", "unsure")
    else:
        yield Guess(at, None, "it takes requests, and nothing says on which port", "open")


def _called_port(scene: Scene, role: Role) -> int | None:
    """The port in the addresses by which others call it."""
    for call in scene.callers(role.name):
        container = scene.compose.container(call.by)
        environment = scene.environment(container) if container else {}
        value = environment[call.variable].reveal() if call.variable in environment else ""
        beside = environment.get(f"{prefix(call.variable)}PORT")
        if value == role.name and beside is not None and beside.reveal().isdigit():
            value = f"{role.name}:{beside.reveal()}"
        after = re.split(rf"(?<![\w.-]){re.escape(role.name)}(?=:)", value)[1:]
        found = next((port for part in after for port in spans(part[:7])), None)
        if found is not None:
            return found
    return None


def _ready(scene: Scene, role: Role) -> Iterator[Guess]:
    if role.kind not in _LISTENS:
        return
    at = ("services", role.name, "ready")
    port = role.port or listening_port(scene, role) or scene.line(role.container).port or _called_port(scene, role)
    in_dockerfile = _HEALTHCHECK.search(scene.folder(role.name).dockerfile)
    for text, said in (
        (role.container.health, "its healthcheck"),
        (in_dockerfile and in_dockerfile[1], "HEALTHCHECK of its Dockerfile"),
    ):
        path = _path_in(text or "", role.name, port)
        if path:
            yield Guess(at, path, f"{said} asks for it", "sure")
            return
    if role.kind == "web":
        yield Guess(
            at, None, "the path that answers 200 when it can take requests; without one, an open port counts", "open"
        )


def _path_in(text: str, name: str, port: int | None) -> str | None:
    # `curl --noproxy localhost localhost:3000/up`: without scheme and port it is only a name.
    found = re.finditer(_OWN.format(name=re.escape(name)), text)
    match = next((one for one in found if one["scheme"] or one["port"]), None)
    if match is None:
        return None
    asked = match["port"] or "80"
    path = match["path"] or "/"
    return path if (asked.startswith("$") or asked == str(port)) and path.isprintable() and "$" not in path else None


def _folder(scene: Scene, role: Role) -> Iterator[Guess]:
    cwd = scene.folder(role.name).cwd
    if cwd and role.kind != "stateful":
        yield Guess(
            ("services", role.name, "cwd"), cwd, "the app lies there, and is built from a folder around it", "likely"
        )


def _installers(scene: Scene, roles: list[Role]) -> frozenset[str]:
    """One service for each folder: packages are installed once, and whatever else starts there uses them."""
    first: dict[tuple[Path | None, str | None], str] = {}
    ranked = sorted(roles, key=lambda role: ("web", "private", "worker", "task").index(role.kind) if role.runs else 9)
    for role in ranked:
        build = role.container.build
        if role.runs and build is not None and build.context is not None:
            first.setdefault((build.context, scene.folder(role.name).cwd), role.name)
    return frozenset(first.values())


def _packages(scene: Scene, role: Role, *, installs: bool) -> Iterator[Guess]:
    at, folder = ("services", role.name), scene.folder(role.name)
    if role.site is not None:
        if role.site.build:
            yield Guess((*at, "build"), role.site.build, "the `build` of its package.json", role.site.confidence)
        reason = "where the built files are" if role.site.build else "where its files are"
        if role.site.output:
            yield Guess((*at, "output"), role.site.output, reason, role.site.confidence)
        else:
            yield Guess((*at, "output"), None, f"{reason}: nothing says in which folder", "open")
    elif role.runs and installs:
        found = setup_line(folder, scene.line(role.container).text)
        if found:
            yield Guess((*at, "setup"), found[0], f"{found[1]} in its folder", "likely")
        build = built_before(scene, role.container)
        if build:
            yield Guess((*at, "build"), build, "its command runs what `build` of its package.json leaves", "likely")


def _start(scene: Scene, role: Role) -> Iterator[Guess]:
    """Where a laptop could not start it: what only a person knows."""
    at, container = ("services", role.name, "run"), role.container
    argv = scene.argv(container)
    if role.kind == "static":
        return
    if container.build is None:
        reason = f"a laptop has no containers to run {short(container.image)} in: name a program that is installed"
        yield Guess(at, None, reason, "open")
    elif not role.http:
        yield Guess(
            at, None, "its proxy speaks FastCGI to it; the front door speaks HTTP: start a server for HTTP", "open"
        )
    elif not argv:
        base = scene.folder(role.name).ground.recipe.base
        of = f" beside its base image {short(base)}" if base else ""
        yield Guess(at, None, f"the shell line that starts it: nothing says it{of}", "open")
    elif argv[0].startswith("/") and not argv[0].startswith(_SYSTEM):
        yield Guess(at, None, "its command is a program that only its image has: how it starts from its folder", "open")
    elif ".jar" in scene.line(container).text:
        yield Guess(at, None, "its command names a file that only its image has: how it starts from its folder", "open")


def _job(scene: Scene, role: Role) -> Iterator[Guess]:
    at, container = ("services", role.name, "max_job"), role.container
    limit = _LIMIT.search(scene.line(container).text)
    if role.kind in {"worker", "task"} and container.stop_within:
        yield Guess(at, span(container.stop_within), "its stop_grace_period", "likely")
    elif role.kind == "worker" and limit and int(limit[1]) > 0:
        yield Guess(at, span(int(limit[1])), "the limit in its command", "likely")
    elif role.kind == "worker" and not role.once:
        yield Guess(at, "30s", "how long its longest job takes; nothing says, and this is the default", "unsure")


def span(length: float) -> str:
    """Seconds as they are written on the page."""
    whole = round(length)
    return f"{whole // 60}m" if whole >= 60 and whole % 60 == 0 and whole == length else f"{length:g}s"
