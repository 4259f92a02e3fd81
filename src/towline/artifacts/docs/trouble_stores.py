"""The parts of TROUBLESHOOTING.md about stores: not reached, full, out of connections."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import SITES
from towline.artifacts.docs.text import Lines, listed, section, sh, table
from towline.artifacts.store_images import image_of
from towline.spec.detect import image_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Store


def store_sections(guide: Guide) -> Iterator[Lines]:
    """What to do when a store is not reached, and what only its kind can have."""
    if guide.app.stores:
        yield section("A service says `ECONNREFUSED`, `timeout` or `authentication failed`", *_unreached(guide))
    for store in guide.app.stores:
        if store.kind == "postgres":
            yield section(f"`{store.name}`: too many connections", *_connections(guide, store))
        if store.kind == "redis":
            yield section(f"`{store.name}` refuses to write, or forgets", *_memory(guide, store))
        if store.kind == "bucket":
            yield section("Pictures and files do not load", *_objects(guide, store))


def asks(guide: Guide, store: Store, command: str) -> str:
    """A command of a store's own client: inside its container, or from anywhere to where somebody else runs it."""
    site = guide.site_of(store.name)
    if site.kind == "host":
        return f"{guide.compose(site)} exec {store.name} {command}"
    return command


def _unreached(guide: Guide) -> Iterator[Lines | str]:
    rows = []
    for store in guide.app.stores:
        readers = dict.fromkeys(one.service for one in guide.app.bindings if one.of == store.name)
        site = guide.site_of(store.name)
        rows.append((f"`{store.name}`", f"`{site.name}`, {SITES[site.kind]}", listed(readers)))
    yield "One of the stores is away, or its address or password is not the one that the service has:"
    yield table(("store", "on", "needed by"), rows)
    for site in guide.hosts:
        names = " ".join(one.name for one in guide.stores(site=site) if one.kind != "sqs")
        if names:
            compose = guide.compose(site)
            checks = [line for one in guide.stores(site=site) for line in _alive(guide, one)]
            yield sh(f"{compose} ps --all {names}", f"{compose} logs --tail 50 {names}", *checks)
            yield (
                f"The services on `{site.name}` find them by their names, and nobody else does: they have no port on "
                "the server, and should not get one."
            )
    bought = [one for one in guide.app.stores if guide.site_of(one.name).kind not in ("host", "local")]
    lines = [line for one in bought for line in _alive(guide, one)]
    if bought:
        yield (
            f"At their providers, {listed(one.name for one in bought)}: status page, limits of the plan, paused or not."
        )
        yield sh(*lines)
    if lines:
        yield "`sslmode=require` and `rediss://` belong to such an address: without them the answer is silence."
    yield from _across(guide)


def _across(guide: Guide) -> Iterator[str]:
    """What is told of a store on a server which is not its own."""
    for store, away in guide.apart():
        yield (
            f"{listed(away)}, on another site, is told of `{store}`, which answers nobody outside its server. SETUP.md "
            "says what the way between them can be; an open port is none."
        )


def _alive(guide: Guide, store: Store) -> list[str]:
    here = guide.site_of(store.name).kind == "host"
    address = guide.shell_name(store)
    if store.kind == "postgres":
        return [
            asks(guide, store, f"pg_isready -U {quote(store.user)}" if here else f"psql \"${address}\" -c 'select 1'")
        ]
    if store.kind == "redis":
        return [asks(guide, store, _redis(store, "ping") if here else f'redis-cli -u "${address}" ping')]
    return []


def _redis(store: Store, words: str) -> str:
    """The client of the image: Valkey's has its own name."""
    program = f"{image_name(image_of(store)).removesuffix('-server')}-cli"
    return f"{program} {words}"


def _connections(guide: Guide, store: Store) -> Iterator[Lines | str]:
    query = (
        '"select count(*), state, application_name from pg_stat_activity group by 2, 3 order by 1 desc" '
        '-c "show max_connections"'
    )
    if guide.site_of(store.name).kind == "host":
        yield sh(f"{guide.psql(guide.site_of(store.name), store)} -c {query}")
    else:
        address = guide.shell_name(store)
        yield sh(f'psql "${address}" -c {query}')
        yield "The app belongs on the pooled address, migrations and dumps on the direct one."
    readers = {one.service for one in guide.app.bindings if one.of == store.name}
    copies = ", ".join(f"{one.name} x {one.replicas}" for one in guide.app.services if one.name in readers)
    yield (
        f"Every copy has a pool ({copies}), and a deploy has old and new ones side by side: twice the sum must fit "
        "below the limit."
    )


def _memory(guide: Guide, store: Store) -> Iterator[Lines | str]:
    if store.use == "cache":
        yield (
            "A cache that is full forgets what was not used for long: that is its work. Errors on writing mean that "
            "it may not evict."
        )
        wanted = "allkeys-lru"
    else:
        yield "A queue that is full must refuse: `OOM command not allowed`. One that evicts loses jobs without a word."
        wanted = "noeviction"
    if guide.site_of(store.name).kind == "host":
        yield sh(
            asks(guide, store, _redis(store, "info memory")),
            f"{asks(guide, store, _redis(store, 'config get maxmemory-policy'))}   # {wanted}",
        )
    else:
        yield f"Its provider's page says how full it is and how it evicts; it must be `{wanted}`."
    if store.use != "cache":
        yield (
            "Done jobs that nobody removes fill it: keep a few hundred, not all. Restarting it frees nothing, and may "
            "lose what is not on disk."
        )


def _objects(guide: Guide, store: Store) -> Iterator[Lines | str]:
    public = [one.variable for one in guide.app.bindings if one.of == store.name and one.attribute.startswith("public")]
    if public:
        yield (
            f"The address that the app hands out ({listed(dict.fromkeys(public))}) must be one that a browser reaches, "
            "by https."
        )
    yield sh("curl --head ADDRESS_OF_ONE_OBJECT")
    told = "it is another bucket, or a list instead of an object"
    if store.public is None:
        told = "only a link that the app has signed opens it, and that one is too old or was changed"
    elif store.public:
        told = f"only what is below `{store.public}` may be read by everybody"
    yield table(
        ("you see", "it is"),
        [
            ("403", told),
            ("404", "it was never written, or under another key"),
            ("200, and nothing in the browser", "CORS, or mixed content: see below"),
        ],
    )
