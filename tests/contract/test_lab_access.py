"""The files by which ssh reaches a lab's hosts, and the folder that a lab is named after: no host is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from towline.lab import access
from towline.lab.containers import Wish
from towline.lab.host import Lab, LabHost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> LabHost:
    """A host that nobody has made."""
    lab = Lab({"XDG_CACHE_HOME": str(tmp_path)}, tmp_path)
    lab.state.mkdir(parents=True)
    return LabHost(
        name="host1", number=1, state="running", address="127.0.0.1", port=20022, direct_port=20022, http_port=20080,
        https_port=20443, ipv4="10.70.1.11", ipv6="fd00::b", wish=Wish(), slow_ms=0, key=access.key_file(lab.state),
        known_hosts=access.known_hosts_file(lab.state, 1), lab=lab,
    )  # fmt: skip


def test_ssh_checks_the_host_and_reads_nothing_of_the_users(host: LabHost) -> None:
    """The host's key must be the known one, nothing of the user's configuration takes part, nothing is asked."""
    words = host.ssh_options()
    assert words[:2] == ("-F", "none")
    for wanted in (
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        f"UserKnownHostsFile={host.known_hosts}",
    ):
        assert wanted in words


def test_a_host_is_known_by_each_of_its_names(host: LabHost) -> None:
    """By name, by address, and by both ports while there is a slow way; a host without keys yet is known by none."""
    folder = host.lab.state
    access.write_access(folder, [host])
    assert not host.known_hosts.exists()
    access.remember(folder, 1, "ssh-ed25519 AAAA host1\necdsa-sha2-nistp256 BBBB host1")
    access.write_access(folder, [replace(host, port=20099)])
    lines = host.known_hosts.read_text().splitlines()
    assert [line.split()[1:] for line in lines] == [["ssh-ed25519", "AAAA"], ["ecdsa-sha2-nistp256", "BBBB"]]
    assert lines[0].split()[0] == "host1,10.70.1.11,fd00::b,[127.0.0.1]:20022,[127.0.0.1]:20099"
    assert "Port 20099" in host.lab.ssh_config.read_text()


def test_a_lab_is_its_folders(tmp_path: Path) -> None:
    """The same folder is the same lab, however it is named; another folder is another one."""
    (tmp_path / "a").mkdir()
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    assert Lab(environ, tmp_path / "a").name == Lab(environ, tmp_path / "b" / ".." / "a").name
    assert Lab(environ, tmp_path / "a").name != Lab(environ, tmp_path).name
    assert not Lab(environ, tmp_path).exists
