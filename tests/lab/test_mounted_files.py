"""Files that a Compose file mounts or gives, on a host: replaced with each deploy, back with a rollback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.lab.foreign_app import TARGET
from tests.lab.hosted_app import ON_HOSTS, HostedApp

from towline.lab.images import bake

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

IMAGES = ("python:3.11-slim", "caddy:2.11.7")
SERVE = """#!/usr/local/bin/python3
import http.server, json, os, pathlib
def seen():
    public = pathlib.Path("/srv/public")
    notes = pathlib.Path("/notes/all")
    try:
        (public / "new").write_text("no")
        written = "yes"
    except OSError as error:
        written = error.strerror
    return {
        "page": (public / "index.html").read_text(),
        "linked": (public / "latest").read_text(),
        "files": sorted(os.listdir(public)),
        "written": written,
        "config": pathlib.Path("/etc/site.ini").read_text(),
        "word": pathlib.Path("/run/secrets/word").read_text(),
        "told": pathlib.Path("/run/secrets/told").read_text(),
        "in environment": [name for name, value in os.environ.items() if "told-once" in value],
        "notes": notes.read_text() if notes.exists() else "",
    }
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/note":
            pathlib.Path("/notes/all").write_text("kept")
        body = json.dumps(seen()).encode() if self.path == "/" else b"ok"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
"""
COMPOSE = """
services:
  web:
    image: python:3.11-slim
    entrypoint: [/start/serve.py]
    ports: ["8000:8000"]
    stop_grace_period: 1s
    volumes:
      - ./public:/srv/public
      - ./serve.py:/start/serve.py:ro
      - ./notes:/notes
    configs: [{source: site, target: /etc/site.ini}]
    secrets: [word, told]
  site:
    image: nginx:1.27
    ports: ["8080:80"]
    volumes: ["./pages:/usr/share/nginx/html:ro"]
configs:
  site: {content: "name = pages\\n"}
secrets:
  word: {file: ./word.txt}
  told: {environment: TOLD}
"""
PAGE = """
app: pages
services: {web: {kind: web, ready: /ready}, site: {kind: static, output: pages}}
"""


@pytest.fixture
def pages(tmp_path: Path, lab: Lab, lab_hosts: tuple[LabHost, LabHost]) -> HostedApp:
    """The app, on a host that has its images and nothing of it."""
    bake(lab.docker, IMAGES)
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    host.load(*IMAGES)
    project = tmp_path / "pages"
    (project / "public").mkdir(parents=True)
    (project / "public" / "index.html").write_text("one")
    (project / "public" / "latest").symlink_to("index.html")
    (project / "pages" / "about").mkdir(parents=True)
    (project / "pages" / "index.html").write_text("<h1>one</h1>")
    (project / "pages" / "about" / "index.html").write_text("about")
    (project / "pages" / "style.css").write_text("p {}")
    (project / "serve.py").write_text(SERVE)
    (project / "serve.py").chmod(0o755)
    (project / "word.txt").write_text("word-of-the-file")
    (project / "compose.yaml").write_text(COMPOSE)
    page = PAGE + TARGET.format(name=host.name, address=host.ipv4)
    (project / "towline.yaml").write_text(page)
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    return HostedApp(project, host)


def plan(app: HostedApp) -> str:
    """What `towline plan` shows."""
    shown = app.towline("plan", "production")
    assert shown.returncode in (0, 10), shown.stderr
    return shown.stdout + shown.stderr


def asked(app: HostedApp, path: str, name: str = "") -> httpx.Response:
    """What the host answers to a browser, of what newcomers see or of the service of that name."""
    host = f"{name}.{app.host.name}" if name else app.host.name
    return httpx.get(f"http://{app.host.ipv4}{path}", headers={"Host": host}, timeout=20)


def seen(app: HostedApp) -> dict[str, Any]:
    """What the service finds in its container."""
    found: dict[str, Any] = asked(app, "/", "web").json()
    return found


def kept(app: HostedApp) -> int:
    """How many contents of folders the host keeps."""
    return len(app.host.ssh("ls /var/lib/towline/pages/production/folders").stdout.split())


def copies(app: HostedApp, service: str) -> set[str]:
    """The containers of a service that run and stay."""
    ran = app.host.ssh(f"docker ps --format '{{{{.Names}}}}' -f label=towline.service={service}")
    return {name for name in ran.stdout.split() if ".leaving." not in name}


def planned_and_deployed(app: HostedApp) -> None:
    """The first release: what it lacks, what it warns of, what it brings, and no secret in what it says."""
    missing = app.towline("plan", "production")
    assert "towline secrets set TOLD -t production" in missing.stderr, missing.stderr
    app.said("secrets", "set", "TOLD", "-t", "production", given="told-once")
    shown = plan(app) + app.said("check", "-t", "production")
    assert "bring public for web (3 B)" in shown, shown
    assert "`web` may write to `public` under Compose" in shown, shown
    first = app.deploy()
    assert first["changed"] is True
    assert all(word not in json.dumps(first) + shown for word in ("told-once", "word-of-the-file"))


def test_files_travel_with_each_release(pages: HostedApp) -> None:
    """Read only, with their rights; another content is another release, and the way back leads to the earlier one."""
    planned_and_deployed(pages)
    assert seen(pages) == {
        "page": "one",
        "linked": "one",
        "files": ["index.html", "latest"],
        "written": "Read-only file system",
        "config": "name = pages\n",
        "word": "word-of-the-file",
        "told": "told-once",
        "in environment": [],
        "notes": "",
    }
    given_out(pages)
    assert asked(pages, "/note", "web").text == "ok"
    assert pages.towline("plan", "production").returncode == 0, "there is nothing to do"
    site = copies(pages, "site")

    (pages.folder / "public" / "index.html").write_text("two")
    pages.deploy()
    assert (seen(pages)["page"], kept(pages), copies(pages, "site")) == ("two", 4, site)
    pages.said("rollback", "-t", "production")
    assert (seen(pages)["page"], seen(pages)["notes"]) == ("one", "kept")

    (pages.folder / "pages" / "index.html").write_text("<h1>three</h1>")
    (pages.folder / "public" / "index.html").write_text("three")
    pages.deploy()
    assert (seen(pages)["page"], asked(pages, "/").text) == ("three", "<h1>three</h1>")
    said = pages.host.ssh("cat /var/lib/towline/pages/production/journal; docker inspect $(docker ps -aq)").stdout
    assert all(word not in said for word in ("told-once", "word-of-the-file"))


def given_out(app: HostedApp) -> None:
    """The static service: files as they are, any other path is the page's, which is asked for anew."""
    page = asked(app, "/")
    assert (page.text, page.headers["cache-control"]) == ("<h1>one</h1>", "no-cache")
    assert asked(app, "/any/path/of/the/page").text == "<h1>one</h1>"
    assert asked(app, "/about/").text == "about"
    style = asked(app, "/style.css")
    assert (style.text, style.headers["content-type"]) == ("p {}", "text/css; charset=utf-8")
    assert "cache-control" not in style.headers
