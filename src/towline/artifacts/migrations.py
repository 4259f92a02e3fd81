"""What a release command does to the databases of its host, and how that is made safe first. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.spec.data_images import is_mysql
from towline.steps.container import Mount, Network
from towline.steps.migration import CopyServer, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from towline.artifacts.model import StoreArtifact
    from towline.spec.model import App, ReleaseCommand, Service
    from towline.steps.container import Container
    from towline.steps.kinds import RunTask


@dataclass(frozen=True)
class Migration:
    """What surrounds a release command: the databases of its host that it works on, and how to rehearse it.

    `beside` are those that are backed up, and nothing more: the servers of stateful services, none of Towline's stores.
    `rehearsal` is its container in a rehearsal, None where there is none; `copies` are the servers that it meets there.
    `keep` is the number of backups that stay, 0 where none is taken. `lock_timeout` is in seconds. `network` is that of
    a rehearsal. `notes` say what is not done, for whoever is asked to say yes.
    """

    databases: tuple[Database, ...]
    rehearsal: Container | None
    copies: tuple[CopyServer, ...]
    keep: int
    allow: tuple[str, ...]
    lock_timeout: float
    network: str
    notes: tuple[str, ...] = ()
    beside: tuple[Database, ...] = ()


def migration_of(
    app: App,
    task: RunTask,
    stores: Iterable[StoreArtifact],
    full: Callable[[str], str],
    services: Iterable[Service] = (),
) -> Migration | None:
    """What surrounds the release command `task`; None where it works on no database of this host.

    `stores` and `services` are those of the host; `full` makes a name that nobody else on the machine has.
    """
    release, container = app.release, task.container
    if release is None or container is None:
        return None
    here = {one.server.name: one for one in stores}
    bound = {one.of for one in app.bindings_of(release.service)}
    asked = [one.name for one in app.stores if one.kind == "postgres" and (one.name in bound or not bound)]
    known = [here[name] for name in asked if name in here]
    beside = tuple(one for service in services if (one := database_in(service)) is not None)
    if not known and not beside:
        return None
    away = [name for name in asked if name not in here]
    rehearsed = bool(known) and release.rehearse and release.backup_first and not away
    met = [here[name] for name in sorted(bound & here.keys() | {one.server.name for one in known})]
    network = full("rehearsal")
    return Migration(
        databases=tuple(database_of(one) for one in known),
        rehearsal=_rehearsal(container, network) if rehearsed else None,
        copies=tuple(_copy(one, full, network) for one in met if one.server.runs != "bucket") if rehearsed else (),
        keep=release.keep_backups if release.backup_first else 0,
        allow=release.allow,
        lock_timeout=release.lock_timeout,
        network=network,
        notes=(*_notes(app, release, away, bound), *_unrehearsed(release, beside)),
        beside=beside,
    )


def _unrehearsed(release: ReleaseCommand, beside: Iterable[Database]) -> tuple[str, ...]:
    names = ", ".join(one.store for one in beside)
    said = f"the release command is not rehearsed on {names}: only a backup is taken"
    return (said,) if names and release.backup_first and release.rehearse else ()


def database_of(store: StoreArtifact) -> Database:
    """The database that a Postgres was made for."""
    settings = store.prepare.settings if store.prepare is not None else {}
    return Database(store.server.name, settings["user"], settings["database"])


def database_in(service: Service) -> Database | None:
    """The databases of a stateful service whose own programs dump them and read them again; None for others."""
    dumped = service.kind == "stateful" and is_mysql(service.image)
    return Database(service.name, "", "", "mysql") if dumped else None


def _rehearsal(container: Container, network: str) -> Container:
    """The release command where it can reach nothing but the copies, and write to no volume of the app."""
    return replace(
        container,
        name=network,
        hosts=(),
        published=(),
        networks=(Network(network, internal=True),),
        mounts=tuple(replace(one, read_only=True) for one in container.mounts),
    )


def _copy(store: StoreArtifact, full: Callable[[str], str], network: str) -> CopyServer:
    """A server that answers to the store's own name and password, so that the command's environment is the real one."""
    server = store.server
    assert server.container is not None  # noqa: S101 - a host runs nothing else
    name = full(f"rehearsal-{server.name}")
    container = replace(
        server.container,
        name=name,
        hosts=(),
        published=(),
        networks=(Network(network, internal=True, aliases=(server.name,)),),
        mounts=tuple(Mount("volume", name, one.target) for one in server.container.mounts if one.kind == "volume"),
    )
    return CopyServer(container, server.env, database_of(store) if server.runs == "postgres" else None)


def _notes(app: App, release: ReleaseCommand, away: list[str], bound: set[str]) -> tuple[str, ...]:
    notes = []
    if not release.backup_first:
        notes.append("no backup is taken before the release command, and it is not rehearsed: `backup_first` is off")
    elif not release.rehearse:
        notes.append("the release command is not rehearsed, so nobody knows what it takes away: `rehearse` is off")
    elif away:
        notes.append(f"the release command is not rehearsed: {', '.join(away)} is not on its host")
    if away:
        notes.append(f"no backup of {', '.join(away)} is taken: it is not on the host of the release command")
    kept = [one.name for one in app.services if one.kind == "stateful" and one.name in bound and not database_in(one)]
    if kept:
        notes.append(f"no backup of {', '.join(kept)} is taken: nobody here knows how to dump its data")
    return tuple(notes)
