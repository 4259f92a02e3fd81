"""The door of a machine as the real Caddy runs it, over the front doors of two apps; and the names as files."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.contract.machine_doors import Doors, Machine, making, opened
from tests.real_servers import until

from towline.artifacts.host_bundle import site_bundle
from towline.drivers.host.programs import part
from towline.steps.door import ANY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = "shop.example"


# The names of an app


@pytest.mark.parametrize(
    ("host", "own"), [("Shop.Example", OWN), ("203.0.113.7", "203.0.113.7"), ("[2001:DB8::1]", "2001:db8::1")]
)
def test_an_app_without_a_domain(checkout: Path, tmp_path: Path, host: str, own: str) -> None:
    """Its names are in clear; while nobody gave the host its name, it answers to every other one too."""
    made = making(checkout, tmp_path, "alone", host)
    nameless = site_bundle(made).names
    assert nameless is not None
    assert nameless.secure == ()
    assert {own, ANY_NAME, f"api.{own}"} <= set(nameless.clear)
    named = site_bundle(replace(made, named=True, contents={})).names
    assert named is not None
    assert set(nameless.clear) - set(named.clear) == {ANY_NAME}


def test_an_app_with_a_domain(checkout: Path, tmp_path: Path) -> None:
    """All of its names have https, and nothing of it is published but through the machine's door."""
    part_of = site_bundle(making(checkout, tmp_path, "named", "203.0.113.7"))
    assert part_of.names is not None
    assert part_of.names.clear == ()
    assert {"app.example", "api.app.example"} <= set(part_of.names.secure)
    assert part_of.machine_door is not None
    assert part_of.machine_door.certificates == "acme"
    inside = site_bundle(making(checkout, tmp_path / "inside", "named", "x", {"certificates": "internal"}))
    assert inside.machine_door is not None
    assert inside.machine_door.certificates == "internal"
    assert part_of.door is not None
    assert part_of.door.container is not None
    assert part_of.door.container.published == ()


# Names as files


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


pytestmark = pytest.mark.needs("sh", "flock")


def test_names_are_claimed_changed_and_given_back(machine: Machine) -> None:
    """A claim is the whole list; each name leads to the owner's socket; what was there before is told."""
    assert not machine.holds("shop", "a.example")
    assert machine.claim("shop", "a.example", "b.example", clear=(ANY_NAME,)) == ""
    assert machine.holds("shop", "a.example", "b.example", clear=(ANY_NAME,))
    assert (machine.door / "to/a.example").readlink() == Path("../apps/shop/production/now")
    assert machine.had("shop") == {"clear": [ANY_NAME], "secure": ["a.example", "b.example"], "door": None}
    assert machine.claim("shop", "b.example", clear=("a.example",)) == ""
    assert machine.files() == {"clear/a.example", "secure/b.example", "to/a.example", "to/b.example"}
    assert machine.claim("shop") == ""
    assert machine.files() == set()
    assert machine.holds("shop")


def test_a_name_has_one_owner(machine: Machine) -> None:
    """Whoever comes second is told who has it and changes nothing, also where the other one has it without https."""
    assert machine.claim("shop", "a.example", clear=("c.example",)) == ""
    before = machine.files()
    refused = machine.claim("blog", "b.example", "a.example")
    assert refused == "shop on production has the name a.example on this machine"
    assert "c.example" in machine.claim("blog", "c.example")
    assert machine.files() == before
    assert machine.had("blog") == {"clear": [], "secure": [], "door": None}
    assert machine.claim("blog", "b.example") == ""
    assert machine.claim("shop", "a.example") == ""
    assert machine.files() == {"secure/a.example", "secure/b.example", "to/a.example", "to/b.example"}


@pytest.mark.parametrize(("form", "tail"), [("1", "/door.sock"), ("2", ""), ("3", "")])
def test_a_name_is_a_link_that_the_door_of_the_machine_knows(machine: Machine, form: str, tail: str) -> None:
    """One of a form before lanes serves the name, too, until it is replaced."""
    machine.engine = f"echo {form}"
    assert machine.claim("shop", "a.example") == ""
    assert (machine.door / "to/a.example").readlink() == Path(f"../apps/shop/production/now{tail}")


def test_what_others_have_is_seen(machine: Machine) -> None:
    """Own names and those of others, with their owners."""
    machine.claim("shop", "a.example")
    machine.claim("blog", clear=(ANY_NAME,))
    seen = machine.run("shop", part("machine_door.sh") + "look_at_door\n").stdout.splitlines()
    assert seen == [f"taken clear _ {machine.home('blog')}", "own secure a.example"]


def test_leaving_takes_the_names_of_one_target_alone(machine: Machine) -> None:
    """And the folder of its socket."""
    machine.claim("shop", "a.example")
    machine.claim("blog", "b.example")
    for app in ("shop", "blog"):
        (machine.door / "apps" / app / "production").mkdir(parents=True)
    assert machine.run("shop", part("machine_door.sh") + "has_left\n").returncode == 1
    machine.run("shop", part("machine_door.sh") + "leave_door\n")
    assert machine.run("shop", part("machine_door.sh") + "has_left\n").returncode == 0
    assert machine.files() == {"secure/b.example", "to/b.example"}
    assert [one.name for one in (machine.door / "apps").glob("*/*")] == ["production"]


# The door itself


@pytest.fixture
def doors() -> Iterator[Doors]:
    with opened() as made:
        yield made


def test_names_lead_to_their_apps(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """By name to each app, from the moment that it is claimed to the moment that it is given back; else 404."""
    doors.open()
    until(lambda: doors.ask("a.example"), "the door answers")
    first = doors.app("shop", making(checkout, tmp_path / "1", "alone", "a.example"))
    second = doors.app("blog", making(checkout, tmp_path / "2", "alone", "b.example"))
    assert doors.machine.claim("shop", clear=("a.example",)) == ""
    found, nobody = doors.ask("a.example"), doors.ask("b.example")
    assert found is not None
    assert (found.status_code, found.json()["by"]) == (200, first)
    assert nobody is not None
    assert (nobody.status_code, nobody.content) == (404, b"")
    assert "via" not in {*found.headers, *nobody.headers}
    assert doors.machine.claim("blog", clear=("b.example", ANY_NAME)) == ""
    for host in ("b.example", "never.heard.of", "127.0.0.1", "_", "..", "*"):
        other = doors.ask(host)
        assert other is not None, host
        assert (other.status_code, other.json()["by"]) == (200, second), host
    doors.machine.claim("shop")
    moved = doors.ask("a.example")
    assert moved is not None
    assert moved.json()["by"] == second


def test_an_app_is_told_of_the_browser_and_of_nothing_that_it_claims(
    doors: Doors, checkout: Path, tmp_path: Path
) -> None:
    """Its address, how it came and which name it asked for: what it says of itself in headers is not believed."""
    doors.open()
    doors.app("shop", making(checkout, tmp_path / "1", "alone", "a.example"))
    doors.machine.claim("shop", clear=("a.example",))
    lies = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = until(lambda: doors.ask("a.example", **lies), "the door answers").json()
    assert answer == {
        "by": answer["by"],
        "Host": "a.example",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "a.example",
    }


def test_https_for_those_names_alone(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """A certificate is made when the first one asks; in clear they are sent there; no other name gets one."""
    doors.open()
    doors.app("shop", making(checkout, tmp_path / "1", "named", "a.example"))
    doors.machine.claim("shop", "app.example", clear=("c.example",))
    sent = until(lambda: doors.ask("app.example"), "the door answers")
    assert (sent.status_code, sent.headers["location"]) == (308, "https://app.example/x?y=1")
    answer = doors.ask_secure("app.example")
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["X-Forwarded-Proto"] == "https"
    assert answer.headers["strict-transport-security"]
    for host in ("c.example", "wrong.example", "127.0.0.1"):
        with pytest.raises(httpx.ConnectError):
            doors.ask_secure(host)
    with socket.create_connection(("127.0.0.1", doors.tls), timeout=10) as plain, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(plain, server_hostname="wrong.example")


def test_requests_wait_for_an_app_whose_door_restarts(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """The name is known, and nobody is at its socket yet: the answer comes once somebody is."""
    doors.open()
    doors.machine.claim("shop", clear=("a.example",))
    until(lambda: doors.ask("b.example"), "the door answers")
    held: list[httpx.Response | None] = []
    waiting = threading.Thread(target=lambda: held.append(doors.ask("a.example")))
    waiting.start()
    port = doors.app("shop", making(checkout, tmp_path / "1", "alone", "a.example"))
    waiting.join(30)
    assert held
    assert held[0] is not None
    assert held[0].json()["by"] == port
