"""What `verify` sees of a name, against real servers on loopback: certificates, versions, headers, the way to https."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.front_door import Route
from towline.ops.host_browser import HostBrowser
from towline.ops.verify_names import HEADERS, HSTS, UPSTREAM, Named, certificate, checks_of, places
from towline.ops.workspace import public_host_of
from towline.spec.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "shop.example"
pytestmark = pytest.mark.needs("openssl")


class Server:
    """An HTTP server on loopback that answers in turn from the copies it is told, with the headers it is told."""

    def __init__(self, secured: tuple[Path, Path] | None = None) -> None:
        self.upstreams = ["shop-api.r2.1:8000"]
        self.headers: dict[str, str] = dict.fromkeys((*HEADERS, HSTS), "x")
        self.status = 200
        count = iter(range(10**6))
        outer = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(outer.status)
                headers = {UPSTREAM: outer.upstreams[next(count) % len(outer.upstreams)], **outer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        if secured is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*secured)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def made_certificate(folder: Path, name: str, days: int) -> tuple[Path, Path]:
    """A certificate that nobody knows the issuer of."""
    folder.mkdir(exist_ok=True)
    key, crt = folder / "key.pem", folder / "crt.pem"
    argv = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(crt), "-days", str(days)),
        *("-subj", "/O=Nobody", "-addext", f"subjectAltName=DNS:{name}"),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    return crt, key


def named(url: str, *, domain: str | None = None, wanted: tuple[str, ...] = (), internal: bool = True) -> Named:
    return Named(Route("api", "service", 8000, domain, path="/"), url, "127.0.0.1", wanted, internal)


@pytest.fixture
def server() -> Iterator[Server]:
    """In clear."""
    made = Server()
    yield made
    made.stop()


def seen(server: Server, wanted: tuple[str, ...]) -> dict[str, bool]:
    url = f"http://{NAME}:{server.port}"
    with HostBrowser({NAME: "127.0.0.1"}, checked=True) as browser:
        return {check.name: check.ok for check in checks_of(named(url, wanted=wanted), browser)}


def test_right_version_through_the_door(server: Server) -> None:
    """Only wanted copies may answer; one answer of an old copy is enough to fail."""
    wanted = ("shop-api.r2.1:8000", "shop-api.r2.2:8000")
    server.upstreams = list(wanted)
    right = "api is of the right version"
    assert seen(server, wanted)[right] is True
    server.upstreams = [*wanted, "shop-api.r1.1:8000"]
    assert seen(server, wanted)[right] is False


def test_a_host_that_has_nothing_but_an_ipv6_address(server: Server) -> None:
    """Its address stands in brackets in a URL, for whoever opens it and for `verify`."""
    host = public_host_of(Site("box", "host", {"ssh": "root@[2001:db8::1]:2222"}))
    assert (host, public_host_of(Site("box", "host", {"ssh": "root@192.0.2.1"}))) == ("[2001:db8::1]", "192.0.2.1")
    one = named(f"http://{host}:{server.port}")
    with HostBrowser(places([one]), checked=True) as browser:
        assert {check.ok for check in checks_of(one, browser)} == {True}


def test_status_and_headers(server: Server) -> None:
    """An error of the service is seen, and so is a missing header, or one that tells what the front door is."""
    assert set(seen(server, ()).values()) == {True}
    server.status = 503
    assert seen(server, ())["api answers through the front door"] is False
    server.status = 200
    del server.headers["X-Frame-Options"]
    assert seen(server, ())["api sends the security headers"] is False
    server.headers |= {"X-Frame-Options": "DENY", "Server": "Caddy"}
    assert seen(server, ())["api sends the security headers"] is False


def test_nobody_there(server: Server) -> None:
    """A door that does not answer is one failed check, with where it was looked for."""
    server.stop()
    url = f"http://{NAME}:{server.port}"
    with HostBrowser({NAME: "127.0.0.1"}, checked=True) as browser:
        [check] = checks_of(named(url), browser)
    assert not check.ok
    assert check.hint == "towline logs api"
    assert url in check.saw


@pytest.mark.parametrize(
    ("name", "internal", "ok", "word"),
    [
        (NAME, True, True, "Nobody, which only this host knows"),
        ("other.example", True, False, "not valid for 'shop.example'"),
        (NAME, False, False, "self-signed certificate"),
    ],
    ids=["internal", "for another name", "public"],
)
def test_certificate(tmp_path: Path, name: str, internal: bool, ok: bool, word: str) -> None:
    """It must be for the name; who issued it need only be known where the world is to believe it."""
    server = Server(made_certificate(tmp_path, name, 30))
    try:
        check = certificate(named(f"https://{NAME}", domain=NAME, internal=internal), server.port)
    finally:
        server.stop()
    assert (check.ok, word in check.saw) == (ok, True), check


def test_no_certificate_at_all() -> None:
    """A port that nobody listens at is a failed check, not a traceback."""
    check = certificate(named(f"https://{NAME}", domain=NAME), 1)
    assert not check.ok
    assert "refused" in check.saw
