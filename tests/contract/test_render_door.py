"""The rendered Caddyfile, run by Caddy itself in front of servers of the test: what a browser gets."""

from __future__ import annotations

import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.artifacts import caddyfile
from towline.artifacts.front_door import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

CADDY = str(Path(sys.executable).with_name("caddy"))


class Upstream(http.server.BaseHTTPRequestHandler):
    """Says its name, and what it was asked."""

    name = ""

    def do_GET(self) -> None:
        """Answer with everything that the test wants to know."""
        body = json.dumps({"name": self.name, "path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Server", "told-to-nobody")
        if self.path == "/own-policy":
            self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """The same."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def upstream(name: str, port: int) -> Iterator[None]:
    """A server that calls itself `name`."""
    handler = type(name, (Upstream,), {"name": name})
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def door(text: str, ports: dict[str, int], folder: Path) -> Iterator[Path]:
    """Caddy with the file `text`, where `name:port` of a container is a port here; the file of its log."""
    plain, secure, admin = free_port(), free_port(), free_port()
    for address, port in ports.items():
        text = text.replace(f" {address} {{", f" 127.0.0.1:{port} {{")
    text = re.sub(r"^:80 \{", f":{plain} {{", text, flags=re.MULTILINE).replace("localhost:2019", f"127.0.0.1:{admin}")
    options = f"\tlocal_certs\n\tskip_install_trust\n\thttp_port {plain}\n\thttps_port {secure}\n\tgrace_period"
    path, log = folder / "Caddyfile", folder / "log"
    path.write_text(text.replace("\tgrace_period", options))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    words = [CADDY, "run", "--adapter", "caddyfile", "--config", str(path)]
    with log.open("wb") as handle, subprocess.Popen(words, env=env, stdout=handle, stderr=handle) as caddy:
        try:
            until(lambda: caddy.poll() is not None or _listens(plain), "the front door listens")
            assert caddy.poll() is None, log.read_text()
            ports |= {"http": plain, "https": secure}
            yield log
        finally:
            caddy.terminate()
            caddy.wait(timeout=40)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def text_of(checkout: Path, target: str, folder: Path) -> str:
    """The Caddyfile of Postcards."""
    made = material(checkout, "postcards", target, folder)
    return caddyfile.text(made, hosts(made.target)[0])


def test_without_a_domain(checkout: Path, tmp_path: Path) -> None:
    """One port for all: the app at every name, the bucket at those that begin with its own, and only objects of it."""
    ports = {"api:8000": free_port(), "media:8333": free_port()}
    text = text_of(checkout, "server", tmp_path)
    with upstream("api", ports["api:8000"]), upstream("media", ports["media:8333"]), door(text, ports, tmp_path) as log:
        base = f"http://127.0.0.1:{ports['http']}"
        answer = httpx.get(f"{base}/cards?token=let-me-in&page=2")
        assert answer.json()["name"] == "api"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers
        own = httpx.get(f"{base}/own-policy").headers["content-security-policy"]
        assert own == "default-src 'self'"
        at_bucket = {"Host": "media.203.0.113.7"}
        found = httpx.get(f"{base}/postcards/cards/1.jpg?X-Amz-Signature=secret-signature", headers=at_bucket)
        assert found.json()["name"] == "media"
        assert found.json()["headers"]["Host"] == "media.203.0.113.7"
        assert httpx.put(f"{base}/postcards/photos/1", content=b"x", headers=at_bucket).status_code == 200
        for path in (
            "/",
            "/postcards",
            "/postcards/",
            "/postcards/?list-type=2",
            "/other/1.jpg",
            "/postcards/../other/1",
        ):
            assert httpx.get(f"{base}{path}", headers=at_bucket).status_code == 404, path
        httpx.get(f"{base}/health")
        said = until(lambda: _requests(log, "/postcards/cards/1.jpg"), "the request is in the log")
        assert "secret-signature" not in log.read_text()
        assert "let-me-in" not in log.read_text()
        assert "page=2" in log.read_text()
        assert said[0]["status"] == 200
        assert not _requests(log, "/health")


def _requests(log: Path, path: str) -> list[dict[str, object]]:
    lines = [
        json.loads(line)
        for line in log.read_text().splitlines()
        if line.startswith("{") and '"handled request"' in line
    ]
    return [line for line in lines if line["request"]["uri"].startswith(path)]


def test_a_bucket_that_another_site_uses(checkout: Path, tmp_path: Path) -> None:
    """A service elsewhere may ask the bucket everything that S3 can, and still nothing beside it."""
    made = material(checkout, "cooly", "production", tmp_path)
    ports = {"media:8333": free_port()}
    text = caddyfile.text(made, hosts(made.target)[0])
    with upstream("media", ports["media:8333"]), door(text, ports, tmp_path):
        base, named = f"http://127.0.0.1:{ports['http']}", {"Host": "media.203.0.113.7"}
        for path in ("/cooly", "/cooly?list-type=2", "/cooly/", "/cooly/a/b.png"):
            assert httpx.get(f"{base}{path}", headers=named).json()["name"] == "media", path
        assert httpx.put(f"{base}/cooly/a", content=b"x", headers=named).status_code == 200
        for path in ("/", "/other", "/coolyx", "/cooly/../other"):
            assert httpx.get(f"{base}{path}", headers=named).status_code == 404, path
        assert httpx.get(f"{base}/cooly/a").status_code == 404


def test_with_a_domain(checkout: Path, tmp_path: Path) -> None:
    """By https only: http leads there, browsers are told to stay there, and each name leads to its own."""
    ports = {"api:8000": free_port(), "media:8333": free_port()}
    text = text_of(checkout, "named", tmp_path)
    with upstream("api", ports["api:8000"]), upstream("media", ports["media:8333"]), door(text, ports, tmp_path):
        moved = httpx.get(f"http://127.0.0.1:{ports['http']}/cards", headers={"Host": "app.example"})
        assert moved.status_code == 308
        assert moved.headers["location"].startswith("https://app.example")
        found = until(lambda: asked(ports["https"], "app.example", "/cards"), "the certificate is there")
        assert found.json()["name"] == "api"
        assert found.json()["headers"]["X-Forwarded-Proto"] == "https"
        assert found.headers["strict-transport-security"] == "max-age=31536000"
        bucket = until(lambda: asked(ports["https"], "media.app.example", "/postcards/cards/1.jpg"), "the other one")
        assert bucket.json()["name"] == "media"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"https://127.0.0.1:{ports['https']}/", verify=False)  # a name that nobody gave it


def asked(port: int, name: str, path: str) -> httpx.Response | None:
    """What is answered at a name; None while its certificate is being made."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = httpx.Request(
        "GET", f"https://127.0.0.1:{port}{path}", headers={"Host": name}, extensions={"sni_hostname": name}
    )
    try:
        with httpx.Client(verify=context) as client:
            return client.send(request)
    except httpx.ConnectError:
        return None


def test_a_request_waits_for_a_service_that_starts(checkout: Path, tmp_path: Path) -> None:
    """A request that comes while nobody listens is answered as soon as somebody does; nothing fails meanwhile."""
    ports = {"api:8000": free_port(), "media:8333": free_port()}
    found: list[int] = []
    with door(text_of(checkout, "server", tmp_path), ports, tmp_path):
        url = f"http://127.0.0.1:{ports['http']}/late"
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(url, timeout=1)
        waiting = threading.Thread(target=lambda: found.append(httpx.get(url, timeout=30).status_code))
        waiting.start()
        with upstream("api", ports["api:8000"]):
            waiting.join(timeout=30)
    assert found == [200]
