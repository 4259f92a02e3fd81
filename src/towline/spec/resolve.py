"""Compose file, page and target laid over each other: one App and one Target in which nothing is left open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.spec.detect import database_of, image_major, one_shots, redis_use, store_kind
from towline.spec.ground import Ground
from towline.spec.layout import Layout, app_name, lay_out
from towline.spec.model import (
    SERVICE_REFERENCES,
    STORE_REFERENCES,
    App,
    Binding,
    Hooks,
    JobCheck,
    Notice,
    ReleaseCommand,
    SeedCommand,
    Service,
    ShapeName,
    Site,
    Store,
    StoreKind,
    Target,
)
from towline.spec.page import Page, ServiceEntry, SiteEntry, StoreEntry, TargetEntry
from towline.spec.service import Parts, service_of, shell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from towline.spec.compose import ComposeConfig
    from towline.spec.mistakes import ReadPage
    from towline.spec.page import HooksEntry, JobEntry, ReleaseEntry, SeedEntry
    from towline.spec.source import Source

RUNS_CODE = frozenset({"web", "private", "worker", "task"})
"""The kinds that get the bindings of `"*"`: a static service is built once and must not carry secrets out."""

LAPTOP = TargetEntry(sites={"local": SiteEntry(kind="local")}, place={"*": ("local",)})
"""What the target `laptop` is unless the page says otherwise."""


def resolve(
    compose: ComposeConfig, read: ReadPage, target: str, *, ground: Mapping[str, Ground]
) -> tuple[App, Target, Layout]:
    """The app and its target, as far as they can be told: total, so that `check` can name every mistake in them.

    What is unknown (a store of a binding, a site of a place) is left out here and found there.
    """
    layout = lay_out(compose, read.page)
    name = read.page.app or app_name(compose.name)
    services = _services(compose, read.page, layout, ground)
    stores = tuple(_store(store, compose, read, layout, name) for store in layout.stores)
    app = App(
        name=name,
        root=compose.root,
        services=services,
        stores=stores,
        bindings=tuple(_bindings(read, services, stores)),
        release=_release(read.page.release, services),
        job=_job(read.page.verify.job, compose, services),
        seed=_seed(read.page.seed, services),
        hooks=_hooks(read.page.hooks),
        notices=tuple(Notice(name, one.form, one.on) for name, one in read.page.notify.items()),
    )
    return app, target_of(read, target, [*(one.name for one in services), *layout.stores]), layout


def known_targets(page: Page) -> dict[str, TargetEntry]:
    """The targets that the page names, and `laptop`, which is always there."""
    named = dict(page.targets)
    own = named.get("laptop", LAPTOP)
    named["laptop"] = own if own.sites else LAPTOP
    return named


def target_of(read: ReadPage, name: str, placed: Iterable[str]) -> Target:
    """The target `name` with a place for each of `placed`; an unknown target is read as the laptop."""
    entry = known_targets(read.page).get(name, LAPTOP)
    sites = tuple(Site(site, one.kind, one.options) for site, one in entry.sites.items())
    rest = entry.place.get("*") or (tuple(entry.sites) if len(entry.sites) == 1 else ())
    place = {one: entry.place.get(one, rest) for one in placed}
    line = read.source.lines.get(("targets", name))
    return Target(name, entry.shape or _shape(name, entry), sites, place, entry.budget, line, entry.keep)


def _shape(name: str, entry: TargetEntry) -> ShapeName:
    kinds = {site.kind for site in entry.sites.values()}
    if name == "laptop" or kinds == {"local"}:
        return "laptop"
    own = kinds & {"host", "coolify", "dokploy"}
    if own and kinds - own:
        return "hybrid"
    return "vps" if own else "managed"


def _services(compose: ComposeConfig, page: Page, layout: Layout, ground: Mapping[str, Ground]) -> tuple[Service, ...]:
    ended = one_shots(compose)
    made: list[Service] = []
    for container in compose.containers:
        if container.name in layout.services:
            entry = page.services.get(container.name, ServiceEntry())
            parts = Parts(container, entry, ground.get(container.name, Ground()), container.name in ended, compose.root)
            made.append(service_of(parts, layout.services))
    return tuple(_without_static(made))


def _without_static(services: list[Service]) -> Iterator[Service]:
    """Nobody can wait for files: they are built before anything starts."""
    static = {service.name for service in services if service.kind == "static"}
    for service in services:
        yield replace(service, after=tuple(name for name in service.after if name not in static))


def _store(name: str, compose: ComposeConfig, read: ReadPage, layout: Layout, app: str) -> Store:
    entry = read.page.stores.get(name, StoreEntry())
    service = layout.stores[name]
    container = compose.container(service) if service else None
    kind: StoreKind = entry.kind or (store_kind(container) if container else None) or "postgres"
    user, database = database_of(container, app)
    image = container.image if container else None
    return Store(
        name=name,
        kind=kind,
        service=service,
        image=image,
        major=entry.major or image_major(image),
        use=(entry.use or redis_use(container)) if kind == "redis" else None,
        public=entry.public if isinstance(entry.public, str) else "" if entry.public else None,
        user=user if kind == "postgres" else app,
        database=bucket_name(app, name) if kind == "bucket" else database,
        line=read.source.lines.get(("stores", name)) or (container.line if container else None),
    )


def bucket_name(app: str, store: str) -> str:
    """The bucket of a store: the app's name, made longer where S3 wants at least three characters."""
    return app if len(app) >= 3 else f"{app}-{store}".replace("_", "-")


def _bindings(read: ReadPage, services: tuple[Service, ...], stores: tuple[Store, ...]) -> Iterator[Binding]:
    offered = references(services, stores)
    shared = read.page.bind.get("*", {})
    for service in services:
        own = read.page.bind.get(service.name, {})
        spread = shared if service.kind in RUNS_CODE else {}
        for variable, reference in sorted({**spread, **own}.items()):
            of, _, attribute = reference.rpartition(".")
            line = _binding_line(read.source, service.name if variable in own else "*", variable)
            if attribute in offered.get(of, ()):
                yield Binding(service.name, variable, of, attribute, line)


def _binding_line(source: Source, owner: str, variable: str) -> int | None:
    return source.lines.get(("bind", owner, variable))


def references(services: Iterable[Service], stores: Iterable[Store]) -> dict[str, tuple[str, ...]]:
    """What a binding may ask, by name of store or service."""
    of_services = {service.name: SERVICE_REFERENCES.get(service.kind, ()) for service in services}
    return {**of_services, **{store.name: STORE_REFERENCES[store.kind] for store in stores}}


def first_web(services: Iterable[Service]) -> str | None:
    """The service that is meant when a release or a check names none."""
    known = list(services)
    web = [service.name for service in known if service.kind == "web"]
    return next(iter([*web, *(service.name for service in known if service.kind in RUNS_CODE)]), None)


def _release(entry: ReleaseEntry | None, services: tuple[Service, ...]) -> ReleaseCommand | None:
    service = None if entry is None else entry.in_service or first_web(services)
    if entry is None or service is None:
        return None
    return ReleaseCommand(
        service=service,
        command=shell(entry.run),
        backup_first=entry.backup_first is not False,
        within=entry.within,
        rehearse=entry.rehearse,
        allow=entry.allow,
        lock_timeout=entry.lock_timeout,
        keep_backups=entry.keep_backups,
    )


def _seed(entry: SeedEntry | None, services: tuple[Service, ...]) -> SeedCommand | None:
    service = None if entry is None else entry.in_service or first_web(services)
    return None if entry is None or service is None else SeedCommand(service, shell(entry.run), entry.within)


def _hooks(entry: HooksEntry) -> Hooks:
    return Hooks(entry.before, entry.after, entry.failed, entry.within)


def _job(entry: JobEntry | None, compose: ComposeConfig, services: tuple[Service, ...]) -> JobCheck | None:
    service = None if entry is None else entry.service or first_web(services)
    if entry is None or service is None:
        return None
    return JobCheck(
        service=service,
        method=entry.method,
        path=entry.path,
        fields=dict(entry.fields),
        file=None if entry.file is None else (entry.file.field, compose.root / entry.file.path),
        accepted=entry.accepted,
        follow=entry.follow,
        until=dict(entry.until),
        failed=dict(entry.failed),
        within=entry.within,
        object=entry.object,
        content_type=entry.content_type,
        bearer=entry.bearer,
    )
