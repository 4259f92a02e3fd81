"""The rendered server script on a real Debian 13: run twice, then looked at from a neighbour, over IPv4 and IPv6."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.unit.artifact_scenes import app, service, store
from tests.unit.test_render_server_setup import material

from towline.artifacts import cloud_init
from towline.lab.containers import Wish
from towline.lab.images import bake
from towline.spec.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap", "ssh")

PYTHON = "python:3.11-slim"
WITHIN = 400.0
# Not in a host of a lab: its swap and its vm settings are those of this whole machine.
CALL = "SWAP_MB=0 sh -s"


@dataclass(frozen=True)
class Pair:
    """The server, a neighbour on the same network, and the script that was run on the server."""

    server: LabHost
    neighbour: LabHost
    script: str


def ssh(host: LabHost, user: str, program: str, given: str = "") -> subprocess.CompletedProcess[str]:
    words = ["ssh", *host.ssh_options(), f"{user}@{host.address}", program]
    return subprocess.run(words, input=given, capture_output=True, text=True, check=False, timeout=WITHIN)


def told(ran: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ran.stdout.splitlines() if line.startswith("setup: ")]


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[Pair]:
    """Two new machines, off at the end; the script has run on the first, as root and over SSH, as SETUP.md says."""
    made = material(app(service("api"), stores=(store("db", "postgres"),)), Site("box", "host"))
    script = next(file.text for file in cloud_init.files(made) if file.path == "server-setup.sh")
    server, neighbour = (lab.add(number, Wish("trixie")) for number in (7, 8))
    first = ssh(server, "root", CALL, script)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    assert told(first)[-1].startswith("setup: done")
    yield Pair(server, neighbour, script)
    server.cut()
    neighbour.cut()


def test_a_second_run_changes_nothing(pair: Pair) -> None:
    """It runs as whoever deploys, through sudo, and has nothing to write."""
    again = ssh(pair.server, "deploy", f"sudo {CALL}", pair.script)
    assert again.returncode == 0, again.stderr[-2000:]
    assert [line for line in told(again) if "wrote" in line] == []


def test_only_the_key_of_the_deploying_account_opens_it(pair: Pair) -> None:
    """Root's login and passwords are refused; the account has Docker with Compose 2, and the app's folder."""
    assert ssh(pair.server, "root", "true").returncode == 255
    found = ssh(pair.server, "deploy", "sudo sshd -T; docker compose version --short; ls -d apps/shop").stdout
    assert {"permitrootlogin no", "passwordauthentication no", "apps/shop"} <= set(found.splitlines())
    assert any(line.lstrip("v").startswith("2.") for line in found.splitlines())


def test_everything_that_guards_it_runs(pair: Pair) -> None:
    """Firewall, bans with their jail, automatic updates that leave Docker alone, the weekly cleaning: all are on."""
    units = ("ufw", "fail2ban", "unattended-upgrades", "docker", "shop-prune.timer")
    assert ssh(pair.server, "deploy", f"systemctl is-active {' '.join(units)}").stdout.split() == ["active"] * len(
        units
    )
    assert "Jail list:\tsshd" in ssh(pair.server, "deploy", "sudo fail2ban-client status").stdout
    upgrades = ssh(pair.server, "deploy", "sudo unattended-upgrade --dry-run --debug 2>&1").stdout
    assert "docker" in next(line for line in upgrades.splitlines() if line.startswith("Initial blacklist"))
    assert ssh(pair.server, "deploy", "sudo systemctl start shop-prune && systemctl --failed --quiet").returncode == 0


def test_a_published_port_is_closed_to_everybody_outside(pair: Pair) -> None:
    """Docker opens 9000 past the firewall: a neighbour gets in by neither address family, nor by the container's own.

    80 is the front door: it is open by both, and containers reach each other.
    """
    bake(pair.server.lab.docker, (PYTHON,))
    pair.server.load(PYTHON)
    serve = f"{PYTHON} python -m http.server --bind :: 8000"
    start = f"docker run -d --name door -p 80:8000 {serve} && docker run -d --name inner -p 9000:8000 {serve}"
    assert ssh(pair.server, "deploy", start).returncode == 0
    look = "for one in 1 2 3 4 5 6 7 8 9; do curl -sf -o /dev/null localhost:9000 && break; sleep 0.5; done"
    assert ssh(pair.server, "deploy", look).returncode == 0
    address = ssh(pair.server, "deploy", "docker inspect -f '{{.NetworkSettings.IPAddress}}' inner").stdout.strip()
    pair.neighbour.inside(f"ip route replace {address}/32 via {pair.server.ipv4}")
    hosts = (pair.server.ipv4, f"[{pair.server.ipv6}]")
    assert [answers(pair, f"http://{host}/") for host in hosts] == [True, True]
    assert [answers(pair, f"http://{host}:9000/") for host in hosts] == [False, False]
    assert not answers(pair, f"http://{address}:8000/")
    inner = f"python -c \"import urllib.request as r; r.urlopen('http://{address}:8000', timeout=5)\""
    assert ssh(pair.server, "deploy", f"docker exec door {inner}").returncode == 0


def answers(pair: Pair, url: str) -> bool:
    """Whether the neighbour gets an answer."""
    return pair.neighbour.inside(f"curl --globoff --silent --max-time 4 --output /dev/null '{url}'").status == 0


def test_nobody_is_locked_out_without_a_key(pair: Pair) -> None:
    """Where neither account has a key that works, SSH stays as it was, and the script says why it ends."""
    bare = pair.neighbour
    bare.inside("mv /root/.ssh/authorized_keys /root/kept && echo 'ssh-ed25519 REPLACE' > /root/.ssh/authorized_keys")
    functions = pair.script.partition("\nif [ ")[0]
    account = "id deploy >/dev/null 2>&1 || useradd --create-home deploy\nkeys=/home/deploy/.ssh/none"
    step = f"{functions}\n{account}\nssh_keys_only"
    ran = bare.inside(f"cat > /tmp/step <<'STEP'\n{step}\nSTEP\nsh /tmp/step; echo $?; ls /etc/ssh/sshd_config.d")
    bare.inside("mv /root/kept /root/.ssh/authorized_keys")
    assert "deploy has no SSH key" in ran.stderr
    assert ran.stdout.splitlines()[0] == "1"
    assert "00-shop.conf" not in ran.stdout
