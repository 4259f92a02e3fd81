"""An app whose target `production` is on a lab host: what its operator types, and what its browsers get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.real_servers import until

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import LabHost

ON_HOSTS = (
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
)
"""The marks of a file whose tests need hosts of the lab."""

WEB = """
import http.server, os, signal, sys, threading, time
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        hold = self.path == "/hold"
        body = os.environ["TEXT"].encode() + b"." * int(self.headers.get("X-Fill", 0))
        self.send_response(200)
        self.send_header("Content-Length", "1000000" if hold else str(len(body)))
        self.end_headers()
        while hold:
            self.wfile.write(b".")
            time.sleep(0.1)
        self.wfile.write(body)
    def log_message(self, *_):
        pass
if os.environ["TEXT"] == "broken":
    sys.exit("it does not start: no such text")
print("serving", os.environ["TEXT"], flush=True)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
"""
"""A web service on port 8000 that says its TEXT, and that and `X-Fill` dots; `/hold` is answered without an end."""


@dataclass
class HostedApp:
    """The project of an app, and the host that its browsers ask."""

    folder: Path
    host: LabHost

    @property
    def environ(self) -> dict[str, str]:
        """What its operator's programs see; keys of the vault lie beside the project."""
        return {**os.environ, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}

    def towline(self, *words: str, given: str | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, with `given` on its standard input and changes of its environment."""
        return subprocess.run(
            argv(*words), cwd=self.folder, env=self.environ | changes,
            capture_output=True, text=True, check=False, input=given,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command in the project; both of its streams come as one."""
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(argv(*words), cwd=self.folder, env=self.environ, stdout=pipe, stderr=both, text=True)

    def said(self, *words: str, given: str | None = None) -> str:
        """What a command that must succeed says, on both streams."""
        done = self.towline(*words, given=given)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def told(self, *words: str) -> dict[str, Any]:
        """What a command that must succeed says as JSON."""
        done = self.towline(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def deploy(self) -> dict[str, Any]:
        """Deploy; it must succeed. What it says as JSON."""
        return self.told("deploy", "production", "--yes")

    def answers(self) -> str:
        """What a browser gets."""
        return httpx.get(f"http://{self.host.ipv4}/", headers={"Host": self.host.name}, timeout=20).text

    def comes_back(self, text: str) -> None:
        """Wait until browsers get this text again."""
        until(lambda: self._says(text), f"{text!r} is answered", 150)

    def _says(self, text: str) -> bool:
        try:
            return self.answers() == text
        except httpx.HTTPError:
            return False

    def mend(self) -> None:
        """Deploy what the files say; what was broken off is taken back, once the lock of its operator runs out."""

        def deployed() -> bool:
            if self.towline("deploy", "production", "--yes").returncode == 0:
                return True
            self.towline("rollback", "-t", "production")
            return False

        until(deployed, "the app is well again", 180)


def argv(*words: str) -> list[str]:
    """The command line, as a program of its own."""
    return [sys.executable, "-m", "towline.cli.main", *words]


def awake(host: LabHost) -> LabHost:
    """The host as it is now, on, whatever was done to it."""
    return host.lab.add(host.number, host.wish)
