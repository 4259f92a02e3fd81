"""Apps in other languages, as people publish them: deployed with the page that `towline init` writes alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.lab.foreign_app import APPS, ForeignApp, build, foreign_app, told
from tests.lab.hosted_app import ON_HOSTS
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS, pytest.mark.timeout(900)]

IMAGES = ("node:20-slim", "python:3.11-slim", "redis:7.0.15", "postgres:18.6", "mariadb:10.11", "caddy:2.11.7")


@pytest.fixture(scope="module")
def host(lab: Lab, lab_hosts: tuple[LabHost, LabHost]) -> LabHost:
    """A host with every image that the apps need, and nothing on it that runs."""
    bake(lab.docker, IMAGES)
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    built = [
        *build(lab.docker, APPS / "guestbook", "web"),
        *build(lab.docker, APPS / "notes", "web"),
        *build(lab.docker, APPS / "links", "web"),
    ]
    host.load(*IMAGES[2:], *built)
    return host


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path, lab: Lab, host: LabHost) -> ForeignApp:
    """The app that the test names, on a host where nothing of another one runs."""
    host.ssh("docker ps -aq | xargs -r docker rm -f; docker volume ls -q | xargs -r docker volume rm -f")
    host.ssh("docker network prune -f; rm -rf /var/lib/towline")
    return foreign_app(request.param, tmp_path, lab, host)


def survives(app: ForeignApp, *expected: str) -> None:
    """The page has all of this, after a second deploy that finds nothing to do, and after the machine was off."""
    assert app.deploy()["changed"] is False
    assert all(one in app.page() for one in expected), app.page()
    app.host.reboot()
    until(lambda: all(one in app.page() for one in expected), f"{app.name} is back after a reboot", 90)


@pytest.mark.parametrize("project", ["guestbook"], indirect=True)
def test_node_express_and_redis(project: ForeignApp) -> None:
    """Guests outlive another title, the way back, and a reboot; the title comes from the file that Compose reads."""
    missing = project.towline("deploy", "production", "--yes", *told())
    assert "secrets set TITLE -t production" in missing.stderr, missing.stderr
    project.said("secrets", "import", "app.env", "-t", "production")
    assert project.deploy()["changed"] is True
    assert project.page("/rules") == "Be kind.\n"
    project.send(name="Ada")
    assert "<h1>Guests</h1><ul><li>Ada</li></ul>" in project.page()
    project.said("secrets", "set", "TITLE", "-t", "production", given="Visitors")
    project.deploy()
    assert "<h1>Visitors</h1><ul><li>Ada</li></ul>" in project.page()
    project.said("rollback", "-t", "production")
    assert "<h1>Guests</h1><ul><li>Ada</li></ul>" in project.page()
    project.deploy()
    survives(project, "Visitors", "Ada")


@pytest.mark.parametrize("project", ["notes"], indirect=True)
def test_django_and_postgres(project: ForeignApp) -> None:
    """Its migration runs before it does, its static files are there, a change of its heading keeps the notes."""
    missing = project.towline("deploy", "production", "--yes", *told())
    assert missing.returncode == 2, missing.stderr
    assert missing.stderr.count("towline secrets set") == missing.stderr.count("set ALLOWED_HOSTS -t production") == 1
    project.said("secrets", "set", "ALLOWED_HOSTS", "-t", "production", given=f"localhost,{project.host.name}")
    project.deploy()
    project.send(text="milk")
    assert project.page() == "<h1>My notes</h1><ul><li>milk</li></ul>"
    assert "teal" in project.page("/static/notes.css")
    project.change("HEADING: My notes", "HEADING: Our notes")
    project.deploy()
    project.send(text="bread")
    assert project.page() == "<h1>Our notes</h1><ul><li>milk</li><li>bread</li></ul>"
    project.said("rollback", "-t", "production")
    assert project.page() == "<h1>My notes</h1><ul><li>milk</li><li>bread</li></ul>"
    project.deploy()
    survives(project, "milk", "bread")


def backed_up_and_restored(app: ForeignApp) -> None:
    """A backup of its MariaDB, what came after it, and the way back: the app goes on with what was there."""
    made = app.towline("backup", "production", "--json")
    assert made.returncode == 0, made.stderr
    (one,) = json.loads(made.stdout)
    assert (one["store"], one["tables"], one["why"]) == ("db", 1, "asked")
    before = app.page()
    app.send(url="https://late.example")
    app.said("restore", "production", one["name"], "--name", "production")
    assert app.page() == before
    kept = "docker exec $(docker ps -q -f label=towline.service=db) mariadb -uroot -pthe-word-of-root -Ne"
    assert "late.example" in app.host.ssh(f"{kept} 'SELECT url FROM links_before_{int(one['name']) + 1}.link'").stdout
    with (app.folder / "towline.yaml").open("a") as page:
        page.write('release: {in: web, run: "true"}\n')
    said = app.said("deploy", "production", "--yes", *told())
    assert "the release command is not rehearsed on db: only a backup is taken" in said
    listed = json.loads(app.towline("backup", "production", "--list", "--json").stdout)
    assert [(one["store"], one["why"]) for one in listed] == [("db", "release"), ("db", "asked")]


@pytest.mark.parametrize("project", ["links"], indirect=True)
def test_flask_and_mariadb(project: ForeignApp) -> None:
    """The address of its database stays as it is written; the database gives way to itself, and says so before."""
    password = "twelve-letters"
    for name, value in (
        ("DATABASE_URL", f"mysql://links:{password}@db:3306/links"),
        ("DB_PASSWORD", password),
    ):
        project.said("secrets", "set", name, "-t", "production", given=value)
    missing = project.towline("deploy", "production", "--yes", *told())
    assert "root_password.txt`, and there is no such file" in missing.stderr, missing.stderr
    (project.folder / "root_password.txt").write_text("the-word-of-root")
    project.deploy()
    project.send(url="https://example.org")
    assert "<li>https://example.com/first</li><li>https://example.org</li>" in project.page()
    root = "docker exec $(docker ps -q -f label=towline.service=db) mariadb -uroot -pthe-word-of-root -e 'SELECT 42'"
    assert "42" in project.host.ssh(root).stdout
    backed_up_and_restored(project)
    project.change("mem_limit: 512m", "mem_limit: 600m")
    assert "`db` pauses: its old copy stops before the new one starts (its data is in one place)" in project.plan()
    project.deploy()
    assert "https://example.org" in project.page()
    project.said("rollback", "-t", "production")
    assert "https://example.org" in project.page()
    project.deploy()
    survives(project, "https://example.org")
    volumes = project.host.ssh("docker volume ls -q").stdout.split()
    assert "links-production-db-data" in volumes
    assert all(name.startswith("links-production-") for name in volumes), volumes


@pytest.mark.parametrize("project", ["guestbook"], indirect=True)
def test_an_image_that_wants_to_write_is_told_how(project: ForeignApp) -> None:
    """An ordinary image may write beside its code: the report says what to type, and then it runs."""
    project.said("secrets", "import", "app.env", "-t", "production")
    project.change(
        "    build: .\n",
        "    build: .\n    command: sh -c 'touch /app/made && id -u && exec node server.js'\n    user: root\n",
    )
    failed = project.towline("deploy", "production", "--yes", *told())
    assert failed.returncode == 4, failed.stderr
    hint = "printf false | towline secrets set WEB_READ_ONLY -t production"
    assert hint in failed.stderr, failed.stderr
    project.said("secrets", "set", "WEB_READ_ONLY", "-t", "production", given="false")
    project.deploy()
    assert "Guests" in project.page()
