"""The artifacts of one host: its containers as instances, tasks and stores, which the release builder orders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from towline.artifacts import host_door, host_front, links, machine_door, static_files
from towline.artifacts.containers import HealthTest, text_of
from towline.artifacts.copies import copy_name, copy_numbers
from towline.artifacts.environment import as_contents
from towline.artifacts.front_door import container_port
from towline.artifacts.host_files import encoded, files_of
from towline.artifacts.host_layout import DOOR, DOOR_IMAGE, layout
from towline.artifacts.host_services import DATA_RIGHTS
from towline.artifacts.host_stores import setup_of, volume_of
from towline.artifacts.migrations import migration_of
from towline.artifacts.model import SEEDED, ServiceArtifact, SiteBundle, StoreArtifact
from towline.core.secret import Secret
from towline.core.units import byte_count
from towline.steps.container import Container, Mount, Network
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe, RunTask
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.artifacts.containers import HostContainer, HostLayout, Text
    from towline.artifacts.folders import Travelling
    from towline.artifacts.links import SiteLink
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site, Store
    from towline.steps.links import Opening

TASK_WITHIN = 600.0

_SERVER_READY = 60.0


@dataclass
class Making:
    """What the parts of one host's bundle are made with; `contents` fills up while they are.

    `images`: the image of each service that is built; `exact`: what other names mean on that host, by container.
    `values`: every setting by its name. `running`: the copies that are there, by name, with their states: a ready one
    keeps its number. `named`: the host was given its name by a person. `link`: its part of the private link with other
    hosts. `folders` are those of the project that services mount, by path here.
    """

    material: Material
    site: Site
    images: Mapping[str, str]
    values: Mapping[str, Secret]
    salt: bytes
    contents: dict[str, Secret] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, str] = field(default_factory=dict)
    named: bool = False
    link: SiteLink | None = None
    folders: Mapping[str, Travelling] = field(default_factory=dict)

    @cached_property
    def layout(self) -> HostLayout:
        """Everything that runs there."""
        return static_files.given_out(layout(self.material, self.site), self.material, (DOOR_IMAGE,))

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
    on_site = making.material.placement.services_on(making.site)
    services = tuple(_service(making, service, found[service.name]) for service in on_site)
    release = found.get("release")
    door = found.get(DOOR)
    names = host_front.names_of(making) if door else None
    task = _release(making, release) if release else None
    return SiteBundle(
        site=making.site.name,
        stores=stores,
        services=services,
        release_task=task,
        seed_task=_seed(making, found),
        door=_door(making, door) if door else None,
        routes=None,
        contents=making.contents,
        names=names,
        machine_door=machine_door.opening(making.site, names) if names else None,
        link=making.link.join if making.link else None,
        hands_over=True,
        migration=migration_of(app, task, stores, making.full, on_site) if task else None,
    )


def _release(making: Making, made: HostContainer) -> RunTask | None:
    """It runs once, on the first host of its service."""
    release = making.material.app.release
    if release is None or making.material.target.place[release.service][0] != making.site.name:
        return None
    return _task(making, made, "release", release.within)


def _door(making: Making, made: HostContainer) -> Instance:
    container = host_front.confined(making, _container(making, replace(made, published=()), DOOR))
    revision = _revision(container, host_front.routes_of(making).reveal())
    return host_front.instance(making, container, revision, made.stop_within)


def _store(making: Making, store: Store, found: Mapping[str, HostContainer]) -> StoreArtifact:
    made = found[store.name]
    env, container = _environment(making, made), _container(making, made, store.name)
    volume = volume_of(store)
    major = store.major or _major(making.text(made.image))
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
    after, reason = swap_of(service)
    return ServiceArtifact(
        name=service.name,
        instances=instances,
        upstreams=_upstreams(making, service, instances),
        swap="after" if after else "beside",
        swap_reason=reason,
        tasks=tasks,
        after=service.after,
    )


def swap_of(service: Service) -> tuple[bool, str]:
    """Whether the old copies of a service stop before the new ones start, and why."""
    if service.single:
        return True, "it is `single`: never two at once"
    if service.kind == "stateful":
        return True, "its data is in one place"
    # What lies on the author's machine is not there, and neither has an unnamed one anything of the version before.
    if any(not one.startswith(("/", ":")) and not one.endswith(":ro") for one in service.volumes):
        return True, "it writes to a volume, which two versions must not share"
    return False, ""


def _instances(making: Making, service: Service, made: HostContainer) -> tuple[Instance, ...]:
    env = _environment(making, made)
    template = _container(making, made, "")
    revision = _revision(template, env or "")
    door = making.through_door(service)
    found = []
    for number in copy_numbers((service.name, revision), made.replicas, making.running):
        name = copy_name(service.name, revision, number)
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
                settings={"keeps": "data"} if service.kind == "stateful" else {},
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
        service=_built_by(making, made),
        command=(*(container.entrypoint or ()), *(container.command or ())),
        cwd=container.working_dir or "",
        within=within,
        env=env,
        marker=_revision(container, env or ""),
        container=container,
    )


def _seed(making: Making, found: Mapping[str, HostContainer]) -> RunTask | None:
    """On the first of the sites of its service alone."""
    seed = making.material.app.seed
    if seed is None or making.material.target.place[seed.service][0] != making.site.name:
        return None
    made = replace(
        found[seed.service],
        name="seed",
        role="once",
        entrypoint=seed.command[:2],
        command=((seed.command[2],),),
        health=HealthTest(()),
        replicas=1,
    )
    return replace(_task(making, made, "seed", seed.within), marker=SEEDED)


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
    container = Container(
        name=making.full(name),
        image=making.images.get(made.name) or making.images.get(_built_by(making, made)) or making.text(made.image),
        exact=making.exact.get(made.name) or making.exact.get(_built_by(making, made)),
        command=None if made.command is None else tuple(making.text(word) for word in made.command),
        entrypoint=made.entrypoint,
        working_dir=made.working_dir,
        user=made.user,
        read_only=making.text(made.read_only) == "true",
        tmpfs=made.tmpfs,
        capabilities=tuple(sorted({*made.capabilities, *_rights(making, made)})),
        init=made.init,
        networks=_networks(making, made),
        namespace=making.full(made.namespace) if made.namespace else None,
        mounts=tuple(
            Mount("volume", making.full(one.source), one.target, one.read_only)
            for one in made.attached
            if one.kind == "volume"
        )
        + tuple(_given(making, made)),
        published=tuple(f"{one.port}/{one.protocol}" for one in made.published),
        hosts=made.hosts,
        memory=byte_count(making.text(made.memory)) if made.memory else None,
        shared_memory=made.shared_memory,
        ulimits=made.ulimits,
        cpus=made.cpus,
        cpu_shares=made.cpu_shares,
        pids=made.pids,
        oom_score=made.oom_score,
        test=made.health,
        labels=dict(made.labels),
    )
    return _linked(making, made, container)


def _linked(making: Making, made: HostContainer, container: Container) -> Container:
    """With what a private link adds: services find what they are told of elsewhere, others find what is here."""
    link = making.link
    if link is None or made.namespace is not None:
        return container
    told = {one.of for one in making.material.app.bindings_of(_built_by(making, made))}
    names = {name: address for name, address in link.names.items() if name in told}
    opened = {} if made.role == "once" else {one.port: link.join.address for one in _openings(making, link, made)}
    found = links.with_link(container, names, opened, making.full("link"))
    return replace(found, hosts=tuple(sorted({*container.hosts, *found.hosts})))


def _openings(making: Making, link: SiteLink, made: HostContainer) -> Iterator[Opening]:
    """Of what others use here, what this container answers for: the front door for all services behind it."""
    behind = {one.name for one in making.material.placement.services_on(making.site) if making.through_door(one)}
    return (one for one in link.join.openings if made.name == (DOOR if one.name in behind else one.name))


def _given(making: Making, made: HostContainer) -> Iterator[Mount]:
    """Files and folders of the project, and secrets and configs: of a service, and of what runs in its image."""
    name, material = _built_by(making, made), making.material
    if made.role not in ("service", "once"):
        return
    bound = material.bound.get(name, ())
    if static_files.is_given_out(material, name):
        settings = static_files.settings_of(material, material.app.service(name))
        yield Mount("file", making.stash(encoded(settings)), static_files.SETTINGS, read_only=True)
    else:
        left = {str(one.source) for one in bound if one.fate != "copy"} | making.folders.keys()
        contents = {path: content for path, content in material.given.items() if path not in left}
        yield from files_of(material.containers.get(name), contents, making.values, making.stash)
    for one in bound:
        if one.fate == "copy" and (folder := making.folders.get(str(one.source))) is not None:
            yield Mount("folder", folder.mounted(making.salt), one.target, read_only=True)


def _rights(making: Making, made: HostContainer) -> tuple[str, ...]:
    """Who may write to its own files may also begin as root, and become the user that its image is for."""
    of_the_app = made.role in ("service", "once")
    return DATA_RIGHTS if of_the_app and making.text(made.read_only) != "true" else ()


def _built_by(making: Making, made: HostContainer) -> str:
    """The service in whose image it runs: for the release command and the seed that is another one."""
    app = making.material.app
    once = {"release": app.release, "seed": app.seed}.get(made.name)
    return once.service if once is not None else made.name


def _networks(making: Making, made: HostContainer) -> tuple[Network, ...]:
    known = {one.name: one for one in making.layout.networks}
    # A store answers to its own name in its own network; a service is found through the door.
    aliases = (made.name,) if made.role == "store" else ()
    return tuple(Network(making.full(one), internal=known[one].internal, aliases=aliases) for one in made.networks)
