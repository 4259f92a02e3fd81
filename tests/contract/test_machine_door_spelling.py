"""How a name may be written for the machine's door, and what is no name, as the real Caddy takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from tests.contract.machine_doors import Doors, making, opened
from tests.real_servers import until

from towline.steps.door import ANY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "flock")


@pytest.fixture
def named(checkout: Path, tmp_path: Path) -> Iterator[Doors]:
    """One app with a name in clear and one with https."""
    with opened() as doors:
        doors.open()
        doors.app("shop", making(checkout, tmp_path / "1", "alone", "a.example"))
        assert doors.machine.claim("shop", "app.example", clear=("a.example",)) == ""
        until(lambda: doors.ask("b.example"), "the door answers")
        yield doors


def test_a_name_is_found_however_it_is_written(named: Doors) -> None:
    """With capitals, a dot at its end and a port; the app sees it as it is kept, with the port."""
    for host in ("A.Example", "a.example.", "A.EXAMPLE.", "A.Example.:8080", "a.example:8080", "a.example.:443"):
        found = named.ask(host)
        assert found is not None
        assert found.status_code == 200, host
        said = found.json()["Host"]
        assert said == "a.example" + (":" + host.partition(":")[2] if ":" in host else "")


def test_a_secure_name_is_found_however_it_is_written(named: Doors) -> None:
    """In clear it is sent to https under the name that is kept; by https it is answered."""
    sent = named.ask("APP.example.")
    assert sent is not None
    assert (sent.status_code, sent.headers["location"]) == (308, "https://app.example/x?y=1")
    with httpx.Client(verify=False, timeout=30) as client:
        told = {"sni_hostname": "app.example"}
        answer = client.get(f"https://127.0.0.1:{named.tls}/", headers={"Host": "App.Example."}, extensions=told)
    assert answer.status_code == 200
    assert answer.json()["Host"] == "app.example"


STRANGE = (
    "..", ".", "...", "../clear/a.example", "x/../a.example", "/a.example", "a.example/", "..%2fclear%2fa.example", "*",
    "?.example", "[a].example", "a.exampl?", "a.exampl[e]", "a.example..", ".a.example", "A.EXAMPLE/..",
    "../to/A.example", "[::1]", "[::1]:80", "[FE80::1%25eth0]", "{http.request.host}", "{file./etc/hostname}",
    "a.example\\", "",
)  # fmt: skip


def test_no_other_file_is_found_by_a_strange_name(named: Doors) -> None:
    """Whatever is in it: there is no such name, or no such request; nothing but files of names is looked at."""
    for host in STRANGE:
        answer = named.say(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] in (b"400", b"404"), (host, head)
        assert b"by" not in body, host


def test_a_request_without_a_host(named: Doors) -> None:
    """HTTP/1.0 needs none: it is a name that nobody has, which somebody may answer to."""
    request = "GET / HTTP/1.0\r\n\r\n"
    assert named.say(request).split()[1] == b"404"
    assert named.machine.claim("shop", "app.example", clear=("a.example", ANY_NAME)) == ""
    assert named.say(request).split()[1] == b"200"
    assert named.say("GET http://A.example/ HTTP/1.0\r\n\r\n").split()[1] == b"200"


def test_an_ipv6_address_is_a_name(named: Doors) -> None:
    """In brackets, with a port and without."""
    assert named.machine.claim("shop", clear=("2001:db8::1",)) == ""
    for host, told in (("[2001:db8::1]", "[2001:db8::1]:80"), ("[2001:db8::1]:8080", "[2001:db8::1]:8080")):
        answer = named.say(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert answer.split()[1] == b"200", host
        assert f'"Host": "{told}"'.encode() in answer
