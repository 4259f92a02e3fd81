"""Containers of a host: stores on their real data paths, references put together, services closed by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.artifact_scenes import app, service, store

from towline.artifacts import caddyfile, host_compose
from towline.artifacts.containers import HostContainer, Setting, settings_in, text_of
from towline.artifacts.front_door import routes
from towline.artifacts.host_layout import layout
from towline.artifacts.host_references import value
from towline.artifacts.host_stores import containers_of
from towline.artifacts.rendered import Material
from towline.artifacts.store_images import data_path, image_of
from towline.artifacts.store_settings import settings_of
from towline.core.errors import Findings
from towline.planner.model import Placement
from towline.spec.container import Container, Mount
from towline.spec.model import App, Binding, ReleaseCommand, Site, Target

BOX, CLOUD = Site("box", "host"), Site("cloud", "render")
STORES = (store("db", "postgres"), store("queue", "redis"), store("media", "bucket"))
PASSWORD = "0123456789abcdef"


def placement(made: App, *sites: Site, **place: str) -> Placement:
    """Everything on the first site but what `place` says."""
    names = [*(one.name for one in made.services), *(one.name for one in made.stores)]
    return Placement(made, Target("t", "vps", sites, {name: (place.get(name, sites[0].name),) for name in names}, None))


def material(made: App, *sites: Site, containers: tuple[Container, ...] = (), **place: str) -> Material:
    """What the renderers read of an app."""
    return Material(placement(made, *(sites or (BOX,)), **place), {one.name: one for one in containers}, (), {}, "shop")


def containers(made: Material) -> dict[str, HostContainer]:
    """The containers of the box, by name."""
    return {one.name: one for one in layout(made, BOX).containers}


@pytest.mark.parametrize(
    ("image", "major", "path"),
    [
        ("postgres:18.6", "18", "/var/lib/postgresql"),
        ("postgres:17", "17", "/var/lib/postgresql/data"),
        ("postgres:9.6-alpine", "9", "/var/lib/postgresql/data"),
        ("postgres", None, "/var/lib/postgresql"),
        ("postgres:latest", None, "/var/lib/postgresql"),
        ("postgres@sha256:0123", None, "/var/lib/postgresql"),
        ("pgvector/pgvector:pg16", "16", "/var/lib/postgresql/data"),
        ("timescale/timescaledb-ha:pg17", "17", "/home/postgres/pgdata"),
        ("bitnami/postgresql:16", "16", "/bitnami/postgresql"),
        (None, None, "/var/lib/postgresql"),
    ],
)
def test_the_volume_lies_where_the_image_keeps_its_data(image: str | None, major: str | None, path: str) -> None:
    """PostgreSQL 18 moved its data: a volume on the old path would stay empty, and the data go with the container."""
    made = containers_of(replace(STORES[0], image=image, major=major), None)[0]
    assert [(one.source, one.target) for one in made.attached] == [("db-data", path)]
    assert data_path(replace(STORES[0], image=image, major=major)) == path


@pytest.mark.parametrize(
    ("kind", "image", "runs"),
    [
        ("postgres", "postgres:16.2", "postgres:16.2"),
        ("postgres", "postgres", "postgres:18.6"),
        ("redis", "redis:7.4-alpine", "redis:7.4-alpine"),
        ("redis", "redis:latest", "valkey/valkey:9"),
        ("redis", "localhost:5000/redis", "valkey/valkey:9"),
        ("redis", "localhost:5000/redis:7", "localhost:5000/redis:7"),
        ("bucket", "minio/minio:RELEASE.2025", "chrislusf/seaweedfs:4.48"),
        ("bucket", "chrislusf/seaweedfs:4.30", "chrislusf/seaweedfs:4.30"),
    ],
)
def test_every_store_runs_a_version_that_is_said(kind: str, image: str, runs: str) -> None:
    """What names no version gets one: the next pull must not bring another major to the same data."""
    assert image_of(store("one", kind, image=image)) == runs


def test_a_queue_keeps_and_a_cache_drops() -> None:
    """A queue refuses writes when full and is on the disk; a cache evicts, and has no volume."""
    queue = containers_of(replace(STORES[1], image="valkey/valkey:9"), 512 * 2**20)[0]
    cache = containers_of(replace(STORES[1], image="redis:7.4", use="cache"), 100 * 2**20)[0]
    script, other = queue.command[0][0], cache.command[0][0]  # type: ignore[index]
    assert "maxmemory-policy noeviction\nappendonly yes" in str(script)
    assert "maxmemory 307mb" in str(script)
    assert [one.target for one in queue.attached] == ["/data"]
    assert "maxmemory-policy allkeys-lru\nappendonly no" in str(other)
    assert "exec redis-server -" in str(other)
    assert cache.attached == ()


@pytest.mark.parametrize("limit", [256, 512, 1024, 4096, 32768])
def test_postgres_stays_inside_its_memory(limit: int) -> None:
    """What it may take in all stays below its limit, whatever that is: shared, and sorting on every connection."""
    made = containers_of(STORES[0], limit * 2**20)[0]
    told = dict(str(word[0]).split("=") for word in made.command or () if "=" in str(word[0]))
    shared, work = int(told["shared_buffers"][:-2]), int(told["work_mem"][:-2])
    assert shared + int(told["maintenance_work_mem"][:-2]) + work * int(told["max_connections"]) <= limit
    assert made.memory == (f"{limit}m",)


def test_a_redis_of_another_make_gets_no_password() -> None:
    """One whose password could only stand in a command is reached without, in a network that only its users are in."""
    odd = replace(STORES[1], image="docker.dragonflydb.io/dragonflydb/dragonfly:v1.21")
    made = app(service("api"), stores=(odd,), bindings=(Binding("api", "REDIS_URL", "queue", "url"),))
    found = containers(material(made))
    assert value(placement(made, BOX), BOX, {}, ("queue", "url")) == ("redis://queue:6379/0",)
    assert settings_of(placement(made, BOX)) == ()
    assert [need.until for need in found["api"].needs] == ["started"]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("db.url", f"postgresql://app:{PASSWORD}@db:5432/shop"),
        ("db.direct_url", f"postgresql://app:{PASSWORD}@db:5432/shop"),
        ("db.host", "db"),
        ("db.port", "5432"),
        ("db.user", "app"),
        ("db.password", PASSWORD),
        ("db.database", "shop"),
        ("queue.url", f"redis://:{PASSWORD}@queue:6379/0"),
        ("media.endpoint", "http://media:8333"),
        ("media.public_url", "http://media.203.0.113.7/shop"),
        ("media.public_endpoint", "http://media.203.0.113.7"),
        ("media.bucket", "shop"),
        ("media.access_key", PASSWORD),
        ("media.region", "us-east-1"),
        ("api.url", "http://203.0.113.7"),
        ("api.internal_url", "http://api:8000"),
        ("api.host", "api"),
        ("api.port", "8000"),
        ("admin.url", "http://admin.203.0.113.7"),
        ("inner.url", "http://inner:8000"),
    ],
)
def test_references_on_one_host(reference: str, text: str) -> None:
    """Each reference is put together from names and settings; a password is always a setting."""
    of, _, attribute = reference.rpartition(".")
    made = app(
        service("api"), service("admin"), service("inner", "private"), stores=STORES,
        bindings=(Binding("api", "ADMIN_URL", "admin", "url"), Binding("api", "S3_PUBLIC", "media", "public_endpoint"),
                  Binding("admin", "X", "inner", "url")),
    )  # fmt: skip
    found = value(placement(made, BOX), BOX, {}, (of, attribute))
    told = {one.name: PASSWORD for one in settings_in(found)} | {"PUBLIC_HOST": "203.0.113.7"}
    assert text_of(found, told) == text
    if PASSWORD in text:
        assert [one.default for one in settings_in(found)] == [None]


def test_domains() -> None:
    """A service's own domain, else that of the site with its name in front; the bucket stands below what people see."""
    made = app(
        service("api", domain="api.shop.example"), service("page", "static", domain="shop.example"), stores=STORES
    )
    made = replace(made, bindings=(Binding("api", "S3", "media", "public_url"),))
    assert value(placement(made, BOX), BOX, {}, ("media", "public_url")) == ("https://media.shop.example", "/shop")
    named = Site("box", "host", {"domain": "box.example"})
    plain = app(service("api"), service("page", "static"), stores=STORES)
    assert value(placement(plain, named), named, {}, ("page", "url")) == ("https://box.example",)
    assert value(placement(plain, named), named, {}, ("api", "url")) == ("https://api.box.example",)


def test_what_is_elsewhere_is_asked_for() -> None:
    """A store or service on another site is a setting, except where its domain already says its address."""
    made = app(
        service("api"), service("page", "static", domain="shop.example"), service("gen", "worker"), stores=STORES
    )
    away = placement(made, BOX, CLOUD, api="cloud", page="cloud", db="cloud")
    assert [one.name for one in settings_in(value(away, BOX, {}, ("db", "url")))] == ["DB_URL"]
    assert [one.name for one in settings_in(value(away, BOX, {}, ("api", "internal_url")))] == ["API_INTERNAL_URL"]
    assert value(away, BOX, {}, ("page", "url")) == ("https://shop.example",)


def test_what_the_door_lets_through_to_a_bucket() -> None:
    """Reading what is public; with signed links any object; all of S3 only for a service on another site."""
    bucket = replace(STORES[2], public="cards/")
    read = app(service("api"), stores=(bucket,), bindings=(Binding("api", "S3", "media", "endpoint"),))
    signed = replace(read, bindings=(*read.bindings, Binding("api", "S3_PUBLIC", "media", "public_endpoint")))
    private = replace(read, stores=(replace(bucket, public=None),))

    def door(made: App, **place: str) -> list[tuple[str, bool, bool]]:
        found = routes(placement(made, BOX, CLOUD, **place), BOX, {})
        return [(one.prefix, one.reads_only, one.whole) for one in found if one.kind == "bucket"]

    assert door(read) == [("/shop/cards/", True, False)]
    assert door(signed) == [("/shop/", False, False)]
    assert door(private) == []
    assert door(private, api="cloud") == [("/shop/", False, True)]


def test_the_settings_of_a_host() -> None:
    """Passwords of its stores are made, addresses of what is elsewhere are asked, each once and under its owner."""
    bindings = (
        Binding("gen", "DATABASE_URL", "db", "url"),
        Binding("gen", "QUEUE", "queue", "url"),
        Binding("gen", "API_URL", "api", "url"),
    )
    made = app(service("api"), service("gen", "worker"), stores=STORES, bindings=bindings)
    told = settings_of(placement(made, BOX, CLOUD, api="cloud", db="cloud"))
    assert [(one.service, one.name, one.origin) for one in told] == [
        ("queue", "QUEUE_PASSWORD", "generated"),
        ("media", "MEDIA_ACCESS_KEY", "generated"),
        ("media", "MEDIA_SECRET_KEY", "generated"),
        ("db", "DB_URL", "asked"),
        ("box", "API_URL", "asked"),
    ]


def test_kinds_of_services() -> None:
    """A task and the release wait to be called; a worker goes first when memory is short; data is never read-only."""
    made = app(
        service("api", replicas=3), service("gen", "worker", max_job=300.0), service("seed", "task"),
        service("index", "stateful", image="meilisearch:1.12", port=7700),
        stores=STORES[:1], release=ReleaseCommand("api", ("/bin/sh", "-c", "migrate"), backup_first=False, within=60.0),
        bindings=(Binding("api", "INDEX_HOST", "index", "host"), Binding("api", "DB", "db", "url")),
    )  # fmt: skip
    written = (
        Container("index", image="meilisearch:1.12", mounts=(Mount("volume", "index", "/meili_data"),)),
        Container(
            "api", image="shop/api:1", mounts=(Mount("bind", "/home/me/shop", "/app"), Mount("tmpfs", "", "/cache"))
        ),
    )
    found = containers(material(made, containers=written))
    assert (found["seed"].profile, found["seed"].restarts) == ("tasks", False)
    assert (found["release"].profile, found["release"].command) == ("release", (("migrate",),))
    assert found["gen"].stop_within == 300.0
    assert found["gen"].oom_score > found["api"].oom_score > found["index"].oom_score == found["db"].oom_score
    assert found["index"].networks == ("to-index",)
    assert found["api"].networks == ("app", "to-db", "to-index")
    assert found["api"].attached == ()
    assert "/app" in found["api"].why
    assert found["api"].tmpfs == ("/tmp", "/cache")
    assert found["api"].replicas == 3
    assert found["index"].read_only == ("false",)
    assert [(one.source, one.target) for one in found["index"].attached] == [("index", "/meili_data")]


def test_whose_health_is_asked_how() -> None:
    """The Compose file's own test first; one that it switches off becomes "it lives"; a worker's image may know."""
    made = app(
        service("api"),
        service("own"),
        service("off"),
        service("gen", "worker"),
        service("quiet", health=replace(service("x").health, path=None)),
    )
    written = (
        Container("own", image="x:1", probe=("CMD", "check", "me")),
        Container("off", image="x:1", probe=("NONE",)),
        Container("api", image="x:1"),
    )
    found = containers(material(made, containers=written))
    tests = {name: one.health.argv if one.health else None for name, one in found.items() if name != "caddy"}
    assert tests["own"] == ("check", "me")
    assert tests["off"] == ("/bin/sh", "-c", "kill -0 1")
    assert tests["gen"] is None
    assert tests["quiet"] is None
    assert "http://127.0.0.1:8000/health" in str(tests["api"])


@pytest.mark.parametrize("name", ["caddy", "release", "media-setup"])
def test_a_service_cannot_have_the_name_of_another_container(name: str) -> None:
    """The front door, the release and what makes a bucket have names of their own: a service of that name is told."""
    release = ReleaseCommand("api", ("/bin/sh", "-c", "migrate"), backup_first=False, within=60.0)
    made = app(service("api"), service(name, "worker", line=7), stores=STORES, release=release)
    with pytest.raises(Findings) as refused:
        layout(material(made), BOX)
    (one,) = refused.value.findings
    assert f"`{name}` is the name" in one.sentence
    assert str(one.where) == "compose.yaml:7"


def test_a_dollar_stays_a_dollar() -> None:
    """What stands in the Compose file's words is no variable of the rendered one, and a default cannot break out."""
    assert host_compose.interpolated(("a$b${c}",)) == "a$$b$${c}"
    assert host_compose.interpolated((Setting("A", "plain: #1"),)) == "${A:-plain: #1}"
    assert host_compose.interpolated((Setting("A", "}"),)) == "${A:?set it in .env}"
    assert host_compose.interpolated((Setting("A", "$B"),)) == "${A:?set it in .env}"
    assert host_compose.interpolated((Setting("A", ""),)) == "${A:-}"


def test_no_host_no_files() -> None:
    """A target without a machine of one's own has neither Compose file nor Caddyfile."""
    made: Any = material(app(service("api")), CLOUD)
    assert (host_compose.files(made), caddyfile.files(made)) == ((), ())


def test_a_host_that_browsers_never_reach() -> None:
    """Workers alone: no front door, no published port, no Caddyfile."""
    made = material(app(service("gen", "worker")))
    assert caddyfile.files(made) == ()
    assert set(containers(made)) == {"gen"}
