"""A small app with one of everything, to make artifacts of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.artifacts.addresses import wanted_values
from towline.artifacts.bundle import addresses_of, bundle
from towline.artifacts.ports import Ports
from towline.artifacts.services import Sources
from towline.core.secret import Secret
from towline.planner.place import place
from towline.spec.model import App, Binding, Command, Health, ReleaseCommand, Service, Site, Store, Target
from towline.steps.model import Facts, Room

if TYPE_CHECKING:
    from towline.artifacts.addresses import Local
    from towline.artifacts.model import ServiceArtifact, SiteBundle

ROOT = Path("/project")
MACHINE = {"PATH": "/usr/bin:/bin", "HOME": "/home/ada", "AWS_SECRET_ACCESS_KEY": "canary-of-the-machine"}


def service(name: str, kind: str = "web", **changes: Any) -> Service:
    """A service as a Compose file with little in it gives one."""
    plain = Service(
        name=name,
        kind=kind,  # type: ignore[arg-type]  # a word of the test's own
        context=ROOT / name,
        folder=ROOT / name,
        dockerfile=None,
        image=None,
        command=Command((name, "serve"), "command:"),
        environment={},
        build_environment={},
        port=8000 if kind in ("web", "private") else None,
        port_variable="PORT" if kind in ("web", "private") else None,
        hostname=name,
        domain=None,
        health=Health("/health", 30.0) if kind == "web" else Health(None, 30.0),
        after=(),
        setup=None,
        setup_locks=(),
        build="npm run build" if kind == "static" else None,
        output="dist" if kind == "static" else None,
        max_job=25.0,
        stop_signal="TERM",
        replicas=1,
        single=False,
        reload=False,
        memory=None,
        volumes=(),
    )
    return replace(plain, **changes)


def store(name: str, kind: str, **changes: Any) -> Store:
    """A store with the names that a Compose file gives it."""
    use = "queue" if kind == "redis" else None
    plain = Store(name, kind, name, None, None, use, None, "app", "shop")  # type: ignore[arg-type]
    return replace(plain, **changes)


def app(*services: Service, stores: tuple[Store, ...] = (), **changes: Any) -> App:
    """An app of these services."""
    return replace(App("shop", ROOT, services, stores, (), None, None), **changes)


def everything() -> App:
    """One service of each kind, one store of each kind that a laptop has, and bindings between them."""
    services = (
        service("api", setup="pip install -r requirements.txt", environment={"MODE": Secret("canary-environment")}),
        service("inner", "private"),
        service("worker", "worker", replicas=2, max_job=600.0),
        service("page", "static", build_environment={"VITE_TITLE": Secret("canary-build")}),
        service("seed", "task"),
        service("index", "stateful", port=7700),
    )
    stores = (store("db", "postgres"), store("jobs", "redis"), store("files", "bucket", public="p/"))
    bindings = (
        Binding("api", "DATABASE_URL", "db", "url"),
        Binding("api", "S3_SECRET", "files", "secret_key"),
        Binding("worker", "REDIS_URL", "jobs", "url"),
        Binding("worker", "API", "api", "internal_url"),
        Binding("page", "VITE_API", "api", "url"),
        Binding("seed", "DB_PASSWORD", "db", "password"),
    )
    release = ReleaseCommand("api", ("migrate", "up"), backup_first=False, within=300.0)
    return app(*services, stores=stores, bindings=bindings, release=release)


def target(of: App, **options: str) -> Target:
    """All of it on one laptop."""
    names = [one.name for one in of.services] + [one.name for one in of.stores]
    return Target("local", "laptop", (Site("local", "local", options),), dict.fromkeys(names, ("local",)), None)


def values(of: App) -> dict[str, Secret]:
    """A value for everything that the stores need, recognisable wherever it turns up."""
    return {name: Secret(f"canary-value-{name.replace('.', '-')}") for name in wanted_values(of)}


def sources(of: App, **code: str) -> Sources:
    """Identities of the code; `code` changes those of single services."""
    names = [one.name for one in of.services]
    return Sources({name: code.get(name, f"code-{name}") for name in names}, {name: f"lock-{name}" for name in names})


def facts(**changes: Any) -> Facts:
    """A site on which nothing is yet."""
    return replace(Facts("local", room=Room(ports=tuple(range(20000, 20040))), salt=Secret("salt")), **changes)


def addresses(of: App, seen: Facts | None = None, **options: str) -> Local:
    """Where everything of the app is found."""
    return addresses_of(place(of, target(of, **options)), Ports(seen or facts()), values(of))


def made(of: App, seen: Facts | None = None, given: Sources | None = None, **options: str) -> SiteBundle:
    """The artifacts of the app on its laptop."""
    placement = place(of, target(of, **options))
    return bundle(placement, seen or facts(), values(of), given or sources(of), MACHINE).sites[0]


def artifact(of: App, name: str, seen: Facts | None = None, given: Sources | None = None) -> ServiceArtifact:
    """The artifact of one service."""
    return next(one for one in made(of, seen, given).services if one.name == name)
