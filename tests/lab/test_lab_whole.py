"""A lab as a whole: what is left of it, what it never touches, and what becomes of one that was killed half-way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.lab_slot import spare_lab
from tests.real_servers import until

from towline.core.errors import SiteUnreachable, StepFailed
from towline.core.events import ignore
from towline.lab import containers, machine, network, slow
from towline.lab.containers import LAB_LABEL
from towline.lab.host import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.docker import LabDocker

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "losetup", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]

MIB = 1024**2

UP = """
import os, sys
from pathlib import Path
from towline.lab.host import Lab
with Lab(os.environ, Path(sys.argv[1])) as lab:
    lab.up(1)
    print("up", flush=True)
"""


@pytest.fixture
def spare(checkout_name: str) -> Iterator[Lab]:
    """A lab of the test's own, with no host yet."""
    with spare_lab(checkout_name) as lab:
        yield lab


def labelled(docker: LabDocker, label: str) -> list[str]:
    """Every container, volume and network with this label."""
    filtered = ("--quiet", "--filter", f"label={label}")
    return [
        *docker.run("container", "ls", "--all", *filtered).split(),
        *docker.run("volume", "ls", *filtered).split(),
        *docker.run("network", "ls", *filtered).split(),
    ]


def disks_in_use() -> set[str]:
    """The files behind this machine's loop devices, by device and inode number."""
    asked = subprocess.run(
        ["losetup", "--noheadings", "--output", "BACK-MAJ:MIN,BACK-INO"], capture_output=True, text=True, check=True
    )
    return {" ".join(line.split()) for line in asked.stdout.splitlines()}


def disk_of(lab: Lab, number: int) -> str:
    """A host's disk as `disks_in_use` names it."""
    folder = lab.docker.run("volume", "inspect", "--format", "{{.Mountpoint}}", f"towline-lab-{lab.name}-{number}")
    told = Path(folder.strip(), "root.img").stat()
    return f"{os.major(told.st_dev)}:{os.minor(told.st_dev)} {told.st_ino}"


def test_down_leaves_nothing_and_touches_nothing_else(spare: Lab) -> None:
    """Containers, disks, network, keys, slow ways and loop devices are gone; a stranger's container stays."""
    docker = spare.docker
    (host,) = spare.up(1, memory=256 * MIB)
    stranger = f"towline-lab-{spare.name}-2"  # named like one of ours, but without our label
    docker.ask("rm", "--force", stranger)
    docker.run("run", "--detach", "--name", stranger, "--entrypoint", "sleep", "towline-lab/host:bookworm", "1000")
    try:
        assert host.ssh(f"head -c {700 * MIB} /dev/zero | tail >/dev/null").status != 0, "more memory than it has"
        assert host.ssh("echo alive").stdout == "alive\n"
        host.slow(20)
        way = slow.standing(spare.state / "host1.slow")
        disk = disk_of(spare, 1)
        assert way is not None
        assert disk in disks_in_use()
        assert labelled(docker, f"{LAB_LABEL}={spare.name}")
        spare.down()
        assert labelled(docker, f"{LAB_LABEL}={spare.name}") == []
        assert not spare.state.exists()
        assert not spare.exists
        assert not _lives(way.pid)
        until(lambda: disk not in disks_in_use(), "the loop device is given back")
        assert docker.run("container", "inspect", "--format", "{{.State.Status}}", stranger).strip() == "running"
        spare.down()
    finally:
        docker.run("rm", "--force", stranger)


def test_a_frozen_and_a_cut_host_go_down_too(spare: Lab) -> None:
    """No fault has to be ended before `down`."""
    first, second = spare.up(2)
    first.freeze()
    second.cut()
    spare.down()
    assert labelled(spare.docker, f"{LAB_LABEL}={spare.name}") == []


@pytest.mark.parametrize("after", ["network", "volume", "container"])
def test_one_that_was_killed_half_way_is_completed(spare: Lab, after: str) -> None:
    """Killed as soon as the first thing of a kind is there: the next `up` completes the lab."""
    _kill_when(spare, after)
    (host,) = spare.up(1)
    assert host.ssh("systemctl is-system-running").stdout == "running\n"


@pytest.mark.parametrize("after", ["network", "container"])
def test_one_that_was_killed_half_way_is_removed(spare: Lab, after: str) -> None:
    """Killed as soon as the first thing of a kind is there: the next `down` removes it all."""
    _kill_when(spare, after)
    spare.down()
    assert labelled(spare.docker, f"{LAB_LABEL}={spare.name}") == []
    assert not spare.state.exists()


def test_a_slow_way_ends_with_its_lab(spare: Lab) -> None:
    """Its process ends by itself when the lab's files are gone, and when another way takes its place."""
    (host,) = spare.up(1)
    host.slow(10)
    file = spare.state / "host1.slow"
    first = slow.standing(file)
    host.slow(20)
    second = slow.standing(file)
    assert first is not None
    assert second is not None
    assert not _lives(first.pid)
    file.unlink()
    until(lambda: not _lives(second.pid), "the process has seen that it is not wanted")


def test_two_labs_do_not_meet(spare: Lab, tmp_path: Path) -> None:
    """Another folder is another lab: other names, other subnets, and no way from one to the other."""
    (host,) = spare.up(1)
    with Lab(os.environ, tmp_path) as lab:
        try:
            (stranger,) = lab.up(1)
            assert stranger.ipv4 != host.ipv4
            assert stranger.ipv6 != host.ipv6
            program = f"python3 -c \"import socket; socket.create_connection(('{stranger.ipv4}', 22), 2)\""
            assert host.ssh(program).status != 0
            assert [one.name for one in spare.hosts()] == ["host1"]
        finally:
            lab.down()
        assert host.ssh("echo here").stdout == "here\n"


def test_a_taken_subnet_is_left_alone(spare: Lab) -> None:
    """Where the first subnet is somebody else's, the next one is taken."""
    name, label = f"towline-lab-{spare.name}", f"{LAB_LABEL}={spare.name}"
    first = network.joined(spare.docker, name, label)
    spare.docker.run("network", "rm", name)
    theirs = f"towline-test-{spare.name}"
    spare.docker.run("network", "create", "--subnet", str(first.subnet4), theirs)
    try:
        second = network.joined(spare.docker, name, label)
        assert not second.subnet4.overlaps(first.subnet4)
        assert network.joined(spare.docker, name, label) == second
    finally:
        spare.docker.run("network", "rm", theirs)


def test_a_host_that_does_not_come_up_says_why_and_is_left_off(spare: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without loop devices the host's own last words are in the error, and it does not try for ever."""
    without = tuple(word for word in containers._CONFINED_BY_LESS if "device" not in word and " rmw" not in word)
    monkeypatch.setattr(containers, "_CONFINED_BY_LESS", without)
    with pytest.raises(StepFailed, match="host1 does not come up") as failed:
        spare.up(1)
    assert any("this machine has no loop devices" in line for line in failed.value.evidence)
    assert spare.host(1).state == "off"


def test_what_is_missing_is_named_with_the_line_to_type(
    spare: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mmdebstrap or ssh the error says so before anything is made, and a Debian that fails shows its reason."""
    docker = subprocess.run(["which", "docker"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "docker").symlink_to(docker)
    monkeypatch.setattr(machine, "SUITES", ("no-such-suite",))
    with pytest.raises(StepFailed, match="did not make a Debian") as failed:
        machine.host_image(spare.docker, "no-such-suite", with_docker=False, listener=ignore)
    assert any("mmdebstrap failed" in line for line in failed.value.evidence)
    with monkeypatch.context() as patched:
        patched.setattr(spare.docker, "environment", {**spare.docker.environment, "PATH": str(tmp_path)})
        with pytest.raises(SiteUnreachable, match="mmdebstrap is needed") as missing:
            machine.host_image(spare.docker, "no-such-suite", with_docker=False, listener=ignore)
    assert "mmdebstrap" in str(missing.value.hint)
    with pytest.raises(SiteUnreachable, match="ssh and ssh-keygen not installed"), Lab({"PATH": str(tmp_path)}):
        pass


def _kill_when(lab: Lab, kind: str) -> None:
    """Start `up` in a process of its own and kill it as soon as something of this kind is there."""
    argv = [sys.executable, "-c", UP, str(lab.project)]
    words = (kind, "ls", *(("--all",) if kind == "container" else ()), "--filter", f"label={LAB_LABEL}={lab.name}")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as going:
        until(lambda: lab.docker.run(*words, "--quiet").strip(), f"a {kind} is there")
        os.killpg(going.pid, signal.SIGKILL)
    assert going.returncode == -signal.SIGKILL, "it was faster than the kill"


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
