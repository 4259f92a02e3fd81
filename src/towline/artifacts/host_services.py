"""The services of a host as containers: closed by default, with the environment that the bindings and `.env` fill."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.artifacts.containers import Attached, HealthTest, HostContainer, Need, Setting
from towline.artifacts.docker.health import probe
from towline.artifacts.front_door import container_port
from towline.artifacts.host_references import runs_on, value
from towline.artifacts.host_stores import network_of, setup_of
from towline.artifacts.store_images import server_of
from towline.artifacts.variables import on_a_server
from towline.spec.addresses import names_host
from towline.spec.data_images import data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.containers import Text
    from towline.artifacts.rendered import Material, Variable
    from towline.spec.container import Container
    from towline.spec.model import Service, Site, Store

APP = "app"
"""The network of everything that runs the app's code: it leads out to the internet, and nothing leads in."""

REGISTRY = Setting("REGISTRY", hint="where the images are, for example ghcr.io/your-name")
VERSION = Setting("VERSION", hint="the version to run: the tag of the images")

MEMORY = "1g"
"""What a service may use where neither page nor Compose file sets a limit."""

_LAST = frozenset({"worker", "task"})
"""Kinds that wait for a processor, and are killed for memory, before those that people wait for."""

DATA_RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""What an entrypoint needs that gives its data folder to an ordinary user, and becomes that user."""

_TMP = "/tmp"  # noqa: S108 - inside the container
_LISTENS = frozenset({"web", "private", "static"})


@dataclass(frozen=True)
class Ground:
    """One host of a target, for everything that is made of it."""

    material: Material
    site: Site

    @property
    def stores(self) -> tuple[Store, ...]:
        """The stores that the host runs itself."""
        found = self.material.placement.stores_on(self.site)
        return tuple(one for one in found if runs_on(self.material.placement, self.site, one))

    @property
    def services(self) -> tuple[Service, ...]:
        """The services of the host."""
        return self.material.placement.services_on(self.site)

    def bound(self, service: Service) -> set[str]:
        """The stores and services that a service is told of."""
        return {one.of for one in self.material.app.bindings_of(service.name)}


def container_of(ground: Ground, service: Service) -> HostContainer:
    """The container of a service, or of a task, which waits to be called."""
    written = ground.material.containers.get(service.name)
    last, task = service.kind in _LAST, service.kind == "task"
    attached = tuple(_attached(ground, service))
    made = HostContainer(
        name=service.name,
        role="once" if task else "service",
        image=image_of(ground, service),
        why=_why(ground, service),
        command=_words(written.command if written else None),
        entrypoint=written.entrypoint if written else None,
        environment=environment_of(ground, service),
        working_dir=written.working_dir if written else None,
        user=written.user if written else None,
        shared_memory=written.shared_memory if written else None,
        ulimits=written.ulimits if written else (),
        read_only=(Setting(f"{_name(service)}_READ_ONLY", "true"),),
        tmpfs=_in_memory(written),
        # Of a volume that is new its entrypoint makes a folder for its user.
        capabilities=_rights(written, DATA_RIGHTS if attached else ()),
        init=written is None or written.init is not False,
        networks=(APP, *_networks(ground, service)),
        hosts=written.hosts if written else (),
        attached=attached,
        memory=(f"{service.memory // 2**20}m",) if service.memory else (Setting(f"{_name(service)}_MEMORY", MEMORY),),
        cpus=written.cpus if written else None,
        cpu_shares=512 if last else None,
        oom_score=500 if last else 200,
        pids=1024,
        stop_signal=None if service.stop_signal == "TERM" else f"SIG{service.stop_signal}",
        stop_within=service.max_job,
        health=_health(ground, service),
        needs=tuple(_needs(ground, service)),
        replicas=max(1, -(-service.replicas // len(ground.material.target.place[service.name]))),
        profile="tasks" if task else None,
    )
    return _with_data(made, service, written) if service.kind == "stateful" else made


def release_of(ground: Ground) -> HostContainer | None:
    """The release command as a container of its own, which waits to be called."""
    release = ground.material.app.release
    if release is None or release.service not in {one.name for one in ground.services}:
        return None
    service = ground.material.app.service(release.service)
    own = container_of(ground, service)
    return replace(
        own,
        name="release",
        role="once",
        why="The release command. Before a new version takes traffic: docker compose run --rm release",
        entrypoint=release.command[:2],
        command=((release.command[2],),),
        health=HealthTest(()),
        needs=tuple(one for one in own.needs if one.name in _of_stores(ground)),
        replicas=1,
        profile="release",
    )


def image_of(ground: Ground, service: Service) -> Text:
    """What the registry has of a service that is built, else the image that the Compose file names."""
    written = ground.material.containers.get(service.name)
    if (written is None or written.build is None) and service.image is not None:
        return (service.image,)
    return (REGISTRY, f"/{ground.material.app.name}-{service.name}:", VERSION)


def environment_of(ground: Ground, service: Service) -> dict[str, Text]:
    """What the process of a service is told, by name."""
    known = [one for one in ground.material.variables_of(service.name) if not one.build]
    found = {one.name: value_of(ground, one) for one in known}
    if service.kind in _LISTENS and service.kind != "static":
        variable = service.port_variable
        if variable is not None and variable not in found:
            found[variable] = (str(service.port),)
    elif service.kind == "static":
        port = container_port(service, ground.material.containers.get(service.name))
        found = {"PORT": (str(port),)}
    return dict(sorted(found.items()))


def value_of(ground: Ground, variable: Variable) -> Text:
    """What a variable of a service is filled with on the host."""
    if variable.origin == "reference" and variable.reference is not None:
        of, _, attribute = variable.reference.rpartition(".")
        material = ground.material
        return value(material.placement, ground.site, material.containers, (of, attribute))
    told = on_a_server(variable)
    if told.origin == "spelled":
        return (told.value or "",)
    return (Setting(told.setting or told.name, told.default, told.why),)


def _name(service: Service) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in service.name).upper()


def _words(words: tuple[str, ...] | None) -> tuple[Text, ...] | None:
    return None if words is None else tuple((word,) for word in words)


def _networks(ground: Ground, service: Service) -> Iterator[str]:
    bound = ground.bound(service)
    yield from (network_of(one.name) for one in ground.stores if one.name in bound)
    called = bound | set(service.after)
    stateful = [one for one in ground.services if one.kind == "stateful" and one.name != service.name]
    yield from (network_of(one.name) for one in stateful if one.name in called or _calls(service, one.name))


def _calls(service: Service, name: str) -> bool:
    """Whether a variable holds the address of `name`: as a whole URL, say, which no binding gives."""
    return any(names_host(variable, value.reveal(), name) for variable, value in service.environment.items())


def _of_stores(ground: Ground) -> set[str]:
    return {name for one in ground.stores for name in (one.name, setup_of(one))}


def _needs(ground: Ground, service: Service) -> Iterator[Need]:
    bound = ground.bound(service)
    for store in ground.stores:
        if store.name in bound and store.kind == "bucket":
            yield Need(setup_of(store), "completed")
        elif store.name in bound:
            silent = store.kind == "redis" and server_of(store) is None
            yield Need(store.name, "started" if silent else "healthy")
    here = {one.name: one for one in ground.services if one.kind not in ("task", "static")}
    for name in service.after:
        if name in here:
            tested = _health(ground, here[name])
            yield Need(name, "healthy" if tested is not None and tested.argv else "started")


def _in_memory(written: Container | None) -> tuple[str, ...]:
    """What the Compose file asks for, and a place for passing files where it has nothing else there."""
    mounts = written.mounts if written is not None else ()
    asked = tuple(f"{one.target}:{one.source}".rstrip(":") for one in mounts if one.kind == "tmpfs")
    return asked if any(one.target == _TMP for one in mounts) else (_TMP, *asked)


def _attached(ground: Ground, service: Service) -> Iterator[Attached]:
    """The volumes of a service. What it mounts of the author's machine is not there, and its code is in the image."""
    written = ground.material.containers.get(service.name)
    named = [one for one in written.mounts if one.kind == "volume" and one.source] if written is not None else []
    for mount in named:
        yield Attached("volume", mount.source, mount.target, mount.read_only)
    folder = data_folder(written) if written is not None and service.kind == "stateful" else None
    if folder is not None and folder not in {one.target for one in named}:
        # Under Compose it is a folder of the author's machine, or goes with the container.
        yield Attached("volume", f"{service.name}-data", folder)
    for one in ground.material.bound.get(service.name, ()):
        if one.fate == "volume" or (one.fate == "data" and folder is None):
            yield Attached("volume", one.volume, one.target)


def _why(ground: Ground, service: Service) -> str:
    written = ground.material.containers.get(service.name)
    kept = {one.target for one in ground.material.bound.get(service.name, ()) if one.fate in ("volume", "data")}
    mounts = written.mounts if written is not None else ()
    left = [one.target for one in mounts if one.kind == "bind" and one.target not in kept]
    beyond = written.beyond if written is not None else ()
    told = [f"Not mounted here, since it lies on the author's machine: {', '.join(left)}."] if left else []
    told += [f"Left out of what compose.yaml asks for: {', '.join(beyond)}."] if beyond else []
    if service.kind == "task":
        told = [f"Runs to its end when it is called: docker compose run --rm {service.name}", *told]
    return " ".join(told)


def _rights(written: Container | None, anyway: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*anyway, *(written.rights if written is not None else ())}))


def _with_data(container: HostContainer, service: Service, written: Container | None) -> HostContainer:
    """A service that keeps data: in a network of its own, with what its entrypoint needs to hand its data over."""
    return replace(
        container,
        networks=(network_of(service.name),),
        read_only=("false",),
        capabilities=_rights(written, DATA_RIGHTS),
        oom_score=0,
        init=written is not None and written.init is True,
        stop_within=max(container.stop_within, 60.0),
    )


def _health(ground: Ground, service: Service) -> HealthTest | None:
    """The Compose file's own test, else one by what the image has; None where only the image can know."""
    material = ground.material
    written = material.containers.get(service.name)
    test = written.probe if written is not None else ()
    rendered = service.name in material.stacks and service.dockerfile is None
    if test[:1] == ("NONE",) or (rendered and not test and service.kind not in _LISTENS):
        # Switched off, Compose's `up --wait` would wait for it all the same. That it lives is all that can be asked.
        return HealthTest(("/bin/sh", "-c", "kill -0 1"), start_within=0.0)
    within = service.health.within
    if test[:1] == ("CMD-SHELL",):
        return HealthTest(("/bin/sh", "-c", *test[1:]), start_within=within)
    if test:
        return HealthTest(test[1:], start_within=within)
    if service.kind not in _LISTENS:
        return None
    stack = material.stacks.get(service.name)
    if stack is not None and service.kind != "static":
        language = stack.language
        if language in ("node", "python"):
            return HealthTest(probe(service, language), start_within=within)
    port = container_port(service, written)
    path = "/" if service.kind == "static" else service.health.path
    return HealthTest(_by_any_means(port, path), start_within=within) if path is not None else None


def _by_any_means(port: int, path: str) -> tuple[str, ...]:
    """Ask with whichever program an image has of which nothing else is known."""
    url = f"http://127.0.0.1:{port}{path}"
    asked = json.dumps(url)
    node = f"fetch({asked}).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
    python = f"import urllib.request as r; r.urlopen({asked}, timeout=4)"
    ways = [
        ("wget", f"wget -q -O /dev/null {shlex.quote(url)}"),
        ("curl", f"curl -fsS -o /dev/null {shlex.quote(url)}"),
        ("node", f"node -e {shlex.quote(node)}"),
        ("python3", f"python3 -c {shlex.quote(python)}"),
    ]
    tried = "\nel".join(f"if command -v {program} >/dev/null; then {line}" for program, line in ways)
    return ("/bin/sh", "-c", f"{tried}\nelse exit 1\nfi\n")
