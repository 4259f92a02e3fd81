"""Two lab hosts for the tests of `provision`: one that is hardened by the command line, one that stands outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.real_servers import until

if TYPE_CHECKING:
    from towline.lab.host import Lab, LabHost

SEEDED = '{"experimental": true, "ip6tables": true, "ipv6": true, "fixed-cidr-v6": "fd00:d0c::/64"}'
"""Settings that were there before: containers have routed IPv6 addresses, and Docker rewrites IPv6 ports too."""

PUBLISHED, LOOPBACK, PLAIN = 9000, 9001, 9100
"""A port that Docker publishes everywhere, one that it publishes on loopback, one of a process of the host itself."""

OPEN = (80, 443)

STATE = (
    "find /etc /usr/local /home /var/lib/towline -type f -exec sha256sum {} + 2>/dev/null | sort | sha256sum\n"
    "dpkg -l | sha256sum"
)
"""What nothing may change that only looks."""

# Ends when it is asked to, as no first process of a container does by itself: else a reboot waits for it.
_SERVER = (
    "import http.server as h, signal, sys; signal.signal(15, lambda *_: sys.exit());"
    "h.test(h.SimpleHTTPRequestHandler, h.ThreadingHTTPServer, bind='::', port=8000)"
)

# Containers see the host's own programs, so no image has to travel.
SERVE = f"""
set -eu
mkdir -p /tmp/image/usr /tmp/image/etc /tmp/image/tmp /tmp/image/proc /tmp/image/dev
for one in bin sbin lib lib64; do ln -sfn "usr/$one" "/tmp/image/$one"; done
tar -C /tmp/image -c . | docker import --change 'ENV PATH=/usr/bin:/bin' - host-programs >/dev/null
serve() {{
    name=$1
    shift
    docker run --detach --restart always --name "$name" --volume /usr:/usr:ro --volume /etc:/etc:ro "$@" \\
        host-programs python3 -c "{_SERVER}" >/dev/null
}}
serve published --publish {PUBLISHED}:8000
serve loopback --publish 127.0.0.1:{LOOPBACK}:8000
serve door --publish 80:8000 --publish 443:8000
"""

LISTEN = f"""
systemctl is-active --quiet plain || systemd-run --quiet --unit plain python3 -m http.server --bind :: {PLAIN}
until curl --silent --output /dev/null http://127.0.0.1:{PLAIN}/; do sleep 0.1; done
"""
"""A program of the host itself, which a reboot ends."""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer as data."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Scene:
    """A host and its neighbour, and the machine of the operator between them."""

    lab: Lab
    number: int
    outside: int

    @property
    def host(self) -> LabHost:
        """The host as it is now."""
        return self.lab.host(self.number)

    def arguments(self, *words: str, host: str | None = None) -> list[str]:
        """The command line of `towline provision`, with the lab's keys."""
        return [
            "provision", host or f"root@{self.host.name}", *words, "--swap", "500MB",
            "--ssh-config", str(self.lab.ssh_config), "--key", f"{self.host.key}.pub",
        ]  # fmt: skip

    def provision(self, *words: str, host: str | None = None) -> Ran:
        """Run it to its end."""
        return command(*self.arguments(*words, host=host))

    def answered(self, answer: str) -> Ran:
        """Run it at a terminal, where a person answers its question."""
        ours, theirs = os.openpty()
        try:
            os.write(ours, f"{answer}\n".encode())
            return _run([sys.executable, "-m", "towline.cli.main", *self.arguments()], stdin=theirs)
        finally:
            os.close(ours)
            os.close(theirs)

    def drift(self) -> set[str]:
        """The items that `--check` finds not to hold; its exit status must say the same."""
        ran = self.provision("--check", "--json")
        assert ran.status in {0, 10}, ran
        lacking = {one["item"] for one in ran.json["items"] if not one["holds"]}
        assert (ran.status == 10) == bool(lacking)
        return lacking

    def inside(self, program: str, *, within: float = 120.0) -> str:
        """What a program prints that root runs on the host, past its doors; it must succeed."""
        ran = self.lab.inside(self.number, f"set -eu\n{program}", within=within)
        assert ran.status == 0, ran
        return ran.stdout

    def beside(self, program: str, *, within: float = 120.0) -> str:
        """What a program prints on the neighbour; it must succeed."""
        ran = self.lab.inside(self.outside, program, within=within)
        assert ran.status == 0, ran
        return ran.stdout

    def login(self, user: str, *options: str) -> Ran:
        """An ssh connection of its own from the operator's machine, with the lab's key."""
        argv = ["ssh", "-F", str(self.lab.ssh_config), *options, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        return _run([*argv, f"{user}@{self.host.name}", "sudo -n id -u"])

    def answers_beside(self, urls: dict[str, str]) -> dict[str, bool]:
        """Which of these addresses answer to the neighbour within two seconds, asked all at once."""
        asked = "".join(
            f'(curl --globoff --silent --output /dev/null --max-time 2 "{url}" && echo "{name}") &\n'
            for name, url in urls.items()
        )
        told = self.beside(f"{asked}wait\n").split()
        return {name: name in told for name in urls}

    def doors(self) -> dict[str, bool]:
        """What the neighbour reaches: every port over IPv4 and IPv6, and the containers that it has routes to."""
        host = self.host
        self.inside(LISTEN)
        urls = {
            f"{port}/{family}": f"http://{address}:{port}/"
            for port in (PUBLISHED, LOOPBACK, PLAIN, *OPEN)
            for family, address in (("ipv4", host.ipv4), ("ipv6", f"[{host.ipv6}]"))
        }
        four, six = self.inside(
            "docker inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}}' loopback"
        ).split()
        self.beside(f"ip route replace {four}/32 via {host.ipv4}\nip -6 route replace {six}/128 via {host.ipv6}\n")
        return self.answers_beside(
            {**urls, "routed/ipv4": f"http://{four}:8000/", "routed/ipv6": f"http://[{six}]:8000/"}
        )


def command(*words: str) -> Ran:
    """Run the command line as a user would, without a terminal."""
    return _run([sys.executable, "-m", "towline.cli.main", *words])


def serve(scene: Scene) -> None:
    """Start what the doors lead to, and wait until it all answers from within."""
    scene.inside(SERVE)
    ports = " ".join(str(port) for port in (PUBLISHED, LOOPBACK, *OPEN))
    ask = (
        f"for port in {ports}; do curl --silent --output /dev/null --max-time 2 http://127.0.0.1:$port/ || exit 1; done"
    )
    until(lambda: scene.lab.inside(scene.number, ask, within=60).status == 0, "everything answers from within")


def _run(argv: list[str], stdin: int = subprocess.DEVNULL) -> Ran:
    ran = subprocess.run(
        argv, stdin=stdin, capture_output=True, text=True, timeout=280, check=False, env=dict(os.environ)
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
