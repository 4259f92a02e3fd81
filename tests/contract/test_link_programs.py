"""A host's end of a private link: settings, firewall rules and keys, made here by the shell that makes them there."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from towline.drivers.host.links import confirm_link, join_link, leave_link
from towline.drivers.host.programs import part, program, quote, settings
from towline.steps.kinds import inverse
from towline.steps.links import ConfirmLink, JoinLink, LeaveLink, Opening, Peer, link_to_json

if TYPE_CHECKING:
    from pathlib import Path

    from towline.drivers.host.batch import StepProgram

pytestmark = pytest.mark.needs("sh", "openssl", "flock", "ss")

PEERS = (
    Peer("back", "K2=", "10.200.0.2", "192.0.2.2:21000"),
    Peer("third", "K3=", "10.200.0.3", "[2001:db8::3]:21000"),
)
LINK = JoinLink("tl-0123456789", "10.200.0.1", 21000, PEERS, (Opening("db", 5432, ("10.200.0.2",)),))
LINES = "K2= 10.200.0.2 192.0.2.2:21000\nK3= 10.200.0.3 [2001:db8::3]:21000"


def sh(text: str) -> str:
    ran = subprocess.run(["sh", "-c", text], capture_output=True, check=False, timeout=30, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def told(call: str, home: str = "/var/lib/towline/shop/test") -> str:
    body = settings(home=home, interface=LINK.interface) + part("files.sh") + part("wireguard.sh")
    return sh(body + call)


@pytest.mark.parametrize(
    "step", [join_link(LINK), confirm_link(ConfirmLink(LINK.interface, PEERS)), leave_link(LeaveLink(LINK.interface))]
)
def test_steps_are_shell(step: StepProgram) -> None:
    """Whatever is filled in."""
    for text in (step.holds, step.before, step.apply):
        subprocess.run(["sh", "-n", "-c", text], check=True)


def test_the_settings_close_before_they_open() -> None:
    """The guard is up before the interface; nothing of them is a key but the peers' public ones."""
    said = told(f"link_settings 10.200.0.1 21000 {quote(LINES)} '5432 10.200.0.2'").splitlines()
    assert [
        line for line in said if line.startswith(("Address", "ListenPort", "PublicKey", "AllowedIPs", "Endpoint"))
    ] == [
        "Address = 10.200.0.1/32",
        "ListenPort = 21000",
        "PublicKey = K2=",
        "AllowedIPs = 10.200.0.2/32",
        "Endpoint = 192.0.2.2:21000",
        "PublicKey = K3=",
        "AllowedIPs = 10.200.0.3/32",
        "Endpoint = [2001:db8::3]:21000",
    ]
    guard = [line.partition("-t raw ")[2] for line in said if line.startswith("PreUp") and " -A " in line]
    assert guard == [
        "-A %i -s 10.200.0.2 -p tcp --dport 5432 -j RETURN",
        "-A %i -p tcp ! --syn -j RETURN",
        "-A %i -p icmp -j RETURN",
        "-A %i -j DROP",
    ]
    assert any("-I PREROUTING -d 10.200.0.1 ! -i %i -j DROP" in line for line in said)
    assert not [line for line in said if line.startswith("PrivateKey")]


def test_the_firewall_lets_in_peers_alone() -> None:
    """The link's packets by their sender, and forwarding to what is open."""
    assert told(f"link_rules 21000 {quote(LINES)} '5432 10.200.0.2'").splitlines() == [
        "allow in proto udp from 192.0.2.2 to any port 21000",
        "allow in proto udp from 2001:db8::3 to any port 21000",
        "route allow in on tl-0123456789 proto tcp from 10.200.0.2 to any port 5432",
    ]


def test_a_key_is_made_once_and_only_its_public_half_is_told(tmp_path: Path) -> None:
    """With openssl alone too; both halves are one pair, and the private one is nobody else's to read."""
    looked = program(str(tmp_path), "link_key\nlink_seen\n", "look_links.sh")
    first = sh(looked)
    assert sh(looked) == first
    word, public = first.split()
    assert word == "link_key"
    private = (tmp_path / "link/key").read_text().strip()
    assert private not in first
    assert [len(base64.b64decode(one)) for one in (public, private)] == [32, 32]
    assert (tmp_path / "link/key").stat().st_mode & 0o777 == 0o600
    again = f"302e020100300506032b656e04220420{base64.b64decode(private).hex()}"
    der = base64.b64encode(bytes.fromhex(again)).decode()
    made = sh(f"echo {der} | base64 -d | openssl pkey -inform DER -pubout -outform DER | tail -c 32 | base64")
    assert made.strip() == public


def test_who_holds_a_port_is_named() -> None:
    """The program and its number, and nobody for a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = sh(f"{part('look_ground.sh')}holder {port}").split()
        assert said[:2] == ["holds", str(port)]
        assert said[-2:] == ["(pid", f"{os.getpid()})"]
    assert sh(f"{part('look_ground.sh')}holder {port}") == ""


def test_the_way_back_of_a_link() -> None:
    """A new end is left again, a changed one is what it was, and one that was left is joined."""
    assert inverse(LINK, {"link": None}) == (LeaveLink(LINK.interface),)
    assert inverse(LINK, {"link": link_to_json(LINK)}) == (LINK,)
    assert inverse(LeaveLink(LINK.interface), {"link": link_to_json(LINK)}) == (LINK,)
    assert inverse(LeaveLink(LINK.interface), {"link": None}) == ()
    assert inverse(ConfirmLink(LINK.interface, PEERS), {}) == ()
