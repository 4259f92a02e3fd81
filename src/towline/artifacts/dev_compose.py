"""compose.dev.yaml and compose.prod.yaml: the whole app on its author's machine, from source and as in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.containers import Setting
from towline.artifacts.dev_sources import Source, built, source_of
from towline.artifacts.front_door import container_port
from towline.artifacts.host_compose import document, interpolated
from towline.artifacts.host_services import APP
from towline.artifacts.local_layout import PORTS, RELEASE, Here
from towline.artifacts.rendered import MARK, RenderedFile
from towline.artifacts.yaml_text import Inline, Noted, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from towline.artifacts.rendered import Material
    from towline.spec.model import Service

_ORDER = (
    "<<", "image", "build", "restart", "entrypoint", "command", "working_dir", "user", "environment", "network_mode",
    "networks", "ports", "volumes", "develop", "read_only", "tmpfs", "cap_add",
)  # fmt: skip
"""The order in which a reader wants the keys of a service; all others come behind them."""

_OF_PRODUCTION = frozenset({
    "<<", "labels", "restart", "networks", "read_only", "tmpfs", "cap_add", "mem_limit", "cpus", "cpu_shares",
    "pids_limit", "oom_score_adj", "deploy", "stop_grace_period",
})  # fmt: skip
"""What only confines or waits, and would be in a developer's way: a change is there when the old one has ended."""

_WATCHED = "With --watch (Compose 2.32 or newer) a change in the source is there at once; else after a `restart`."
_REGISTRY, _VERSION = Setting("REGISTRY", "local"), Setting("VERSION", "local")


def files(material: Material) -> tuple[RenderedFile, ...]:
    """Both files, for every target that has a service."""
    if not material.app.services:
        return ()
    return (
        RenderedFile("compose.dev.yaml", _dev(material), "the whole app on your machine, from its source"),
        RenderedFile("compose.prod.yaml", _prod(material), "the whole app on your machine, as it runs in production"),
    )


def _dev(material: Material) -> str:
    here = Here(material, development=True)
    services: dict[str, object] = {}
    for name, (body, why) in bodies(here).items():
        told = {key: value for key, value in body.items() if key not in _OF_PRODUCTION}
        owner = _owner(material, name)
        source = source_of(material, owner) if owner is not None else Source(why=why)
        if owner is not None:
            told |= _from_source(here, owner, source, told, runs=name == owner.name)
        if body.get("restart") == "no":
            told["restart"] = "no"
        services[name] = _noted(told | _published(here, name), source.why)
    watched = any(source_of(material, one).watched for one in material.app.services)
    command = f"  docker compose -f {material.folder}/compose.dev.yaml up --build"
    lines = [
        f"All of {material.app.name} on your own machine, every service and every store, with one command:",
        f"{command} --watch" if watched else command,
        *([_WATCHED] if watched else []),
        *_reached(here),
        "Its passwords are known to everybody, and nothing of it answers beyond 127.0.0.1.",
    ]
    found = {"name": f"{material.app.name}-dev", "services": services, **_volumes(here)}
    return f"{_head(material, lines)}\n{yaml_text(found)}"


def _prod(material: Material) -> str:
    here = Here(material, development=False)
    services: dict[str, object] = {}
    for name, (body, why) in bodies(here).items():
        told = {key: value for key, value in body.items() if key != "labels"}
        # Not `always`: what is stopped on somebody's own machine stays down when Docker starts again.
        told.setdefault("restart", "unless-stopped")
        owner = _owner(material, name)
        build = built(material, owner) if owner is not None else None
        if build is not None and owner is not None:
            told["image"] = interpolated((_REGISTRY, f"/{material.app.name}-{owner.name}:", _VERSION))
            told["build"] = {**build, **_arguments(here, owner)}
        services[name] = _noted(told | _published(here, name) | _led_out(here, name, told), why)
    lines = [
        (
            f"All of {material.app.name} on your own machine as in production: built images, their limits, nothing "
            "mounted."
        ),
        f"  docker compose -f {material.folder}/compose.prod.yaml up --build --detach --wait",
        *_reached(here),
        (
            "It has no front door: no https, no domain. What .env beside this file does not set has the value "
            "that stands here."
        ),
    ]
    found = {**document(here.layout), "name": f"{material.app.name}-prod", "services": services}
    return f"{_head(material, lines)}\n{yaml_text(found)}"


def bodies(here: Here) -> Mapping[str, tuple[dict[str, object], str]]:
    """What each container says as a Compose service, and why."""
    services = document(here.layout)["services"]
    found: dict[str, tuple[dict[str, object], str]] = {}
    for name, one in services.items() if isinstance(services, dict) else ():
        body, above = (one.value, one.above) if isinstance(one, Noted) else (one, "")
        found[name] = (dict(body) if isinstance(body, dict) else {}, above)
    return found


def _owner(material: Material, name: str) -> Service | None:
    """The service whose image a container runs; None for a store."""
    release = material.app.release
    wanted = release.service if release is not None and name == RELEASE else name
    return next((one for one in material.app.services if one.name == wanted), None)


def _from_source(
    here: Here, service: Service, source: Source, body: dict[str, object], *, runs: bool
) -> dict[str, object]:
    """What a container says differently when it runs from the source; `runs` where it is the service itself."""
    found: dict[str, object] = {}
    if source.build is not None:
        build = {**source.build, **_arguments(here, service)}
        found |= {"build": build, "image": f"{here.material.app.name}-{_first_alike(here, service, build)}:dev"}
    mounted = _listed(body.get("volumes"))
    if source.mounts or mounted:
        found["volumes"] = [*source.mounts, *mounted]
    environment = body.get("environment")
    stack = here.material.stacks.get(service.name)
    python = bool(source.mounts) and stack is not None and stack.language == "python"
    own = {**source.environment, **({"PYTHONDONTWRITEBYTECODE": "1"} if python else {})}
    found["environment"] = dict(sorted({**(environment if isinstance(environment, dict) else {}), **own}.items()))
    if source.working_dir is not None:
        found["working_dir"] = source.working_dir
    if runs and source.command is not None:
        found["command"] = Inline(tuple(word.replace("$", "$$") for word in source.command))
        found |= {"user": source.user} if source.user is not None else {}
    if runs and source.watched:
        found["develop"] = {"watch": source.watched}
    return found if found["environment"] else {key: value for key, value in found.items() if key != "environment"}


def _first_alike(here: Here, service: Service, build: object) -> str:
    """The first service whose image is made in the same way: what is alike has one name, and is made once."""
    for one in here.material.app.services:
        source = source_of(here.material, one)
        if source.build is not None and {**source.build, **_arguments(here, one)} == build:
            return one.name
    return service.name


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _arguments(here: Here, service: Service) -> dict[str, object]:
    """The build arguments of a service; a secret is none, since an image remembers what it was built with."""
    found: dict[str, str] = {}
    for one in here.material.variables_of(service.name):
        if one.build and (not one.secret or one.default is not None):
            found[one.name] = interpolated(here.build_value(one))
    return {"args": found} if found else {}


def _published(here: Here, name: str) -> dict[str, object]:
    if name not in here.ports:
        return {}
    material = here.material
    store = next((one for one in material.app.stores if one.name == name), None)
    service = _owner(material, name)
    port = PORTS[store.kind] if store is not None else 0
    if service is not None:
        port = container_port(service, material.containers.get(name))
    return {"ports": [f"127.0.0.1:{interpolated((here.ports[name],))}:{port}"]}


def _led_out(here: Here, name: str, body: Mapping[str, object]) -> dict[str, object]:
    """Docker publishes no port of a container that is in internal networks only."""
    inner = {one.name for one in here.layout.networks if one.internal}
    joined = body.get("networks")
    if name in here.ports and isinstance(joined, Inline) and inner.issuperset(str(one) for one in joined.values):
        return {"networks": Inline((APP, *joined.values))}
    return {}


def _reached(here: Here) -> Iterator[str]:
    material = here.material
    stores = {one.name: one.kind for one in material.app.stores}
    schemes = {"postgres": "postgresql", "redis": "redis"}
    for name, port in here.ports.items():
        yield f"  {name}: {schemes.get(stores.get(name, ''), 'http')}://localhost:{port.default} ({port.name})"


def _volumes(here: Here) -> dict[str, object]:
    return {"volumes": {name: {} for name in here.layout.volumes}} if here.layout.volumes else {}


def _noted(body: dict[str, object], why: str) -> object:
    """The body in the order of reading, with its comment."""
    places = {key: number for number, key in enumerate(_ORDER)}
    found = dict(sorted(body.items(), key=lambda pair: places.get(pair[0], len(places))))
    return Noted(found, above=why) if why else found


def _head(material: Material, lines: Iterable[str]) -> str:
    told = [MARK.format(target=material.target.name), "", *lines]
    return "\n".join(f"# {line}".rstrip() for line in told)
