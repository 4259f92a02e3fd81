"""The folder of a machine's names and the doors of a machine and of its apps, all of them real, for tests."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.artifacts import host_door, machine_door
from towline.artifacts.host_bundle import Making, site_bundle
from towline.core.secret import Secret
from towline.drivers.host.machine_door import claim_names, lead_names
from towline.drivers.host.programs import part, settings
from towline.steps.door import ClaimNames, LeadNames, PublicNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.drivers.host.batch import StepProgram

CADDY = str(Path(sys.executable).with_name("caddy"))


def making(checkout: Path, into: Path, target: str, host: str, options: dict[str, str] | None = None) -> Making:
    """Cooly on one host: `web` is what people see first, `api` another web service, `files` a public bucket."""
    made = material(checkout, "cooly", target, into)
    values = {one.setting: Secret("value") for one in made.variables if one.setting}
    told = {"REGISTRY": "registry.example", "VERSION": "7", "PUBLIC_HOST": host}
    site = made.target.sites[0]
    site = replace(site, options={**site.options, **(options or {})})
    return Making(made, site, {}, values | {name: Secret(text) for name, text in told.items()}, b"salt")


@dataclass
class Machine:
    """The folder of a machine on which targets have names."""

    folder: Path
    engine: str = "false"
    """What stands for the engine of containers, of which there is none here."""

    def home(self, app: str) -> Path:
        return self.folder / "towline" / app / "production"

    @property
    def door(self) -> Path:
        return self.folder / "towline" / ".door"

    def run(self, app: str, body: str) -> subprocess.CompletedProcess[str]:
        """A program of a step, as a batch runs it; there is no engine here."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        begin = (
            settings(home=str(self.home(app)), work=str(work)) + part("words.sh") + f"docker() {{ {self.engine}; }}\n"
        )
        own = body.replace(part("docker.sh"), "")
        return subprocess.run(["sh", "-c", begin + own], capture_output=True, text=True, check=False, timeout=60)

    def claim(self, app: str, *secure: str, clear: tuple[str, ...] = ()) -> str:
        """Claim names for an app; what is said when that is refused."""
        ran = self.run(app, program(*secure, clear=clear).apply)
        assert ran.stderr == ""
        return "" if ran.returncode == 0 else (self.folder / "work/sentence").read_text().strip()

    def holds(self, app: str, *secure: str, clear: tuple[str, ...] = ()) -> bool:
        return self.run(app, program(*secure, clear=clear).holds).returncode == 0

    def lead(self, app: str, revision: str) -> None:
        """Lead the names of an app to the front door of this revision, which has to be there."""
        ran = self.run(app, lead_names(LeadNames(revision)).apply)
        assert ran.returncode == 0, ran.stderr

    def had(self, app: str) -> object:
        return json.loads(self.run(app, program().before).stdout)

    def files(self) -> set[str]:
        return {f"{one.parent.name}/{one.name}" for one in self.door.glob("[cst]*/*")}


def program(*secure: str, clear: tuple[str, ...] = ()) -> StepProgram:
    return claim_names(ClaimNames(PublicNames(tuple(sorted(clear)), tuple(sorted(secure)))))


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was told of the browser."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = {name: self.headers[name] for name in self.headers if name.lower().startswith("x-forwarded")}
        sent = int(self.headers["Content-Length"] or 0)
        if sent:
            told["sent"] = self.rfile.read(sent).decode()
        body = json.dumps({**told, "Host": self.headers["Host"], "by": self.connection.getsockname()[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # the server looks for this name

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Doors:
    """The door of a machine and front doors of apps behind it, all of them real."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.machine, self.port, self.tls = Machine(folder), free_port(), free_port()
        self._folder, self._closing = folder, closing
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def open(self) -> None:
        """Start the machine's door, with its folder and ports moved to where a test may have them."""
        self.machine.door.mkdir(parents=True, exist_ok=True)
        text = machine_door.config("internal").replace("/door/", f"{self.machine.door}/")
        text = text.replace("127.0.0.1:80/", f"127.0.0.1:{self.port}/")
        plain = json.loads(
            text.replace('":80"', f'"127.0.0.1:{self.port}"').replace('":443"', f'"127.0.0.1:{self.tls}"')
        )
        self._run(plain, "machine")

    def app(self, name: str, making: Making, revision: str = "r1", *, lead: bool = True) -> int:
        """Start an app's front door and the app behind it; the port by which it tells itself apart.

        Its names lead there from then on, if `lead`.
        """
        server = self._closing.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self._closing.callback(server.shutdown)
        place = self.machine.door / "apps" / name / "production" / revision
        slots = self._folder / f"slots-{name}-{revision}"
        place.mkdir(parents=True, exist_ok=True)
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
        self._run(plain, f"{name}-{revision}")
        until((place / host_door.SOCKET).exists, "the socket of the app", 20)
        if lead:
            self.machine.lead(name, revision)
        return server.server_port

    def leave(self, name: str) -> None:
        """End a front door once nobody has a connection to it, as a farewell does."""
        process = self.running[name]
        asks = f"{part('docker.sh')}at_socket {process.pid}\n"
        until(lambda: subprocess.check_output(["sh", "-c", asks]) == b"0\n", f"nobody is at {name}", 30)
        process.terminate()
        process.wait(40)

    def say(self, text: str) -> bytes:
        """What comes back for a request that is sent as it stands, to its end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain:
            plain.sendall(text.encode())
            return b"".join(iter(lambda: plain.recv(65536), b""))

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
        self.running[name] = process
        self._closing.callback(process.wait, 40)
        self._closing.callback(process.terminate)


@contextmanager
def opened() -> Iterator[Doors]:
    """Doors in a folder with a short name: the address of a socket has 107 characters at most."""
    with ExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="door-"))
        yield Doors(Path(folder), closing)
