"""Compose file, page and target to one App and one Target in which nothing is left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from towline.spec.compose import config_of
from towline.spec.dockerfile import read_dockerfile
from towline.spec.ground import Ground
from towline.spec.layout import app_name
from towline.spec.mistakes import page_of
from towline.spec.model import App, Health, Service, Target
from towline.spec.resolve import resolve
from towline.spec.source import read_source

ROOT = Path("/app")
BUILD = {"context": "/app"}


def both(services: dict[str, Any], page: str = "", dockerfile: str = "", target: str = "laptop") -> tuple[App, Target]:
    compose = config_of({"name": "shop", "services": services}, ROOT, ())
    ground = {name: Ground(read_dockerfile(dockerfile.encode())) for name in services}
    app, place, _ = resolve(compose, page_of(read_source(page, "towline.yaml")), target, ground=ground)
    return app, place


def one(raw: dict[str, Any], page: str = "", dockerfile: str = "") -> Service:
    """The service `x` of a Compose file that has only it."""
    return both({"x": {"build": BUILD, **raw}}, page, dockerfile)[0].service("x")


def test_the_laptop_is_always_there() -> None:
    """Without `targets` everything is on one local site; a redefined laptop keeps its options."""
    _, target = both({"x": {"build": BUILD}, "db": {"image": "postgres:18"}})
    assert (target.name, target.shape, target.place) == ("laptop", "laptop", {"x": ("local",), "db": ("local",)})
    _, target = both({"x": {"build": BUILD}}, "targets: {laptop: {sites: {desk: {kind: local, port: 7000}}}}")
    assert (target.sites[0].name, target.sites[0].options) == ("desk", {"port": "7000"})
    assert target.place == {"x": ("desk",)}


@pytest.mark.parametrize(
    ("sites", "shape"),
    [
        ("box: {kind: host}", "vps"),
        ("box: {kind: host}, cloud: {kind: render}", "hybrid"),
        ("cloud: {kind: render}, db: {kind: neon}", "managed"),
        ("here: {kind: local}", "laptop"),
    ],
)
def test_the_shape_is_told_from_the_sites(sites: str, shape: str) -> None:
    """A shape that is not written follows from the kinds of the sites."""
    assert both({}, f"targets: {{t: {{sites: {{{sites}}}}}}}", target="t")[1].shape == shape


def test_stores_need_no_entry() -> None:
    """A known image is a store, with version, user, database and use of the Compose file."""
    app, _ = both(
        {
            "db": {"image": "postgres:18.1", "environment": {"POSTGRES_USER": "ann", "POSTGRES_DB": "data"}},
            "cache": {"image": "redis:7", "command": ["redis-server", "--maxmemory-policy", "allkeys-lru"]},
        },
        "stores: {media: {kind: bucket, public: true}, cards: {kind: bucket, public: a/b/}, own: {kind: bucket}}",
    )
    db, cache, media = app.store("db"), app.store("cache"), app.store("media")
    assert (db.kind, db.major, db.user, db.database, db.service) == ("postgres", "18", "ann", "data", "db")
    assert (cache.kind, cache.use, cache.major) == ("redis", "cache", "7")
    assert (media.kind, media.public, media.service, media.database) == ("bucket", "", None, "shop")
    assert (app.store("cards").public, app.store("own").public) == ("a/b/", None)
    assert app.services == ()


def test_a_store_may_have_another_name_than_its_service() -> None:
    """`service:` says which service of the Compose file it is."""
    app, _ = both({"postgres": {"image": "postgres:17"}}, "stores: {db: {service: postgres, major: 18}}")
    assert [(store.name, store.service, store.major) for store in app.stores] == [("db", "postgres", "18")]


def test_what_is_left_out_is_gone() -> None:
    """An omitted service is in no list, and nobody waits for it, nor for a store."""
    needs = {
        "migrate": {"condition": "service_completed_successfully"},
        "db": {"condition": "service_healthy"},
        "other": {"condition": "service_started"},
    }
    services = {
        "x": {"build": BUILD, "depends_on": needs},
        "migrate": {"build": BUILD},
        "other": {"build": BUILD},
        "last": {"build": BUILD},
        "db": {"image": "postgres:18"},
    }
    app, _ = both(services, "services: {migrate: {omit: true}, x: {after: [last, x]}}")
    assert [service.name for service in app.services] == ["last", "other", "x"]
    assert app.service("x").after == ("other", "last")


def test_nobody_waits_for_files() -> None:
    """A static service is built before anything starts."""
    services = {"x": {"build": BUILD, "depends_on": {"web": {"condition": "service_started"}}}, "web": {"build": BUILD}}
    assert both(services, "services: {web: {output: dist}}")[0].service("x").after == ()


def test_bindings_spread() -> None:
    """`*` reaches all that run code, gives way to a service's own, and never reaches files."""
    page = """
services: {web: {kind: static, output: dist}, job: {kind: task}, mongo: {kind: stateful}}
bind:
  "*": {DATABASE_URL: db.url, API: x.internal_url}
  x: {DATABASE_URL: db.direct_url}
  web: {VITE_API: x.url}
"""
    services = {
        "x": {"build": BUILD, "ports": [{"target": 80}]},
        "job": {"build": BUILD},
        "web": {"build": BUILD},
        "mongo": {"image": "mongo:8"},
        "db": {"image": "postgres:18"},
    }
    app, _ = both(services, page)
    told = {(one.service, one.variable): one.reference for one in app.bindings}
    assert told == {
        ("x", "DATABASE_URL"): "db.direct_url",
        ("x", "API"): "x.internal_url",
        ("job", "DATABASE_URL"): "db.url",
        ("job", "API"): "x.internal_url",
        ("web", "VITE_API"): "x.url",
    }
    assert {one.variable: one.line for one in app.bindings_of("x")} == {"DATABASE_URL": 5, "API": 4}


@pytest.mark.parametrize(
    ("raw", "page", "dockerfile", "argv", "source"),
    [
        ({"command": ["a"]}, "services: {x: {run: npm start}}", "", ("/bin/sh", "-c", "npm start"), "run:"),
        ({"command": ["a", "b"]}, "", 'FROM i\nCMD ["c"]', ("a", "b"), "command:"),
        ({"command": ["a"]}, "", 'FROM i\nENTRYPOINT ["e"]', ("e", "a"), "command:"),
        ({}, "", 'FROM i\nCMD ["c"]', ("c",), "CMD"),
    ],
)
def test_commands(raw: dict[str, Any], page: str, dockerfile: str, argv: tuple[str, ...], source: str) -> None:
    """The page before the Compose file before the Dockerfile, and the message knows which."""
    command = one(raw, page, dockerfile).command
    assert command is not None
    assert (command.argv, command.source) == (argv, source)


@pytest.mark.parametrize(
    ("raw", "page", "dockerfile", "port", "variable"),
    [
        ({"ports": [{"target": 80}]}, "", "", 80, None),
        ({"ports": [{"target": 9000}, {"target": 80}], "environment": {"PORT": "80"}}, "", "", 80, "PORT"),
        ({"ports": [{"target": 80}]}, "", "FROM i\nENV PORT=3000", 80, "PORT"),
        ({"ports": [{"target": 80}], "command": ["sh", "-c", "serve ${PORT:-80}"]}, "", "", 80, "PORT"),
        ({"ports": [{"target": 80}], "command": ["sh", "-c", "serve $PORTAL"]}, "", "", 80, None),
        ({"ports": [{"target": 80}]}, "services: {x: {port: 81, port_variable: LISTEN}}", "", 81, "LISTEN"),
        ({"expose": ["70/tcp"]}, "", "", 70, None),
        ({}, "", 'FROM i\nEXPOSE 60\nCMD ["c"]', 60, None),
        ({"environment": {"PORT": "50"}}, "services: {x: {kind: web}}", "", 50, "PORT"),
        ({"environment": {"PORT": "x"}}, "services: {x: {kind: web}}", "", None, None),
        ({"environment": {"PORT": "50"}}, "", "", None, None),
    ],
)
def test_ports(raw: dict[str, Any], page: str, dockerfile: str, port: int | None, variable: str | None) -> None:
    """Where the port is told, and whether the process takes another."""
    service = one(raw, page, dockerfile)
    assert (service.port, service.port_variable) == (port, variable)


@pytest.mark.parametrize(
    ("test", "path"),
    [
        (["CMD", "curl", "-f", "http://localhost:80/health"], "/health"),
        (["CMD-SHELL", "wget -qO- http://127.0.0.1:80/ready?deep=1 || exit 1"], "/ready"),
        (["CMD-SHELL", "curl -f http://localhost:$PORT/up"], "/up"),
        (["CMD-SHELL", "curl -f http://localhost"], "/"),
        (["CMD", "curl", "-f", "http://localhost:9000/metrics"], None),
        (["CMD", "curl", "-f", "http://other:80/health"], None),
        (["CMD", "pgrep", "x"], None),
        (["NONE"], None),
    ],
)
def test_health_from_compose(test: list[str], path: str | None) -> None:
    """The URL of a healthcheck counts when it asks this very service."""
    raw = {"ports": [{"target": 80}], "healthcheck": {"test": test}}
    assert one(raw).health == Health(path, 60.0)
    page = "services: {x: {ready: {path: /own, within: 2m}}}"
    assert one(raw, page).health == Health("/own", 120.0)


@pytest.mark.parametrize(
    ("raw", "page", "span"),
    [
        ({}, "", 30.0),
        ({"ports": [{"target": 80}]}, "", 10.0),
        ({"stop_grace_period": "1m30s"}, "", 90.0),
        ({"stop_grace_period": "1m30s"}, "services: {x: {max_job: 5m}}", 300.0),
    ],
)
def test_how_long_a_job_may_take(raw: dict[str, Any], page: str, span: float) -> None:
    """The page, else what Compose waits, else 30 s for workers and 10 s for web."""
    assert one(raw, page).max_job == span


def test_copies_memory_and_volumes() -> None:
    """Copies, memory and volumes as the Compose file has them, unless the page says otherwise."""
    raw = {
        "deploy": {"replicas": 3, "resources": {"limits": {"memory": "268435456"}}},
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "bind", "source": "/conf", "target": "/conf", "read_only": True},
            {"type": "tmpfs", "target": "/t"},
        ],
        "stop_signal": "SIGINT",
    }
    service = one(raw)
    assert (service.replicas, service.memory, service.stop_signal) == (3, 268435456, "INT")
    assert service.volumes == ("data:/data", "/conf:/conf:ro")
    service = one(raw, "services: {x: {scale: 2, memory: 1GiB, hostname: y}}")
    assert (service.replicas, service.memory, service.hostname) == (2, 1 << 30, "y")
    assert one({"scale": 0}).replicas == 0


def test_environments() -> None:
    """Compose over the Dockerfile; a static build gets the build arguments too; a variable without value is absent."""
    build = {"context": "/app", "args": {"TOKEN": "t", "UNSET": None}}
    raw = {"build": build, "environment": {"A": "compose", "UNSET": None}}
    service = one(raw, "", "FROM i\nENV A=file B=file")
    assert {name: value.reveal() for name, value in service.environment.items()} == {"A": "compose", "B": "file"}
    assert set(service.build_environment) == {"TOKEN"}
    static = one(raw, "services: {x: {output: dist}}", "FROM i\nENV B=file")
    assert (set(static.build_environment), static.command, static.port) == ({"A", "TOKEN"}, None, None)


def test_release_and_job_find_the_web_service() -> None:
    """Where neither names a service, the first web service is meant; a file lies beside the Compose file."""
    page = """
release: {run: make migrate}
verify: {job: {path: /jobs, follow: "/jobs/{id}", file: {field: f, path: a/b.jpg}, until: {n: 3, ok: true}}}
"""
    app, _ = both({"a": {"build": BUILD}, "x": {"build": BUILD, "ports": [{"target": 80}]}}, page)
    assert app.release is not None
    assert (app.release.service, app.release.command) == ("x", ("/bin/sh", "-c", "make migrate"))
    assert app.release.within == 600.0
    assert app.job is not None
    assert (app.job.service, app.job.file) == ("x", ("f", ROOT / "a/b.jpg"))
    assert app.job.until == {"n": "3", "ok": "true"}


def test_names_become_host_labels() -> None:
    """A service's name is made fit for a host, the app's is Compose's unless written."""
    app, _ = both({"My_api.v2": {"build": BUILD}}, "")
    assert (app.name, app.services[0].hostname) == ("shop", "my-api-v2")
    assert both({}, "app: other")[0].name == "other"


@pytest.mark.parametrize(
    ("project", "name"), [("shop", "shop"), ("my_shop", "my-shop"), ("3d", "app-3d"), ("-", "app")]
)
def test_the_projects_name_becomes_the_apps(project: str, name: str) -> None:
    """Compose allows underscores and leading digits, hosts do not."""
    assert app_name(project) == name
    assert len(app_name("x" * 80)) == 41
