"""The artifacts of one host: its containers as instances, tasks and stores, which the release builder orders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from towline.artifacts import host_door
from towline.artifacts.containers import text_of
from towline.artifacts.environment import as_contents
from towline.artifacts.front_door import HOST, container_port
from towline.artifacts.host_layout import DOOR, layout
from towline.artifacts.host_stores import setup_of, volume_of
from towline.artifacts.model import ServiceArtifact, SiteBundle, StoreArtifact
from towline.core.secret import Secret
from towline.core.units import byte_count
from towline.steps.container import Container, Mount, Network, Test
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe, RunTask
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.containers import HostContainer, HostLayout, Text
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site, Store

TASK_WITHIN = 600.0

SETTINGS = "/etc/towline"
"""The folder of the door's configuration inside its container."""

_DOOR_READY = 10.0
_SERVER_READY = 60.0


@dataclass
class Making:
    """What the parts of one host's bundle are made with; `contents` fills up while they are.

    `images`: the image of each service that is built, by digest. `values`: every setting by its name.
    """

    material: Material
    site: Site
    images: Mapping[str, str]
    values: Mapping[str, Secret]
    salt: bytes
    contents: dict[str, Secret] = field(default_factory=dict)

    @cached_property
    def layout(self) -> HostLayout:
        """Everything that runs there."""
        return layout(self.material, self.site)

    def through_door(self, service: Service) -> bool:
        """Whether its requests come through the front door; a host that browsers never reach has none."""
        return host_door.through_door(service) and any(one.name == DOOR for one in self.layout.containers)

    def stash(self, secret: Secret) -> str:
        """Keep a secret among the contents; its digest stands for it everywhere else."""
        digest = secret.digest(self.salt)
        self.contents[digest] = secret
        return digest

    def text(self, text: Text) -> str:
        """The text with its settings filled in. KeyError for one that is missing."""
        return text_of(text, {name: one.reveal() for name, one in self.values.items()})

    def full(self, name: str) -> str:
        """A name of a container, volume or network that no other app or target on the machine has."""
        return f"{self.material.app.name}-{self.material.target.name}-{name}"


def site_bundle(making: Making) -> SiteBundle:
    """Everything that should be on one host. KeyError where a setting has no value: ask for all of them first."""
    found = {one.name: one for one in making.layout.containers}
    app = making.material.app
    stores = tuple(
        _store(making, store, found)
        for store in app.stores
        if found.get(store.name) and found[store.name].role == "store"
    )
    services = tuple(
        _service(making, service, found[service.name]) for service in making.material.placement.services_on(making.site)
    )
    release = found.get("release")
    door = found.get(DOOR)
    return SiteBundle(
        site=making.site.name,
        stores=stores,
        services=services,
        release_task=_task(making, release, "release", app.release.within) if release and app.release else None,
        door=_door(making, door) if door else None,
        routes=making.stash(Secret(_routes(making))) if door else None,
        contents=making.contents,
    )


def _routes(making: Making) -> str:
    known = making.values.get(HOST.name)
    return host_door.config(making.material, making.site, known.reveal() if known else None)


def _door(making: Making, made: HostContainer) -> Instance:
    container = _container(making, made, DOOR)
    networks = [
        replace(one, aliases=host_door.inner_names(making.material, making.site)) for one in container.networks[:1]
    ]
    told = (
        Mount("folder", "door", host_door.FOLDER, read_only=True),
        Mount("folder", "caddy", SETTINGS, read_only=True),
    )
    container = replace(
        container,
        command=("caddy", "run", "--config", f"{SETTINGS}/caddy.json"),
        networks=(*networks, *container.networks[1:]),
        mounts=(*container.mounts, *told),
        tmpfs=(*container.tmpfs, "/run"),
        test=None,
    )
    return Instance(
        name=DOOR,
        service=DOOR,
        revision=_revision(container, ""),
        runs="door",
        ready=Probe("lives", within=_DOOR_READY),
        stop_within=made.stop_within,
        container=container,
    )


def _store(making: Making, store: Store, found: Mapping[str, HostContainer]) -> StoreArtifact:
    made = found[store.name]
    env, container = _environment(making, made), _container(making, made, store.name)
    volume = volume_of(store)
    major = store.major or _major(container.image)
    settings = {"volume": making.full(volume)} if volume else {}
    return StoreArtifact(
        init=InitStore(store.name, store.kind, major, settings),
        server=Instance(
            name=store.name,
            service=store.name,
            revision=_revision(container, "" if store.kind == "postgres" else env or ""),
            runs="postgres" if store.kind == "postgres" else "redis" if store.kind == "redis" else "bucket",
            ready=Probe("lives", within=_SERVER_READY),
            env=env,
            stop_signal="INT" if store.kind == "postgres" else "TERM",
            stop_within=made.stop_within,
            container=container,
        ),
        prepare=_prepare(making, store, found.get(setup_of(store))),
    )


def _prepare(making: Making, store: Store, setup: HostContainer | None) -> PrepareStore | None:
    """A bucket is made by a container of its own; a database by its server, and later only its password changes."""
    if store.kind == "redis":
        return None
    settings = {"user": store.user, "database": store.database}
    if store.kind == "postgres":
        settings["password"] = making.stash(making.values[f"{store.name}_password".upper().replace("-", "_")])
    container = _container(making, setup, setup.name) if setup else None
    env = _environment(making, setup) if setup else None
    # Another key is another setting: it is made when that changes.
    told = {"env": env} if env else {}
    return PrepareStore(store.name, store.kind, 0, settings | told, container=container, env=env)


def _service(making: Making, service: Service, made: HostContainer) -> ServiceArtifact:
    task = service.kind == "task"
    tasks = (_task(making, made, f"task {service.name}", TASK_WITHIN),) if task else ()
    instances = () if task else _instances(making, service, made)
    after, reason = _swap(service)
    return ServiceArtifact(
        name=service.name,
        instances=instances,
        upstreams=_upstreams(making, service, instances),
        swap="after" if after else "beside",
        swap_reason=reason,
        tasks=tasks,
        after=service.after,
    )


def _swap(service: Service) -> tuple[bool, str]:
    if service.single:
        return True, "it is `single`: never two at once"
    if service.kind == "stateful":
        return True, "its data is in one place"
    if service.volumes:
        return True, "it writes to a volume, which two versions must not share"
    return False, ""


def _instances(making: Making, service: Service, made: HostContainer) -> tuple[Instance, ...]:
    env = _environment(making, made)
    template = _container(making, made, "")
    revision = _revision(template, env or "")
    door = making.through_door(service)
    found = []
    for number in range(1, made.replicas + 1):
        name = f"{service.name}.{revision}.{number}"
        container = replace(template, name=making.full(name))
        if not door and service.kind != "worker":
            # Nothing stands between it and those who call it: it answers to its own name.
            container = replace(
                container, networks=tuple(replace(one, aliases=(service.name,)) for one in container.networks)
            )
        found.append(
            Instance(
                name=name,
                service=service.name,
                revision=revision,
                runs="service",
                ready=_probe(service, made),
                port=service.port if door else None,
                env=env,
                stop_signal=service.stop_signal,
                stop_within=made.stop_within,
                drain=service.max_job if door else 0.0,
                memory=container.memory,
                container=container,
            )
        )
    return tuple(found)


def _probe(service: Service, made: HostContainer) -> Probe:
    """The container's own test says when it is ready; without one a little life must do."""
    tested = made.health is not None and bool(made.health.argv)
    return Probe("lives", within=service.health.within, settle=0.0 if tested else 1.0)


def _upstreams(making: Making, service: Service, instances: tuple[Instance, ...]) -> tuple[str, ...]:
    if not making.through_door(service):
        return ()
    port = container_port(service, making.material.containers.get(service.name))
    return tuple(f"{one.container.name}:{port}" for one in instances if one.container)


def _task(making: Making, made: HostContainer, name: str, within: float) -> RunTask:
    container = _container(making, made, made.name)
    env = _environment(making, made)
    return RunTask(
        name=name,
        service=made.name if made.name != "release" else making.material.app.release.service,  # type: ignore[union-attr]
        command=(*(container.entrypoint or ()), *(container.command or ())),
        cwd=container.working_dir or "",
        within=within,
        env=env,
        marker=_revision(container, env or ""),
        container=container,
    )


def _environment(making: Making, made: HostContainer) -> str | None:
    if not made.environment:
        return None
    return making.stash(as_contents({name: Secret(making.text(text)) for name, text in made.environment.items()}))


def _revision(container: Container, env: str) -> str:
    """Eight digits over all that a copy is made of, except its name."""
    return digest_of([repr(replace(container, name="")), env])[:8]


def _major(image: str) -> str:
    tag = image.rsplit("/", 1)[-1].partition(":")[2].partition("@")[0]
    return tag.partition(".")[0].partition("-")[0] or "0"


def _container(making: Making, made: HostContainer, name: str) -> Container:
    """The engine's view of a container; what it waits for and how it restarts is the release's own affair."""
    return Container(
        name=making.full(name),
        image=making.images.get(made.name) or making.images.get(_built_by(making, made)) or making.text(made.image),
        command=None if made.command is None else tuple(making.text(word) for word in made.command),
        entrypoint=made.entrypoint,
        working_dir=made.working_dir,
        user=made.user,
        read_only=making.text(made.read_only) == "true",
        tmpfs=made.tmpfs,
        capabilities=made.capabilities,
        init=made.init,
        networks=_networks(making, made),
        namespace=making.full(made.namespace) if made.namespace else None,
        mounts=tuple(
            Mount("volume", making.full(one.source), one.target, one.read_only)
            for one in made.attached
            if one.kind == "volume"
        ),
        published=tuple(f"{one.port}/{one.protocol}" for one in made.published),
        memory=byte_count(making.text(made.memory)) if made.memory else None,
        shared_memory=made.shared_memory,
        cpus=made.cpus,
        cpu_shares=made.cpu_shares,
        pids=made.pids,
        oom_score=made.oom_score,
        test=None
        if made.health is None
        else Test(
            made.health.argv, made.health.interval, made.health.timeout, made.health.start_within, made.health.retries
        ),
        labels=dict(made.labels),
    )


def _built_by(making: Making, made: HostContainer) -> str:
    """The service whose image the release command runs in."""
    release = making.material.app.release
    return release.service if release is not None and made.name == "release" else made.name


def _networks(making: Making, made: HostContainer) -> tuple[Network, ...]:
    known = {one.name: one for one in making.layout.networks}
    # A store answers to its own name in its own network; a service is found through the door.
    aliases = (made.name,) if made.role == "store" else ()
    return tuple(Network(making.full(one), internal=known[one].internal, aliases=aliases) for one in made.networks)
