"""Single guesses: forms of addresses, commands, and the decisions that must not go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from towline.spec.compose import config_of
from towline.spec.dockerfile import read_dockerfile
from towline.spec.ground import Ground
from towline.spec.guess.commands import line_of, named_single, named_worker
from towline.spec.guess.forms import differs, form_of, why_not
from towline.spec.guess.propose import propose
from towline.spec.guess.scene import Scene
from towline.spec.guess.services import span
from towline.spec.guess.surroundings import Folder
from towline.spec.source import read_source

if TYPE_CHECKING:
    from towline.spec.guess.model import Proposal

BUILD: dict[str, Any] = {"context": "/app"}


def guessed(services: dict[str, Any], folders: dict[str, Folder] | None = None, raw: str = "") -> Proposal:
    source = read_source(raw, "compose.yaml", strict=False)
    compose = config_of({"name": "shop", "services": services}, Path("/app"), (source,))
    return propose(Scene(compose, folders or {}))


def value(proposal: Proposal, *field: str) -> object:
    return next((guess.value for guess in proposal.guesses if guess.field == field), "nothing")


@pytest.mark.parametrize(
    ("text", "kind", "shape", "refused", "differing"),
    [
        ("postgresql://u:p@db:5432/x", "postgres", "url", False, False),
        ("postgres://db/x?sslmode=disable", "postgres", "url", False, True),
        ("postgresql+asyncpg://db/x", "postgres", "url", False, True),
        ("jdbc:postgresql://db:5432/x", "postgres", "url", True, True),
        ("redis://db:6379/0", "redis", "url", False, False),
        ("redis://db:6379/4", "redis", "url", False, True),
        ("db", "redis", "host", False, False),
        ("db:6379", "redis", "host-and-port", True, False),
        ("db:9000", "bucket", "host-and-port", False, True),
        ("http://db:9000", "bucket", "url", False, False),
        ("mongodb://db:27017", "stateful", "url", True, True),
        ("http://db:80/api", "web", "url", False, True),
        ("ws://db:80", "private", "url", False, True),
        ("http://db:80,http://other:81", "web", "several", True, False),
        ("host=db port=5432", "postgres", "text", True, False),
    ],
)
def test_forms_of_addresses(text: str, kind: str, shape: str, refused: bool, differing: bool) -> None:
    """Whether a reference can stand in for a value, and whether it will differ from it."""
    form = form_of(text, ("db",))
    assert form.shape == shape
    assert (why_not(form, kind) is not None) == refused
    if not refused:
        assert (differs(form, kind) is not None) == differing
    assert text not in repr(form)


@pytest.mark.parametrize(
    ("command", "worker", "single"),
    [
        ("celery -A shop worker -l info", True, False),
        ("celery -A shop worker --beat", True, True),
        ("celery -A shop beat", False, True),
        ("/start-celerybeat", False, True),
        ("bundle exec sidekiq", True, False),
        ("rq worker high low", True, False),
        ("rqscheduler", False, True),
        ("arq shop.worker.Settings", True, False),
        ("php artisan queue:work --tries=3", True, False),
        ("php artisan schedule:work", False, True),
        ("node dist/worker.js", True, False),
        ("node dist/relay.js", False, True),
        ("python -m shop.consumer", True, False),
        ("supercronic /crontab", False, True),
        ("gunicorn shop.wsgi --workers 4", False, False),
        ("uvicorn shop.main:app --workers 2", False, False),
        ("gunicorn -k uvicorn.workers.UvicornWorker shop:app", False, False),
        ("php bin/console app:my-worker", True, False),
        ("uvicorn shop.clockmaker:app", False, False),
        ("node server.js", False, False),
        ("next start", False, False),
    ],
)
def test_workers_and_singles_told_from_commands(command: str, worker: bool, single: bool) -> None:
    """Servers with several processes are no workers, and a word inside another tells nothing."""
    line = line_of(command.split(), {})
    assert (line.worker is not None) == worker
    assert (line.single is not None) == single


def test_npm_scripts_are_followed() -> None:
    """What a script starts counts, through several scripts; one that calls itself ends."""
    scripts = {"worker": "pnpm run work:all", "work:all": "node dist/consumer.js", "dev": "npm run dev"}
    assert line_of(["npm", "run", "worker"], scripts).worker
    assert line_of(["npm", "run", "dev"], scripts).worker is None
    assert line_of(["npm", "start"], {"start": "next start -p 3001"}).port == 3001


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("uvicorn a:b --port 8001", 8001),
        ("gunicorn a -b 0.0.0.0:9000", 9000),
        ("puma -p 4000", 4000),
        ("flask run --port=5050", 5050),
        ("python -m a --port 99999", None),
        ("node a.js", None),
    ],
)
def test_ports_told_from_commands(command: str, port: int | None) -> None:
    """The port that a command names, when it can be one."""
    assert line_of(command.split(), {}).port == port


@pytest.mark.parametrize("name", ["beat", "celery-beat", "cron", "outbox-relay", "job_scheduler", "clock"])
def test_names_of_singles(name: str) -> None:
    """Names of what must run once."""
    assert named_single(name)


@pytest.mark.parametrize("name", ["clockwork-orange-api", "web", "relaying", "api"])
def test_names_of_others(name: str) -> None:
    """Names that only look like it."""
    assert not named_single(name)
    assert not named_worker(name)


def test_spans() -> None:
    """Whole minutes as minutes, the rest as seconds."""
    assert [span(length) for length in (30, 60, 90, 900, 1.5)] == ["30s", "1m", "90s", "15m", "1.5s"]


def test_a_queue_is_never_a_cache() -> None:
    """One redis of both uses becomes two stores; the name of the second is free."""
    environment = {"BROKER_URL": "redis://redis:6379", "CACHE_URL": "redis://redis:6379"}
    found = guessed(
        {
            "api": {"build": BUILD, "environment": environment},
            "redis": {"image": "redis:7"},
            "redis-cache": {"build": BUILD, "ports": [{"target": 80}]},
        }
    )
    assert value(found, "stores", "redis", "use") == "queue"
    other = str(value(found, "bind", "api", "CACHE_URL")).removesuffix(".url")
    assert other not in {"redis", "redis-cache"}
    assert value(found, "stores", other, "use") == "cache"


def test_a_command_with_a_value_of_a_variable_is_not_copied() -> None:
    """A migration whose command Compose filled stays a task: the page holds no value."""
    services = {
        "api": {"build": BUILD, "ports": [{"target": 80}], "command": ["serve"]},
        "migrate": {"build": BUILD, "command": ["manage.py", "migrate", "canary"], "restart": "no"},
    }
    raw = "services: {migrate: {command: 'manage.py migrate ${PASSPHRASE}'}}"
    assert value(guessed(services, raw=raw), "release", "run") == "nothing"
    assert value(guessed(services, raw=raw), "services", "migrate", "kind") == "task"
    assert value(guessed(services), "release", "run") == "manage.py migrate canary"


def test_what_asks_for_several_copies_is_not_called_single() -> None:
    """A name alone does not overrule `deploy.replicas`."""
    one = {"build": BUILD, "command": ["x"]}
    assert value(guessed({"relay": one}), "services", "relay", "single") is True
    assert value(guessed({"relay": {**one, "deploy": {"replicas": 2}}}), "services", "relay", "single") == "nothing"


def test_a_private_service_is_not_made_public() -> None:
    """What publishes no port and is called by name only is private, on the port at which it is called."""
    api = {"build": BUILD, "ports": [{"target": 80}], "environment": {"ML_URL": "http://ml:8001"}}
    found = guessed({"api": api, "ml": {"build": BUILD}})
    assert value(found, "services", "ml", "kind") == "private"
    assert value(found, "services", "ml", "port") == 8001
    assert value(found, "bind", "api", "ML_URL") == "ml.internal_url"


def test_django_s_own_secret_is_not_taken_for_a_bucket_s() -> None:
    """SECRET_KEY stands beside a bucket's variables and is none of them."""
    environment = {
        "S3_ENDPOINT": "http://media:9000",
        "SECRET_KEY": "canary",
        "S3_SECRET_KEY": "canary",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_ACCESS_KEY_ID": "canary",
    }
    found = guessed({"api": {"build": BUILD, "environment": environment}, "media": {"image": "minio/minio:1"}})
    bound = {guess.field[2]: guess.value for guess in found.guesses if guess.field[0] == "bind"}
    assert bound == {
        "S3_ENDPOINT": "media.endpoint",
        "S3_SECRET_KEY": "media.secret_key",
        "AWS_SECRET_ACCESS_KEY": "media.secret_key",
        "AWS_ACCESS_KEY_ID": "media.access_key",
    }


def test_a_static_site_gets_only_its_own_bindings() -> None:
    """A site that is built gets no shared line, and the address that browsers use."""
    dockerfile = "FROM node AS b\nWORKDIR /w\nFROM nginx\nCOPY --from=b /w/dist /usr/share/nginx/html\n"
    folder = Folder(Ground(read_dockerfile(dockerfile.encode())), dockerfile, scripts={"build": "vite build"})
    environment = {"API_URL": "http://localhost:8000"}
    found = guessed(
        {
            "api": {"build": BUILD, "ports": [{"target": 8000, "published": "8000"}]},
            "site": {"build": BUILD, "environment": environment},
            "one": {"build": BUILD, "environment": environment},
            "two": {"build": BUILD, "environment": environment},
        },
        {"site": folder},
    )
    assert value(found, "services", "site", "kind") == "static"
    assert value(found, "services", "site", "output") == "dist"
    assert value(found, "bind", "site", "API_URL") == "api.url"
    assert value(found, "bind", "*", "API_URL") == "api.url"
