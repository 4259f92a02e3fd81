"""What of a Compose file will not work elsewhere, as findings beside the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from towline.spec.guess.forms import form_of
from towline.spec.guess.images import short, without_version
from towline.spec.guess.model import told
from towline.spec.guess.sites import fronted
from towline.spec.guess.written import opened, other_names, words, written
from towline.spec.nearest import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.core.errors import Finding
    from towline.spec.container import Container, Mount
    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Scene
    from towline.spec.guess.stores import StoreGuess

_SOCKET = "docker.sock"


def findings(scene: Scene, roles: Iterable[Role], stores: dict[str, StoreGuess]) -> Iterator[Finding]:
    """Everything that is told beside the page."""
    known = list(roles)
    for role in known:
        if role.kind != "omit":
            yield from _of_image(scene, role)
            yield from _of_container(scene, role)
            yield from _of_files(scene, role)
    for role in known:
        if role.runs:
            yield from _of_addresses(scene, role, known)
            yield from _of_secrets(scene, role)
            yield from _of_command(scene, role)
    yield from _without_limit(scene, known)
    yield from _profiled(scene)
    for service, store in stores.items():
        if store.kind == "postgres":
            yield from _databases(scene, service)


def _of_image(scene: Scene, role: Role) -> Iterator[Finding]:
    name, container = role.name, role.container
    if container.build is None and without_version(container.image):
        sentence = f"The image of `{name}`, {short(container.image)}, names no version: tomorrow it may be another one"
        yield told("image-latest", sentence, scene.where(name, "image"), "name the version: `image: NAME:VERSION`")
    if role.kind == "stateful":
        sentence = f"`{name}` is {short(container.image)}, which Towline neither runs nor buys: it becomes `stateful`"
        hint = "one copy, pinned to its machine; its backups are yours"
        yield told("no-equal", sentence, scene.where(name, "image"), hint)
    if role.kind in {"store", "stateful"} and opened(scene.compose, container):
        sentence = f"`{name}` is published on all addresses of the machine: Docker opens the port past its firewall"
        yield told("published-store", sentence, scene.where(name, "ports"), 'drop it, or write "127.0.0.1:PORT:PORT"')


def _of_container(scene: Scene, role: Role) -> Iterator[Finding]:
    name, container = role.name, role.container
    if role.kind == "store":
        return
    fixed = written(scene.compose, name, "container_name")
    if fixed is not None:
        sentence = f"`{name}` has a fixed container name: two copies of it cannot stand side by side"
        yield told("container-name", sentence, scene.where(name, "container_name"), "drop this line")
    if "privileged" in container.beyond:
        sentence = f"`{name}` is privileged: whoever gets into it owns the machine, and no platform allows it"
        yield told("privileged", sentence, scene.where(name, "privileged"), "name what it needs with `cap_add:`")
    if "network_mode" in container.beyond:
        sentence = (
            f"`{name}` shares the network of the machine: nothing tells what it opens, and names mean nothing there"
        )
        yield told("host-network", sentence, scene.where(name, "network_mode"), "publish its ports instead")
    special = [key for key in container.beyond if key in {"devices", "cap_add", "gpus"}]
    special += ["deploy"] if _reserves_devices(written(scene.compose, name, "deploy")) else []
    if special:
        sentence = f"{listed(special, 'and')} of `{name}` needs a container on a machine of your own"
        hint = "place it on a site of kind `host`"
        if special != ["cap_add"]:
            hint = f"no site gives it a device: let it do without, or write services: {{{name}: {{omit: true}}}}"
        yield told("needs-container", sentence, scene.where(name, special[0]), hint)
    if other_names(scene.compose, name):
        names = listed(sorted(other_names(scene.compose, name)), "and")
        sentence = f"`links:` of `{name}` gives others the names {names}, which exist only under Compose"
        yield told(
            "links", sentence, scene.where(name, "links"), "bind the variables that hold them, and drop `links:`"
        )


def _reserves_devices(deploy: object) -> bool:
    """Whether `deploy:` asks for a device, such as a graphics card."""
    value: object = deploy
    for key in ("resources", "reservations", "devices"):
        value = value.get(key) if isinstance(value, dict) else None
    return bool(value)


def _of_files(scene: Scene, role: Role) -> Iterator[Finding]:
    name, container = role.name, role.container
    if role.kind == "static":
        passed = [other for other, front in fronted(scene).items() if front.proxy == name]
        if passed:
            to = listed(passed, "and")
            sentence = f"The web server of `{name}` also passes requests to {to}; here each has its own address"
            hint = "let the page ask that address: bind a variable of its build to `NAME.url`"
            yield told("not-written", sentence, scene.where(name), hint)
    if role.kind in {"store", "static"}:
        return
    if any(_SOCKET in mount.source for mount in container.mounts):
        sentence = f"`{name}` is given Docker's socket: whoever gets into it owns the machine"
        yield told(
            "docker-socket", sentence, scene.where(name, "volumes"), "let it ask for what it needs some other way"
        )
    bound = [mount for mount in container.mounts if mount.kind == "bind" and _SOCKET not in mount.source]
    foreign = [mount.target for mount in bound if not _own_code(container, mount)]
    if foreign:
        sentence = f"{listed(foreign[:4], 'and')} of `{name}` comes from this machine: only a host gets a copy of it"
        yield told(
            "bind-mount", sentence, scene.where(name, "volumes"), "copy it in its Dockerfile, or keep it in a bucket"
        )
    kept = [mount.target for mount in container.mounts if mount.kind == "volume" and not _packages(mount)]
    if kept and role.runs:
        sentence = f"`{name}` keeps files in {listed(kept[:4], 'and')}: they stay on one machine, and so does it"
        yield told("data-in-service", sentence, scene.where(name, "volumes"), "keep them in a bucket")


def _own_code(container: Container, mount: Mount) -> bool:
    """Its own source, mounted over itself for work in a container."""
    context = container.build.context if container.build else None
    return context is not None and Path(mount.source).is_relative_to(context)


def _packages(mount: Mount) -> bool:
    """A volume that only keeps installed packages or caches apart from the mounted source."""
    return bool(
        re.search(r"node_modules|\.venv|/venv|site-packages|/deps$|_build$|\.next|cache|bundle|gems|\.m2", mount.target)
    )


def _of_addresses(scene: Scene, role: Role, roles: list[Role]) -> Iterator[Finding]:
    """What it waits for without knowing an address of it."""
    keeps = {other.name for other in roles if other.kind in {"store", "stateful"}}
    known = {call.of for call in scene.calls if call.by == role.name}
    for name in sorted(keeps & set(role.container.needs) - known):
        sentence = f"`{role.name}` waits for `{name}`, and no variable of it holds its address: it may be in its code"
        hint = f"let it take the address from a variable, and bind that to `{name}`"
        yield told("address-in-code", sentence, scene.where(role.name, "depends_on"), hint)


def _of_secrets(scene: Scene, role: Role) -> Iterator[Finding]:
    container = role.container
    files = [
        variable
        for variable, secret in sorted(container.environment.items())
        if variable.endswith("_FILE") and secret.reveal().startswith("/run/secrets/")
    ]
    mounted = words(written(scene.compose, role.name, "secrets"))
    if files or mounted or "secrets" in container.beyond:
        named = f" ({listed(files[:4], 'and')})" if files else ""
        sentence = f"`{role.name}` reads secrets from files{named} that only Compose and hosts put there"
        where = scene.where(role.name, "secrets")
        yield told("secret-file", sentence, where, "let it read the variable without `_FILE` as well, and bind that")


def _of_command(scene: Scene, role: Role) -> Iterator[Finding]:
    said = scene.line(role.container).development
    if said and role.kind in {"web", "private"}:
        sentence = f"`{role.name}` starts a server for development ({said.strip('`')})"
        key = "command" if role.container.command is not None else "build"
        hint = "let the Compose file start what production starts; keep this in compose.override.yaml"
        yield told("development-command", sentence, scene.where(role.name, key), hint)


def _without_limit(scene: Scene, roles: list[Role]) -> Iterator[Finding]:
    free = [role.name for role in roles if role.kind not in {"omit", "static"} and role.container.memory is None]
    if free:
        sentence = f"Nothing limits the memory of {listed(free[:8], 'and')}{' and others' if len(free) > 8 else ''}"
        hint = f"services: {{{free[0]}: {{memory: 512MB}}}}, or `deploy.resources.limits.memory` in the Compose file"
        yield told("no-memory-limit", sentence, scene.compose.where("services"), hint)


def _profiled(scene: Scene) -> Iterator[Finding]:
    for name in scene.compose.profiled:
        sentence = f"`{name}` starts only with a profile, so it is no part of the app"
        yield told("profiled", sentence, scene.where(name, "profiles"), "remove its `profiles:` to make it one")


def _databases(scene: Scene, service: str) -> Iterator[Finding]:
    """Two databases of one server, told by the URLs that name them."""
    found: dict[str, str] = {}
    for call in scene.calls:
        container = scene.compose.container(call.by)
        if call.of == service and container is not None:
            form = form_of(scene.environment(container)[call.variable].reveal(), (service,))
            if form.shape == "url" and form.database:
                found.setdefault(form.database, f"{call.variable} of {call.by}")
    if len(found) > 1:
        names = listed(list(found.values()), "and")
        sentence = f"{names} name different databases of `{service}`; here they would all be one"
        hint = "give each a store of its own: stores: {NAME: {kind: postgres}}, and bind it"
        yield told("several-databases", sentence, scene.where(service), hint)
