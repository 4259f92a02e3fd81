"""A target on a whole machine of the lab: as a user with sudo, over power cuts, hangs and a full disk."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_cases import PLAIN
from tests.lab.hosted_app import ON_HOSTS, awake
from tests.real_servers import until

from towline.core.errors import SiteUnreachable, StepFailed
from towline.drivers.host.address import Address
from towline.drivers.host.driver import HostSite
from towline.drivers.host.ssh import Connection
from towline.steps.kinds import RunTask
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.host import LabHost

pytestmark = [*ON_HOSTS]

HOME = "/var/lib/towline/tiny/live"
QUICK = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
DEPLOY = """
set -e
id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/bash deploy
install -d -o deploy -g deploy -m 700 /home/deploy/.ssh
install -o deploy -g deploy -m 600 /root/.ssh/authorized_keys /home/deploy/.ssh/authorized_keys
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
useradd --create-home --shell /bin/sh nobody-special 2>/dev/null || true
cp -a /home/deploy/.ssh /home/nobody-special/
chown -R nobody-special: /home/nobody-special/.ssh
"""


@pytest.fixture(scope="module")
def fresh(lab_hosts: tuple[LabHost, LabHost]) -> LabHost:
    """A new machine with a deploy user who may become root, and one who may not."""
    host = lab_hosts[0].reset(suite="bookworm", docker=False)
    ran = host.ssh(DEPLOY)
    assert ran.status == 0, ran
    return host


@pytest.fixture
def machine(fresh: LabHost) -> LabHost:
    """It, running, with room, and nothing of the target on it."""
    host = awake(fresh)
    assert host.ssh(f"rm -rf {HOME} /root/go /root/runs").status == 0
    return host


def to(host: LabHost, user: str = "deploy") -> Connection:
    """A connection that is not open yet."""
    return Connection(Address(host.address, user), options=(*QUICK, *host.ssh_options()))


@pytest.fixture
def connection(machine: LabHost) -> Iterator[Connection]:
    """The deploy user's connection."""
    with to(machine) as made:
        yield made


def site_over(connection: Connection) -> HostSite:
    return HostSite(connection, HOME, site="box", programs=PLAIN)


def cut_off(lines: Iterator[str]) -> None:
    """Read on until the connection breaks."""
    with contextlib.suppress(SiteUnreachable):
        next(lines)


def task(name: str, script: str) -> RunTask:
    return RunTask(name, "api", ("sh", "-c", script), "/root", 60.0, marker=name)


WAITING = task("one", "echo one >>runs; until [ -e go ]; do sleep 0.05; done")
QUICKLY = task("two", "echo two >>runs")


def test_deploy_user_acts_as_root_and_nobody_else_may_look(machine: LabHost, connection: Connection) -> None:
    """Programs run as root through sudo; what they keep is closed to the user who logged in; nobody listens anew."""
    listening = "ss -Hltnu | awk '{ print $5 }' | sort"
    before = machine.ssh(listening).stdout
    answer = connection.run("id -u; umask", within=20)
    assert (answer.status, answer.text) == (0, "0\n0077\n")
    site = site_over(connection)
    site.observe()
    lease = site.acquire("ann", 60.0)
    assert [line.event for line in site.carry_out(Batch("box", 0, (QUICKLY,)), lease, "1")] == ["began", "done"]
    assert machine.ssh(f"stat -c '%U %a' {HOME} {HOME}/journal").stdout == "root 700\nroot 600\n"
    assert machine.ssh(f"su deploy -c 'ls {HOME}'").status != 0
    assert machine.ssh(listening).stdout == before


def test_user_who_cannot_become_root_is_told(machine: LabHost) -> None:
    """The way in works and the way up does not: the sentence says which, and how to see it."""
    with to(machine, "nobody-special") as made, pytest.raises(SiteUnreachable, match="cannot become root") as error:
        made.run("true", within=20)
    assert "sudo -n true" in (error.value.hint or "")


def test_program_ends_with_the_connection_also_below_sudo(machine: LabHost) -> None:
    """What only prints for an operator goes when the operator does."""
    with to(machine) as made:
        lines = made.lines("echo up; sleep 4322", within=4322)
        assert next(lines) == "up"
        machine.ssh("true")
        thread = threading.Thread(target=cut_off, args=(lines,))
        thread.start()
        until(lambda: machine.ssh("pgrep -f '^sleep 4322'").status == 0, "the program")
        machine.inside("pkill -o -u deploy sshd")
        thread.join(timeout=60)
    until(lambda: machine.ssh("pgrep -f '^sleep 4322'").status == 1, "the end of the program")


def test_power_cut_in_the_middle_of_a_step(machine: LabHost, connection: Connection) -> None:
    """The lease of an operator from before the cut holds nobody up; the batch is carried out by the next one."""
    site = site_over(connection)
    lease = site.acquire("ann", 3600.0)
    lines = site.carry_out(Batch("box", 0, (QUICKLY, WAITING)), lease, "1")
    assert [next(lines).event for _ in range(3)] == ["began", "done", "began"]
    machine.cut()
    with pytest.raises(SiteUnreachable):
        list(lines)
    machine.on()
    with to(machine) as made:
        after = site_over(made)
        assert [line.event for line in after.journal()] == ["began", "done", "began"]
        new = after.acquire("bob", 60.0)
        assert new.fence > lease.fence
        machine.ssh("touch /root/go")
        again = list(after.carry_out(Batch("box", 0, (QUICKLY, WAITING)), new, "1.resume.1"))
    assert [line.already for line in again if line.event == "done"] == [True, False]


def test_machine_that_hangs_goes_on_by_itself(machine: LabHost, connection: Connection) -> None:
    """The operator gives up in seconds; when it thaws, the batch goes on from where it was."""
    site = site_over(connection)
    lease = site.acquire("ann", 3600.0)
    lines = site.carry_out(Batch("box", 0, (WAITING, QUICKLY)), lease, "1")
    assert next(lines).event == "began"
    machine.freeze()
    with pytest.raises(SiteUnreachable, match="does not answer"):
        list(lines)
    machine.thaw()
    machine.ssh("touch /root/go")
    with to(machine) as made:
        after = site_over(made)
        until(lambda: len(after.journal()) == 4, "the end of the batch")
        assert [line.event for line in after.journal()] == ["began", "done", "began", "done"]


def test_full_disk_of_a_machine(machine: LabHost, connection: Connection) -> None:
    """Nothing is done that cannot be written down; with room again it is."""
    site = site_over(connection)
    site.observe()
    lease = site.acquire("ann", 3600.0)
    list(site.carry_out(Batch("box", 0, (QUICKLY,)), lease, "1"))
    machine.fill_disk()
    try:
        # The last block of the journal has room for some lines.
        filler = RunTask("three", "api", ("true",), "/root", 60.0)
        with pytest.raises(StepFailed, match="No space left"):
            list(site.carry_out(Batch("box", 1, (filler,) * 40), lease, "1"))
        lines = site.journal()
        assert machine.ssh(f"tail -c 2 {HOME}/journal").stdout == "}\n"
    finally:
        machine.free_disk()
    done = list(site.carry_out(Batch("box", 2, (task("four", "echo four"),)), lease, "1"))
    assert [line.event for line in done] == ["began", "done"]
    assert site.journal()[: len(lines)] == lines
