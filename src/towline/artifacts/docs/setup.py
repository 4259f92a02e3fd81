"""SETUP.md: from nothing to running, step by step, each with what it should show."""

from __future__ import annotations

import json
import posixpath
from shlex import quote
from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import SITES, STORES
from towline.artifacts.docs.setup_github import at_github
from towline.artifacts.docs.setup_places import on_a_panel, on_render, on_the_server, the_server
from towline.artifacts.docs.text import listed, page, points, section, sh

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Store

Step = tuple[str, list[list[str] | str]]

_ACCOUNTS = ("render", "vercel", "supabase", "neon", "upstash", "s3", "sqs")


def setup(guide: Guide) -> str:
    """The page."""
    app, target = guide.app, guide.target
    steps = [step for step in _steps(guide) if step[1]]
    words = ["In this order: each step rests on those before it. Words in CAPITALS are yours to replace."]
    told = " ".join([*words, guide.shell_names()]).strip()
    parts = [section(f"{number}. {title}", *blocks) for number, (title, blocks) in enumerate(steps, start=1)]
    return page(f"Setting {app.name} up on {target.name}", ["", told], *parts)


def _steps(guide: Guide) -> Iterator[Step]:
    yield "What you need", list(_needed(guide))
    for store in guide.app.stores:
        if guide.site_of(store.name).kind in ("supabase", "neon", "upstash", "s3", "sqs"):
            yield f"The {STORES[store.kind]} `{store.name}`", list(_at_a_provider(guide, store))
    yield "The images", list(_images(guide))
    yield "GitHub", list(at_github(guide))
    for site in guide.hosts:
        yield f"The server `{site.name}`", list(the_server(guide, site))
    for site in guide.sites("render"):
        yield f"Render, site `{site.name}`", list(on_render(guide, site))
    for site in guide.hosts:
        yield f"The app on `{site.name}`", list(on_the_server(guide, site))
    for site in guide.sites("coolify", "dokploy", "vercel"):
        yield f"{SITES[site.kind][:1].upper()}{SITES[site.kind][1:]}, site `{site.name}`", list(on_a_panel(guide, site))
    yield "Prove it from outside", list(_proof(guide))
    yield "On your own machine", list(_locally(guide))


def _needed(guide: Guide) -> Iterator[list[str] | str]:
    told = []
    accounts = [SITES[site.kind] for site in guide.target.sites if site.kind in _ACCOUNTS]
    if accounts:
        told.append(f"accounts: {', '.join(dict.fromkeys(accounts))}")
    for site in guide.hosts:
        size = _server_size(guide, site.name)
        told.append(
            f"a server for `{site.name}`{size}: Debian 13, or Ubuntu 22.04 or newer, with a public IPv4 address"
        )
    programs = ["`git`", "`curl`", "`openssl`"]
    programs += ["`ssh` with a key (`ssh-keygen -t ed25519` makes one)"] if guide.hosts else []
    programs += ["Docker with Compose 2"] if guide.hosts or guide.has("compose.dev.yaml") else []
    programs += ["`psql`"] if guide.stores("postgres") else []
    told.append(f"on your own machine: {', '.join(programs)}")
    domains = [one.domain for one in guide.app.services if one.domain]
    told.append(
        f"the domains {listed(domains)}, with access to their DNS"
        if domains
        else "no domain: `towline.yaml` names none. To have one write `domain:` at the service, and render again"
    )
    yield points(told)


def _server_size(guide: Guide, site: str) -> str:
    chosen = guide.material.chosen
    bought = chosen.choice.purchases if chosen is not None and chosen.choice is not None else ()
    found = next((one for one in bought if one.is_server and one.name == site), None)
    return f" (`{found.offer.name}` is what the cost rests on)" if found is not None and found.offer is not None else ""


def _at_a_provider(guide: Guide, store: Store) -> Iterator[list[str] | str]:
    site = guide.site_of(store.name)
    region = f" in region `{site.options['region']}`" if "region" in site.options else ""
    made = {
        "supabase": f"Make a project{region}. Its database password is asked once, at that moment: keep it.",
        "neon": f"Make a project{region} with a database `{store.database}`.",
        "upstash": f"Make a Redis database{region}.",
        "s3": f"Make a bucket `{store.database}`{region}, and an access key that may only use this bucket.",
        "sqs": (
            f"Make a queue `{store.name}` and a second one for dead letters{region}; an IAM user for these two only."
        ),
    }
    yield made[site.kind]
    yield points(_settings_at(guide, store))
    settings = guide.settings(store.name)
    if settings:
        yield f"What it is reached with goes into {listed(settings)} (see VARIABLES.md). Try it before you go on:"
    else:
        yield "Try it before you go on:"
    yield sh(*_tried(guide, store))


def _settings_at(guide: Guide, store: Store) -> Iterator[str]:
    kind = guide.site_of(store.name).kind
    if store.kind == "postgres":
        if store.major:
            yield f"version {store.major}: the one that the app is developed with"
        yield (
            "two addresses: the pooled one for the app, the direct one for migrations and dumps (a pooler breaks both)"
        )
        yield "`sslmode=require` at the end of each"
        if kind == "supabase":
            yield (
                "Row Level Security on every table in `public` that the app does not want to publish through "
                "Supabase's API"
            )
            yield (
                "its free plan has no backups and pauses after a week without use: the runbook's dump is the only copy"
            )
        if kind == "neon":
            yield "it sleeps when nobody asks: the first query after that takes half a second longer"
    if store.kind == "redis":
        queue = store.use != "cache"
        yield (
            "eviction switched off: an evicted key of a queue is a lost job"
            if queue
            else "eviction switched on (`allkeys-lru`): a full cache forgets what is old, instead of refusing to write"
        )
        yield "the address that begins with `rediss://`: the plain one sends the password in clear"
        if queue:
            yield "a fixed price rather than one a command: a waiting worker asks all day"
    if store.kind == "bucket":
        public = store.public is not None
        below = f"`{store.public}`" if store.public else "the whole bucket"
        yield (
            f"readable by everybody: {below}, and nothing else" if public else "readable by nobody: the app signs links"
        )
        yield "versioning switched on: a deleted object can be brought back"


def _tried(guide: Guide, store: Store) -> list[str]:
    name = guide.shell_name(store)
    return {
        "postgres": [f"psql \"${name}\" -c 'select version()'"],
        "redis": [f'redis-cli -u "${name}" ping   # PONG'],
        "bucket": [f"aws s3 ls s3://{store.database} --endpoint-url ENDPOINT   # nothing, and no error"],
        "sqs": ["aws sqs get-queue-attributes --queue-url QUEUE_URL --attribute-names ApproximateNumberOfMessages"],
    }[store.kind]


def _images(guide: Guide) -> Iterator[list[str] | str]:
    here = [one for site in guide.hosts for one in guide.material.placement.services_on(site)]
    names = list(dict.fromkeys(one.name for one in here if guide.is_built(one.name)))
    if not names:
        return
    if guide.has(guide.workflow("build")):
        yield (
            "Every push to the main branch builds them, looks them through for known holes and pushes them to the "
            f"registry (`{guide.workflow('build')}`). The tag is the commit; the run prints it."
        )
        yield "By hand, once, to start with:"
    else:
        yield "They are built where the source is, and pushed to a registry that the server can read:"
    yield sh(
        "export REGISTRY=ghcr.io/OWNER VERSION=$(git rev-parse --short HEAD)",
        'echo "$TOKEN" | docker login ghcr.io -u OWNER --password-stdin',
        f"docker compose -f {guide.folder}/compose.prod.yaml build",
        f"docker compose -f {guide.folder}/compose.prod.yaml push {' '.join(names)}",
    )


def _proof(guide: Guide) -> Iterator[list[str] | str]:
    lines = [
        f"curl --silent --show-error --output /dev/null --write-out '%{{http_code}}\\n' {guide.asked(one)}   # 200"
        for one in guide.services("web", "static")
    ]
    if lines:
        yield "Every public part answers:"
        yield sh(*lines)
    for site in guide.hosts:
        ports = _store_ports(guide.stores(site=site))
        if ports:
            yield (
                f"Nothing else on `{site.name}` does. From a machine that is not the server, each of these must time "
                "out:"
            )
            yield sh(
                f'for port in {" ".join(ports)}; do nc -z -w 3 {guide.address(site)} $port && echo "$port is '
                'OPEN"; done'
            )
    yield from _job(guide)


def _store_ports(stores: Iterable[Store]) -> list[str]:
    ports = {"postgres": ("5432",), "redis": ("6379",), "bucket": ("8333", "9000"), "sqs": ()}
    return list(dict.fromkeys(port for one in stores for port in ports[one.kind]))


def _job(guide: Guide) -> Iterator[list[str] | str]:
    job = guide.app.job
    if job is None:
        return
    service = guide.app.service(job.service)
    sent = ""
    if job.file is not None:
        path = posixpath.relpath(job.file[1].as_posix(), guide.app.root.as_posix())
        forms = [f"{job.file[0]}=@{path}", *(f"{name}={value}" for name, value in job.fields.items())]
        sent = "".join(f" -F {quote(one)}" for one in forms)
    elif job.fields:
        sent = f" -H 'content-type: application/json' -d {quote(json.dumps(job.fields, ensure_ascii=False))}"
    bearer = f' -H "authorization: Bearer ${job.bearer}"' if job.bearer else ""
    url = guide.url(service)
    until = ", ".join(f"`{name}` is `{value}`" for name, value in job.until.items())
    yield f"One job goes all the way. The answer is {job.accepted}:"
    yield sh(f"curl --fail-with-body -X {job.method} {quote(f'{url}{job.path}')}{bearer}{sent}")
    yield f"Then ask `{job.follow}`, with what the answer says in place of the braces, until {until}:"
    followed = f"{url}{job.follow}".replace("{", "THE_").replace("}", "")
    yield sh(f"curl --fail-with-body{bearer} {quote(followed)}")


def _locally(guide: Guide) -> Iterator[list[str] | str]:
    folder = guide.folder
    if not guide.has("compose.dev.yaml"):
        return
    text = next(file.text for file in guide.material.rendered if file.path == "compose.dev.yaml")
    if "\n    develop:\n" in text:
        yield "All services and stores, with your source in them: what you change is served at once."
        yield sh(f"docker compose -f {folder}/compose.dev.yaml up --build --watch")
    else:
        yield "All services and stores, from their images:"
        yield sh(f"docker compose -f {folder}/compose.dev.yaml up")
    yield "As in production: built images, their limits, nothing mounted."
    yield sh(
        f"docker compose -f {folder}/compose.prod.yaml up --build --detach --wait",
        f"docker compose -f {folder}/compose.prod.yaml down",
    )
