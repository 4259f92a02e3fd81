"""The rendered Compose file of Postcards on a real Docker: it works through its front door, and only through that."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.artifacts import caddyfile, host_compose
from towline.lab.docker import LabDocker
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

IMAGES = ("python:3.11-slim", "postgres:18.6", "valkey/valkey:9", "chrislusf/seaweedfs:4.48", "caddy:2.11.7")
REGISTRY = "registry.test/towline-render"
DIAL = """
import socket, sys
with socket.socket() as dialled:
    dialled.settimeout(2)
    sys.exit(min(1, dialled.connect_ex((sys.argv[1], int(sys.argv[2])))))
"""


@dataclass(frozen=True)
class Server:
    """The app as it runs: where its front door is, and how Compose is asked about it."""

    docker: LabDocker
    name: str
    folder: Path
    port: int

    def compose(self, *words: str) -> str:
        """Ask Compose, with the front door moved to a free port of the loopback."""
        files = ("--file", str(self.folder / "compose.yaml"), "--file", str(self.folder / "port.yaml"))
        return self.docker.compose("--project-name", self.name, *files, *words, within=180, cwd=self.folder)

    def container(self, service: str) -> str:
        """The container of a service."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inside(self, service: str, *words: str) -> Any:
        """How a program inside a container ended."""
        return self.docker.ask("exec", self.container(service), *words)

    def browser(self) -> httpx.Client:
        """A client of the front door; names below localhost need no DNS."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def load(self, url: str) -> httpx.Response:
        """What a browser gets for an address of the bucket's own name."""
        name, path = re.fullmatch(r"http://([^/]+)(/.*)", url).groups()  # type: ignore[union-attr]
        with self.browser() as browser:
            return browser.get(path, headers={"Host": name})


@pytest.fixture(scope="module")
def server(checkout: Path, checkout_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Everything from the rendered files: migrated, then started, all healthy."""
    root = tmp_path_factory.mktemp("render")
    made = material(checkout, "postcards", "server", root)
    folder, port = root / "srv", free_port()
    folder.mkdir()
    for file in (*host_compose.files(made), *caddyfile.files(made)):
        (folder / file.path).write_text(file.text)
    (folder / "port.yaml").write_text(f'services: {{caddy: {{ports: !override ["127.0.0.1:{port}:80"]}}}}\n')
    asked = {one.setting for one in made.variables if one.origin == "generated"}
    told = {name: secrets.token_hex(16) for name in sorted(asked)}
    told |= {"REGISTRY": REGISTRY, "VERSION": "1", "PUBLIC_HOST": f"localhost:{port}"}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    with LabDocker(os.environ) as docker:
        bake(docker, IMAGES)
        docker.run("build", "--tag", f"{REGISTRY}/postcards-api:1", str(root / "postcards"), within=300)
        docker.run("tag", f"{REGISTRY}/postcards-api:1", f"{REGISTRY}/postcards-worker:1")
        found = Server(docker, f"towline-render-{checkout_name}", folder, port)
        found.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
        try:
            found.compose("config", "--quiet")
            found.compose("run", "--rm", "release")
            found.compose("up", "--detach", "--wait")
            yield found
        finally:
            found.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
            docker.ask("image", "rm", f"{REGISTRY}/postcards-worker:1", f"{REGISTRY}/postcards-api:1")


def test_a_job_is_done_through_the_front_door(server: Server, checkout: Path) -> None:
    """Page, API, worker and bucket: a card is made and everybody may load it; the photo that was sent stays private."""
    photo = (checkout / "examples" / "postcards" / "sample" / "photo.jpg").read_bytes()
    with server.browser() as browser:
        page = browser.get("/")
        taken = browser.post("/api/cards", data={"greeting": "Hello"}, files={"photo": ("photo.jpg", photo)})
        assert (page.status_code, taken.status_code) == (200, 202)
        assert page.headers["x-content-type-options"] == "nosniff"
        card = until(lambda: _done(browser.get(taken.json()["url"]).json()), "the card is done")
    picture = server.load(card["image_url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert "script-src 'none'" in picture.headers["content-security-policy"]
    base = card["image_url"].rpartition("/cards/")[0]
    assert server.load(f"{base}/photos/{card['id']}").status_code in (403, 404)
    assert server.load(f"{base}/").status_code == 404
    assert server.load(f"{base}/?list-type=2").status_code == 404


def _done(card: dict[str, str]) -> dict[str, str] | None:
    assert card["state"] != "failed", card
    return card if card["state"] == "done" else None


def test_no_store_answers_from_outside(server: Server) -> None:
    """Only the front door has a port of the machine; a stranger's container reaches no store, whatever it dials."""
    listed = server.docker.run(
        "ps", "--filter", f"label=com.docker.compose.project={server.name}", "--format", "{{.Ports}}"
    )
    published = re.findall(r"(\S+)->", listed)
    assert published == [f"127.0.0.1:{server.port}"]
    for store, port in (("db", "5432"), ("queue", "6379"), ("media", "8333")):
        told = server.docker.run(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", server.container(store)
        )
        (address,) = told.split()
        stranger = server.docker.ask("run", "--rm", "python:3.11-slim", "python", "-c", DIAL, address, port)
        assert stranger.status == 1, (store, stranger)
        assert server.inside("api", "python", "-c", DIAL, store, port).status == 0, store


def test_a_container_reaches_what_it_is_told_of_and_no_more(server: Server) -> None:
    """The door is in no store's network, the bucket's other servers are on its loopback, nothing may be written."""
    for port in ("8888", "9333", "8080", "18888", "19333"):
        assert server.inside("api", "python", "-c", DIAL, "media", port).status == 1, port
    for store in ("db", "queue"):
        assert server.inside("caddy", "getent", "hosts", store).status != 0, store
    for service in ("api", "worker", "caddy", "db", "queue", "media"):
        assert server.inside(service, "touch", "/written").status != 0, service
    shown = server.docker.run("inspect", "--format", "{{.Config.Cmd}}", server.container("queue"))
    assert "requirepass $QUEUE_PASSWORD" in shown


def test_data_lies_on_its_volume(server: Server) -> None:
    """What PostgreSQL, the queue and the bucket keep is on the named volumes, not in the containers that go."""
    where = server.inside("db", "psql", "-U", "postcards", "-tAc", "SHOW data_directory").stdout.strip()
    assert where.startswith("/var/lib/postgresql/")
    for service, folder in (("db", "/var/lib/postgresql"), ("queue", "/data"), ("media", "/data")):
        mounts = server.docker.run(
            "inspect", "--format", "{{range .Mounts}}{{.Name}}:{{.Destination}} {{end}}", server.container(service)
        )
        assert mounts.split() == [f"{server.name}_{service}-data:{folder}"]
    before = server.inside("db", "psql", "-U", "postcards", "-tAc", "SELECT count(*) FROM cards").stdout
    server.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "db")
    assert server.inside("db", "psql", "-U", "postcards", "-tAc", "SELECT count(*) FROM cards").stdout == before


def test_a_second_start_changes_nothing(server: Server) -> None:
    """`up` with the same files leaves every container as it is, and the bucket's setup may run again."""
    services = ("caddy", "api", "worker", "db", "queue", "media")
    before = {one: server.container(one) for one in services}
    server.compose("run", "--rm", "release")
    server.compose("up", "--detach", "--wait")
    assert {one: server.container(one) for one in services} == before


def test_a_request_waits_while_the_api_is_replaced(server: Server) -> None:
    """While the container of the API is made anew, the front door holds what comes: no request fails."""
    answers: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with server.browser() as browser:
            while not stop.is_set():
                answers.append(browser.get("/livez").status_code)
                time.sleep(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        until(lambda: len(answers) > 3, "the front door answers")
        server.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "api")
        count = len(answers)
        until(lambda: len(answers) > count + 3, "it answers after the change")
    finally:
        stop.set()
        asking.join()
    assert set(answers) == {200}
