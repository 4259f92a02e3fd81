"""The door of a machine as the real Caddy runs it, over the front doors of two apps; and the names as files."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.artifacts import host_door, machine_door
from towline.artifacts.host_bundle import Making, site_bundle
from towline.core.secret import Secret
from towline.drivers.host.machine_door import claim_names
from towline.drivers.host.programs import part, settings
from towline.steps.door import ANY_NAME, ClaimNames, PublicNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.drivers.host.batch import StepProgram

CADDY = str(Path(sys.executable).with_name("caddy"))
OWN = "shop.example"


# The names of an app


def making(checkout: Path, into: Path, target: str, host: str, options: dict[str, str] | None = None) -> Making:
    """Cooly on one host: `web` is what people see first, `api` another web service, `files` a public bucket."""
    made = material(checkout, "cooly", target, into)
    values = {one.setting: Secret("value") for one in made.variables if one.setting}
    told = {"REGISTRY": "registry.example", "VERSION": "7", "PUBLIC_HOST": host}
    site = made.target.sites[0]
    site = replace(site, options={**site.options, **(options or {})})
    return Making(made, site, {}, values | {name: Secret(text) for name, text in told.items()}, b"salt")


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


@dataclass
class Machine:
    """The folder of a machine on which targets have names."""

    folder: Path

    def home(self, app: str) -> Path:
        return self.folder / "towline" / app / "production"

    @property
    def door(self) -> Path:
        return self.folder / "towline" / ".door"

    def run(self, app: str, body: str) -> subprocess.CompletedProcess[str]:
        """A program of a step, as a batch runs it; there is no engine here."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        begin = settings(home=str(self.home(app)), work=str(work)) + part("words.sh") + "docker() { false; }\n"
        own = body.replace(part("docker.sh"), "")
        return subprocess.run(["sh", "-c", begin + own], capture_output=True, text=True, check=False, timeout=60)

    def claim(self, app: str, *secure: str, clear: tuple[str, ...] = ()) -> str:
        """Claim names for an app; what is said when that is refused."""
        ran = self.run(app, program(*secure, clear=clear).apply)
        assert ran.stderr == ""
        return "" if ran.returncode == 0 else (self.folder / "work/sentence").read_text().strip()

    def holds(self, app: str, *secure: str, clear: tuple[str, ...] = ()) -> bool:
        return self.run(app, program(*secure, clear=clear).holds).returncode == 0

    def had(self, app: str) -> object:
        return json.loads(self.run(app, program().before).stdout)

    def files(self) -> set[str]:
        return {f"{one.parent.name}/{one.name}" for one in self.door.glob("[cst]*/*")}


def program(*secure: str, clear: tuple[str, ...] = ()) -> StepProgram:
    return claim_names(ClaimNames(PublicNames(tuple(sorted(clear)), tuple(sorted(secure)))))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


pytestmark = pytest.mark.needs("sh", "flock")


def test_names_are_claimed_changed_and_given_back(machine: Machine) -> None:
    """A claim is the whole list; each name leads to the owner's socket; what was there before is told."""
    assert not machine.holds("shop", "a.example")
    assert machine.claim("shop", "a.example", "b.example", clear=(ANY_NAME,)) == ""
    assert machine.holds("shop", "a.example", "b.example", clear=(ANY_NAME,))
    assert (machine.door / "to/a.example").readlink() == Path("../apps/shop/production/now/door.sock")
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


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was told of the browser."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = {name: self.headers[name] for name in self.headers if name.lower().startswith("x-forwarded")}
        body = json.dumps({**told, "Host": self.headers["Host"], "by": self.connection.getsockname()[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Doors:
    """The door of a machine and front doors of apps behind it, all of them real."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.machine, self.port, self.tls = Machine(folder), free_port(), free_port()
        self._folder, self._closing = folder, closing

    def open(self) -> None:
        """Start the machine's door, with its folder and ports moved to where a test may have them."""
        self.machine.door.mkdir(parents=True, exist_ok=True)
        text = machine_door.config("internal").replace('"/door/', f'"{self.machine.door}/')
        text = text.replace("unix//door", f"unix/{self.machine.door}").replace(
            "127.0.0.1:80/", f"127.0.0.1:{self.port}/"
        )
        plain = json.loads(
            text.replace('":80"', f'"127.0.0.1:{self.port}"').replace('":443"', f'"127.0.0.1:{self.tls}"')
        )
        self._run(plain, "machine")

    def app(self, name: str, making: Making) -> int:
        """Start an app's front door and the app behind it; the port by which it tells itself apart."""
        server = self._closing.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self._closing.callback(server.shutdown)
        place = self.machine.door / "apps" / name / "production/now"
        slots = self._folder / f"slots-{name}"
        place.mkdir(parents=True)
        slots.mkdir()
        for service in ("web", "api"):
            for number in range(1, host_door.SLOTS + 1):
                (slots / host_door.slot(service, number)).write_text(f"127.0.0.1:{server.server_port}")
        part_of = site_bundle(making)
        assert part_of.door is not None
        text = part_of.contents[part_of.door.settings["routes"]].reveal()
        plain = json.loads(text.replace(host_door.SOCKETS, "@sockets").replace(f"{host_door.FOLDER}/", f"{slots}/"))
        text = json.dumps(plain).replace("@sockets", str(place))
        plain = json.loads(text)
        servers = plain["apps"]["http"]["servers"]
        plain["apps"]["http"]["servers"] = {"front": servers["front"]}
        self._run(plain, name)
        until((place / host_door.SOCKET).exists, "the socket of the app", 20)
        return server.server_port

    def ask(self, host: str, **headers: str) -> httpx.Response | None:
        """What a browser gets in clear; None while there is nobody."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/x?y=1", headers={"Host": host, **headers}, timeout=30)
        except httpx.TransportError:
            return None

    def ask_secure(self, host: str) -> httpx.Response:
        """The same by https; httpx.ConnectError where there is no certificate."""
        with httpx.Client(verify=False, timeout=30) as client:
            extensions = {"sni_hostname": host}
            return client.get(f"https://127.0.0.1:{self.tls}/", headers={"Host": host}, extensions=extensions)

    def _run(self, plain: dict[str, object], name: str) -> None:
        plain["admin"] = {"disabled": True}
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(plain))
        subprocess.run([CADDY, "validate", "--config", str(path)], check=True, capture_output=True)
        environ = {"HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder / f"data-{name}")}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([CADDY, "run", "--config", str(path)], stdout=log, stderr=log, env=environ)
        self._closing.callback(process.wait, 40)
        self._closing.callback(process.terminate)


@pytest.fixture
def doors() -> Iterator[Doors]:
    """In a folder with a short name: the address of a socket has 107 characters at most."""
    with ExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="door-"))
        yield Doors(Path(folder), closing)


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
