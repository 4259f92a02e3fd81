"""The parts of RUNBOOK.md about data: back up, restore, lose a whole server."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import SITES, STORES
from towline.artifacts.docs.text import Lines, listed, section, sh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Site, Store


def data_sections(guide: Guide) -> tuple[Lines, ...]:
    """Back up, restore, and what to do when a server is gone; nothing for an app without stores."""
    if not guide.app.stores:
        return ()
    backups: list[Lines | str] = []
    restores: list[Lines | str] = []
    for store in guide.app.stores:
        backups += _backup(guide, store)
        restores += _restore(guide, store)
    return (
        section("Back up", *backups, _off_the_server(guide)),
        section("Restore", *restores, _rehearse()),
        section("A server is gone", *_lost(guide)),
    )


def _here(guide: Guide, store: Store) -> Site | None:
    """The server that runs a store itself."""
    site = guide.site_of(store.name)
    return site if site.kind == "host" and store.kind != "sqs" else None


def _backup(guide: Guide, store: Store) -> Iterator[Lines | str]:
    site, named = _here(guide, store), f"`{store.name}`, a {STORES[store.kind]}{_elsewhere(guide, store)}"
    if store.kind == "postgres":
        yield f"{named}:"
        yield sh(*_dump(guide, store, site))
    elif store.kind == "redis" and store.use == "cache":
        yield f"`{store.name}`, a cache: nothing in it is worth keeping."
    elif store.kind == "redis" and site is None:
        yield f"{named}: kept by whoever runs it. What must not be lost is in the database."
    elif store.kind == "bucket" and site is None:
        yield f"{named}, to a second bucket at somebody else:"
        old = f"elsewhere:{store.database}-old"
        yield sh(
            f"rclone sync {store.name}:{store.database} elsewhere:{store.database}-backup --backup-dir {old}",
        )
    elif store.kind in ("redis", "bucket") and site is not None:
        yield from _volume(guide.compose(site), store)


def _dump(guide: Guide, store: Store, site: Site | None) -> list[str]:
    file, custom = f"{store.name}-{_NOW}.dump", "pg_dump --format=custom --no-owner"
    look = f"pg_restore --list < {store.name}-STAMP.dump | head   # it can be read"
    if site is None:
        return [f'{custom} --dbname="${guide.shell_name(store, direct=True)}" > {file}', look]
    inside = f"{guide.compose(site)} exec -T {store.name}"
    return [f"{inside} {custom} -U {quote(store.user)} -d {quote(store.database)} > {file}", f"{inside} {look}"]


def _volume(compose: str, store: Store) -> Iterator[Lines | str]:
    """The files of a store on a server: a queue's while it runs, since its log may end anywhere; a bucket's at rest."""
    file = f"{store.name}-{_NOW}.tar.gz"
    if store.kind == "redis":
        yield f"`{store.name}`, a queue, while it runs; what is added meanwhile may be missing:"
        # 1: a file has grown while it was read.
        yield sh(f"{compose} exec -T {store.name} sh -c 'tar -C /data -cz . || test $? -eq 1' > {file}")
        return
    yield f"`{store.name}`, a bucket: its files, while it is stopped."
    yield sh(
        f"{compose} stop {store.name}",
        f"{compose} run --rm --no-deps -T --entrypoint tar {store.name} -C /data -cz . > {file}",
        f"{compose} start {store.name}",
    )


_NOW = "$(date +%F-%H%M)"


def _elsewhere(guide: Guide, store: Store) -> str:
    kind = guide.site_of(store.name).kind
    return "" if kind == "host" else f" at {SITES[kind]}"


def _restore(guide: Guide, store: Store) -> Iterator[Lines | str]:
    site = _here(guide, store)
    if store.kind == "postgres":
        yield f"`{store.name}`: into a second database first, look at it, and only then in place of the first."
        yield from _restored_here(guide, store, site) if site is not None else _restored_there(guide, store)
    elif store.kind in ("redis", "bucket") and site is not None and store.use != "cache":
        compose = guide.compose(site)
        unpack = "'rm -rf /data/* && tar -C /data -xz'"
        yield f"`{store.name}`: its files, while it is stopped."
        yield sh(
            f"{compose} stop {store.name}",
            f"{compose} run --rm --no-deps -T --entrypoint sh {store.name} -c {unpack} < {store.name}-STAMP.tar.gz",
            f"{compose} up --detach --wait",
        )
    elif store.kind == "bucket":
        yield f"`{store.name}`: back from the second bucket; without `--dry-run` once what it says is right."
        yield sh(f"rclone sync elsewhere:{store.database}-backup {store.name}:{store.database} --dry-run")


def _restored_there(guide: Guide, store: Store) -> Iterator[Lines | str]:
    """At a provider: a second database on the same server."""
    address, database = guide.shell_name(store, direct=True), quote(f"{store.database}_restored")
    restore = "pg_restore --no-owner --exit-on-error"
    yield sh(
        f'createdb --maintenance-db="${address}" {database}',
        f"{restore} --dbname=ADDRESS_OF_IT {store.name}-STAMP.dump",
    )
    yield "Then its address into the settings of every service that reads it, and a deploy."


def _restored_here(guide: Guide, store: Store, site: Site) -> Iterator[Lines | str]:
    compose, database = guide.compose(site), store.database
    inside = f"{compose} exec -T {store.name}"
    away = quote(f"ALTER DATABASE {_sql(database)} RENAME TO {_sql(f'{database}_before')}")
    back = quote(f"ALTER DATABASE {_sql(f'{database}_restored')} RENAME TO {_sql(database)}")
    role, fresh = quote(store.user), quote(f"{database}_restored")
    stop = _writers(guide, store)
    yield sh(
        f"{inside} createdb -U {role} {fresh}",
        f"{inside} pg_restore --no-owner --exit-on-error -U {role} -d {fresh} < {store.name}-STAMP.dump",
        *([f"{compose} stop {' '.join(stop)}"] if stop else []),
        f"{inside} psql -U {role} -d postgres -c {away} -c {back}",
        f"{compose} up --detach --wait",
    )


def _sql(name: str) -> str:
    """An identifier of SQL, whatever is in it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _writers(guide: Guide, store: Store) -> list[str]:
    """Services on the same server that write to a store."""
    site = guide.site_of(store.name)
    bound = {one.service for one in guide.app.bindings if one.of == store.name}
    return [one.name for one in guide.material.placement.services_on(site) if one.name in bound and one.kind != "task"]


def _off_the_server(guide: Guide) -> str:
    if not any(_here(guide, one) for one in guide.app.stores):
        return ""
    return (
        "A copy on the same server is none: take it away (`rsync` from another machine, or `rclone` to a bucket at "
        "somebody else), encrypted (`age -r RECIPIENT`), and keep 7 of a day, 4 of a week, 3 of a month. `.env` "
        "belongs to it."
    )


def _rehearse() -> str:
    return (
        "A backup that was never restored is a hope. Every three months: restore the latest one beside the running "
        "one, and time it."
    )


def _lost(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        kept = [one.name for one in guide.stores("postgres", "redis", "bucket", site=site) if one.use != "cache"]
        told = f"the latest backups of {listed(kept)}, " if kept else ""
        yield (
            f"`{site.name}`: a new server by SETUP.md, {told}`.env` from where its copy is kept, then `docker compose "
            "up`. DNS last. What is lost is what came after the last backup; how long it takes, the last rehearsal "
            "says."
        )
