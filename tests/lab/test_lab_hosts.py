"""The lab's hosts behave like machines, and each fault does what it says and can be ended."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.lab.hosted_app import ON_HOSTS, awake
from tests.real_servers import until

from towline.core.errors import Refused, StepFailed, UsageError
from towline.lab import slow
from towline.lab.containers import Wish
from towline.lab.images import extra_authorities

if TYPE_CHECKING:
    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

BOOT = "cat /proc/sys/kernel/random/boot_id"
VALKEY = "valkey/valkey:9"
MIB = 1024**2


def said(host: LabHost, program: str) -> str:
    """What a program on the host prints; it must succeed."""
    ran = host.ssh(program)
    assert ran.status == 0, ran
    return ran.stdout.strip()


def error_within_two_seconds(host: LabHost) -> str:
    """Why ssh does not get in."""
    argv = ["ssh", "-o", "ConnectTimeout=2", *host.ssh_options(), f"root@{host.address}", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 255, done
    return done.stderr


@pytest.fixture(scope="module")
def fresh(lab_hosts: tuple[LabHost, LabHost]) -> tuple[LabHost, LabHost]:
    """Both hosts as new machines: other tests may have had them."""
    first, second = (host.reset(suite="bookworm", docker=False) for host in lab_hosts)
    return first, second


@pytest.fixture
def host(fresh: tuple[LabHost, LabHost]) -> LabHost:
    """The first host, running."""
    return awake(fresh[0])


@pytest.fixture
def other(fresh: tuple[LabHost, LabHost]) -> LabHost:
    """The second host, running."""
    return awake(fresh[1])


def test_a_host_is_a_whole_debian(host: LabHost) -> None:
    """Systemd is up with all units, sshd lets root in by key only, apt is there, the disk is its own."""
    assert said(host, "systemctl is-system-running") == "running"
    assert said(host, "hostname; cat /etc/hostname").split() == [host.name, host.name]
    assert said(host, "systemctl is-active ssh cron").split() == ["active", "active"]
    assert "VERSION_CODENAME=bookworm" in said(host, "cat /etc/os-release")
    assert said(host, "command -v apt-get sudo curl python3").count("\n") == 3
    assert said(host, "findmnt --noheadings --output FSTYPE /") == "ext4"
    trusted = said(host, "cat /etc/ssl/certs/ca-certificates.crt")
    assert all(one.strip() in trusted for one in extra_authorities())
    size = int(said(host, "df --output=size --block-size=1 / | tail -n 1"))
    assert 0.9 * host.wish.disk < size <= host.wish.disk
    argv = ["ssh", "-o", "PubkeyAuthentication=no", *host.ssh_options(), f"root@{host.address}", "true"]
    refused = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 255
    assert "Permission denied (publickey" in refused.stderr


def test_plain_files_and_kernel_settings_can_be_written(host: LabHost) -> None:
    """What Docker mounts over a container's files is not there: tools replace them by rename, and set sysctls."""
    said(host, "sed -i 's/localhost/localhost lab-was-here/' /etc/hosts")
    said(host, "cp /etc/resolv.conf /etc/new && mv /etc/new /etc/resolv.conf")
    assert "lab-was-here" in said(host, "getent hosts ::1 127.0.0.1")
    assert (
        said(host, "sysctl -w net.ipv4.tcp_fin_timeout=42 >/dev/null; cat /proc/sys/net/ipv4/tcp_fin_timeout") == "42"
    )
    assert said(host, "hostnamectl hostname other && hostname; hostnamectl hostname host1") == "other"
    assert "nameserver 127." not in said(host, "cat /etc/resolv.conf")


def test_hosts_reach_each_other_over_both_protocols(host: LabHost, other: LabHost) -> None:
    """Each host reaches the other's sshd by IPv4, by IPv6 and by name, and a container network does not intrude."""
    program = "import socket, sys; print(socket.create_connection((sys.argv[1], 22), 5).recv(3).decode())"
    for one, target in ((host, other), (other, host)):
        for name in (target.ipv4, target.ipv6, target.name):
            assert said(one, f"python3 -c '{program}' {name}") == "SSH"


def test_a_reboot_is_another_boot_of_the_same_machine(host: LabHost) -> None:
    """From inside or outside: another boot id, the disk as it was, /run empty, the same host key."""
    first = said(host, BOOT)
    said(host, "touch /root/stays /run/goes && sync")
    assert host.reboot().port == host.port
    second = said(host, BOOT)
    assert second != first
    assert said(host, "ls /root/stays; ls /run/goes || true") == "/root/stays"
    host.ssh("systemctl reboot")
    until(lambda: host.ssh(BOOT).stdout.strip() not in {"", second}, "the host is up again", 60)
    until(lambda: host.ssh("systemctl is-system-running").stdout == "running\n", "all units are up", 60)


def test_a_cut_host_is_gone_until_it_is_on(host: LabHost) -> None:
    """Nothing listens while it is off, what was synced is there afterwards, and faults of a cut host are refused."""
    first = said(host, BOOT)
    said(host, "echo kept > /root/synced && sync; nohup sleep 1000 >/dev/null 2>&1 &")
    assert host.cut().state == "off"
    assert "refused" in error_within_two_seconds(host) or "closed" in error_within_two_seconds(host)
    with pytest.raises(Refused, match="is off, not running") as refused:
        host.freeze()
    assert refused.value.hint == "towline lab on 1"
    assert host.on().state == "running"
    assert said(host, "cat /root/synced; pgrep -c sleep || true") == "kept\n0"
    assert said(host, BOOT) != first


def test_a_frozen_host_answers_nothing_and_goes_on(host: LabHost) -> None:
    """It takes connections and says nothing; thawed, it is in the same boot, with its processes."""
    first = said(host, BOOT)
    assert host.freeze().state == "frozen"
    assert "timed out" in error_within_two_seconds(host)
    assert host.thaw().state == "running"
    assert said(host, BOOT) == first


def test_a_full_disk_refuses_every_byte_until_it_is_freed(host: LabHost) -> None:
    """Root gets ENOSPC too, at any size; with room left, exactly that much fits; undone, it is as before."""
    free = "df --output=avail --block-size=1 / | tail -n 1"
    before = int(said(host, free))
    host.fill_disk()
    ran = host.ssh("LC_ALL=C dd if=/dev/zero of=/root/byte bs=4k count=1")
    assert ran.status != 0
    assert "No space left on device" in ran.stderr
    host.fill_disk(leave=20 * MIB)
    assert 19 * MIB < int(said(host, free)) <= 20 * MIB
    with pytest.raises(StepFailed, match="was not filled"):
        host.fill_disk(leave=host.wish.disk)
    host.free_disk()
    said(host, "rm -f /root/byte && sync")
    assert int(said(host, free)) > before - 50 * MIB


def test_a_slow_host_is_as_far_away_as_was_said(host: LabHost, lab: Lab) -> None:
    """A round trip takes at least what was added, at a port of its own; near again, its process is gone."""
    away = host.slow(300)
    assert away.slow_ms == 300
    assert away.port != host.port == away.direct_port
    argv = ["ssh", *away.ssh_options(), f"root@{away.address}", "cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        took = [_round_trip(echo, str(number)) for number in range(3)]
        echo.stdin.close()
    assert min(took) >= 0.3
    way = slow.standing(lab.state / "host1.slow")
    assert way is not None
    near = host.slow(0)
    assert (near.port, near.slow_ms) == (host.port, 0)
    assert not psutil.pid_exists(way.pid) or psutil.Process(way.pid).status() == psutil.STATUS_ZOMBIE
    assert said(near, "echo near") == "near"


def _round_trip(echo: subprocess.Popen[str], word: str) -> float:
    assert echo.stdin is not None
    assert echo.stdout is not None
    began = time.monotonic()
    echo.stdin.write(f"{word}\n")
    echo.stdin.flush()
    assert echo.stdout.readline().strip() == word
    return time.monotonic() - began


def test_a_reset_host_is_a_new_machine_at_the_old_place(host: LabHost) -> None:
    """Another Debian when asked, an empty disk, other host keys, another machine id; the same addresses and ports."""
    said(host, "touch /root/old && sync")
    key, identity = host.known_hosts.read_text(), said(host, "cat /etc/machine-id")
    new = host.reset(suite="trixie")
    try:
        assert new.known_hosts.read_text() != key
        assert (new.port, new.ipv4, new.ipv6, new.http_port) == (host.port, host.ipv4, host.ipv6, host.http_port)
        assert "VERSION_CODENAME=trixie" in said(new, "cat /etc/os-release; ls /root/old 2>&1 || true")
        assert said(new, "systemctl is-system-running; cat /etc/machine-id").split() != ["running", identity]
        assert said(new, "systemctl is-system-running") == "running"
        assert new.ssh("ls /root/old").status != 0
    finally:
        new.reset(suite="bookworm")


def test_swap_is_given_back(host: LabHost) -> None:
    """A swap file comes back after a reboot as fstab says, and a host that is cut or removed leaves none behind."""
    name = f"/swap-of-{host.lab.name}"
    said(host, f"fallocate -l 16M {name} && chmod 600 {name} && mkswap {name} && swapon {name}")
    said(host, f"echo '{name} none swap sw 0 0' >> /etc/fstab")
    host.reboot()
    assert name in said(host, "cat /proc/swaps")
    host.cut()
    host.reset()
    assert name not in Path("/proc/swaps").read_text()
    assert name not in said(host, "cat /proc/swaps")


def test_docker_runs_inside_with_limits(host: LabHost) -> None:
    """Docker inside has overlay2 on the host's disk, gets images from the lab, and ends what takes too much memory."""
    inner = host.reset(docker=True)
    inner.load(VALKEY)
    assert said(inner, "docker info --format '{{.Driver}}'") == "overlay2"
    assert said(inner, f"docker run --rm {VALKEY} valkey-server --version").startswith("Valkey server v=9")
    takes = "docker run --rm --memory 48m %s sh -c 'head -c %sm /dev/zero | tail >/dev/null'"
    assert inner.ssh(takes % (VALKEY, 1)).status == 0
    assert inner.ssh(takes % (VALKEY, 300)).status == 137
    with pytest.raises(StepFailed, match="did not get the images"):
        inner.load("towline-test/nothing:0")
    assert said(inner, "systemctl is-system-running") == "running"


def test_up_changes_nothing_that_stands(host: LabHost, other: LabHost, lab: Lab) -> None:
    """A second `up` keeps the machines; one that asks for others is refused before anything is done."""
    boots = [said(one, BOOT) for one in (host, other)]
    with pytest.raises(Refused, match="made otherwise"):
        lab.up(2, "trixie")
    with pytest.raises(UsageError, match="no Debian `bookwurm` in the lab; did you mean `bookworm`"):
        lab.add(max(one.number for one in lab.hosts()) + 1, Wish(suite="bookwurm"))
    for count in (0, 10):
        with pytest.raises(UsageError, match="1 to 9 hosts"):
            lab.up(count)
    with pytest.raises(Refused, match="no host 99; there are: 1, 2"):
        lab.host(99)
    lab.add(1, host.wish)
    assert [said(one, BOOT) for one in (host, other)] == boots
