"""A bare Debian becomes a hardened one, seen from outside; drift is found and mended; nobody is shut out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.lab.hardened_host import LOOPBACK, OPEN, PLAIN, PUBLISHED, SEEDED, STATE, Ran, Scene, command, serve
from tests.lab.hosted_app import ON_HOSTS
from tests.real_servers import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

CLOSED = {
    **{f"{port}/{family}": False for port in (PUBLISHED, LOOPBACK, PLAIN) for family in ("ipv4", "ipv6")},
    **{f"{port}/{family}": True for port in OPEN for family in ("ipv4", "ipv6")},
    "routed/ipv4": False,
    "routed/ipv6": False,
}
"""What a neighbour may reach of a hardened host."""

SUITE = os.environ.get("TOWLINE_LAB_SUITE", "bookworm")
"""The Debian that is hardened; with `trixie`, all of it is proved there."""

# The operator's machine, whose power fails at the moment when the first proof from outside begins.
VANISHES = """
import os, signal, sys
from towline.cli import main, show
from towline.core.events import StageBegan
listener = show.Screen.listener
def vanish(self, event):
    if isinstance(event, StageBegan) and event.name == "seen from outside":
        os.kill(os.getpid(), signal.SIGKILL)
    listener(self, event)
show.Screen.listener = vanish
main.main()
"""


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost]) -> Scene:
    """The first host hardened by one run, after it was only looked at; the second is a stranger outside."""
    for host, suite in zip(lab_hosts, (SUITE, "bookworm"), strict=True):
        host.reset(suite=suite, docker=False)
    made = Scene(lab, lab_hosts[0].number, lab_hosts[1].number)
    made.inside(f"mkdir -p /etc/docker && echo '{SEEDED}' >/etc/docker/daemon.json")
    before = made.inside(STATE)
    planned, checked, asked = made.provision("--plan"), made.provision("--check"), made.provision()
    assert (planned.status, checked.status, asked.status) == (10, 10, 3)
    assert "nobody is there to say yes" in asked.err
    assert made.inside(STATE) == before
    first = made.provision("--yes", "--json")
    assert first.status == 0, first
    assert first.json["changed"] >= 14
    for title in planned.out.splitlines()[2:]:
        if title.startswith("     host: "):
            assert title.removeprefix("     host: ") in first.err
    serve(made)
    return made


@pytest.fixture
def scene(first: Scene, failed: Callable[[], bool]) -> Iterator[Scene]:
    """Both; each test leaves the first hardened, one that fails too."""
    yield first
    if failed():
        until(lambda: first.provision("--yes").status == 0, "the host is hardened again", 180)


def test_a_second_run_changes_nothing(scene: Scene) -> None:
    """As root, who gets in no more, as the deployer, and as nobody by name: it is the same host."""
    before = scene.inside(STATE)
    for who in ("root@", "deploy@", ""):
        ran = scene.provision("--yes", "--json", host=f"{who}{scene.host.name}")
        assert ran.status == 0, ran
        assert ran.json["changed"] == 0
    assert scene.drift() == set()
    assert scene.inside(STATE) == before


def test_a_person_is_asked_first(scene: Scene) -> None:
    """At a terminal the plan is shown and a no leaves everything as it is; a yes does what was shown."""
    scene.inside("sysctl --quiet net.ipv4.conf.all.accept_redirects=1")
    refused = scene.answered("n")
    assert refused.status == 3, refused
    assert "net.* sysctl" in refused.err
    assert scene.drift() == {"kernel"}
    assert scene.answered("y").status == 0
    assert scene.drift() == set()


def test_only_ssh_and_the_web_are_open_to_a_neighbour(scene: Scene) -> None:
    """Over IPv4 and IPv6: not what Docker publishes, not what listens on the host, not a container by a route to it."""
    assert scene.doors() == CLOSED


def test_docker_keeps_its_old_settings_and_containers_get_out(scene: Scene) -> None:
    """The settings that were there are there with ours, logs are bounded, and the firewall stops no answer."""
    info = scene.inside("docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}} {{.ExperimentalBuild}}'")
    assert info.split() == ["true", "json-file", "true"]
    options = scene.inside("docker inspect --format '{{.HostConfig.LogConfig.Config}}' door")
    assert options.strip() == "map[max-file:3 max-size:10m]"
    ask = "import socket; socket.create_connection(('{}', 22), 5).close()"
    outside = scene.lab.host(scene.outside)
    scene.inside(f'docker exec door python3 -c "{ask.format(outside.ipv4)}"')
    scene.inside(f'docker exec door python3 -c "{ask.format(outside.ipv6)}"')


def test_containers_live_through_a_restart_of_docker(scene: Scene) -> None:
    """live-restore: the same processes go on, and the rules are there again."""
    pids = "docker inspect --format '{{.State.Pid}}' published loopback door"
    before = scene.inside(pids)
    scene.inside("systemctl restart docker")
    assert scene.inside(pids) == before
    assert scene.doors() == CLOSED


def test_root_and_passwords_are_refused(scene: Scene) -> None:
    """The key that let root in before does so no more, and no password is even asked for."""
    assert scene.login("deploy").out.strip() == "0"
    for who in (scene.login("root"), scene.login("deploy", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no")):
        assert who.status == 255
        assert "Permission denied (publickey)" in who.err


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_three_failures_are_one_too_many(scene: Scene, family: str) -> None:
    """A stranger who tries to be root gets no answer any more; the operator does, however often he fails."""
    scene.inside("fail2ban-client unban --all")
    stranger, tables = getattr(scene.lab.host(scene.outside), family), {"ipv4": "iptables", "ipv6": "ip6tables"}[family]
    attempt = (
        "timeout 20 ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes "
        f"-o ConnectTimeout=5 root@{getattr(scene.host, family)} true 2>&1 | tail -n 1"
    )
    for _ in range(3):
        assert "Permission denied" in scene.beside(attempt)
    rule = f"{tables} -w -S f2b-towline-sshd 2>/dev/null | grep -F -- '-s {stranger}/' || true"
    # fail2ban now and then reads the last line of the journal only when another one follows: he goes on trying.
    until(lambda: scene.inside(rule) or (scene.beside(attempt) and None), "the stranger is banned")
    assert "refused" in scene.beside(attempt)
    for _ in range(4):
        assert scene.login("root").status == 255
    assert scene.login("deploy").status == 0
    scene.inside("fail2ban-client unban --all")
    # From OpenSSH 9.8 on, sshd by itself lets a stranger wait who has failed.
    until(lambda: "Permission denied" in scene.beside(attempt), "the stranger is answered again")


def test_drift_is_found_item_by_item_and_mended(scene: Scene) -> None:
    """Each thing that somebody undid is named by --check, which changes nothing, and one run puts all of it right."""
    scene.inside(
        "iptables -F DOCKER-USER; ip6tables -F DOCKER-USER; ip6tables -t mangle -D FORWARD -j towline\n"
        "ufw delete allow 443/udp; ufw allow 9100/tcp\n"
        "echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/00-a.conf; systemctl reload ssh\n"
        "systemctl stop fail2ban; sysctl -q net.ipv4.conf.all.accept_redirects=1\n"
        "rm /etc/apt/apt.conf.d/60towline /etc/sudoers.d/towline; systemctl stop towline-clean-up.timer\n"
        "echo 'SystemMaxUse=9G' >>/etc/systemd/journald.conf.d/60-towline.conf"
    )
    try:
        # The probes see a hole where there is one.
        open_now = {name for name, answers in scene.doors().items() if answers}
        assert open_now >= {f"{PUBLISHED}/ipv4", f"{PUBLISHED}/ipv6", f"{PLAIN}/ipv4", "routed/ipv4"}
        state = scene.inside(STATE)
        ran = scene.provision("--check", "--json", host=f"root@{scene.host.name}")
        assert ran.status == 6, "who deploys cannot become root any more, and root does not get in"
        assert scene.inside(STATE) == state
        scene.inside("printf 'deploy ALL=(ALL:ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/by-hand")
        assert scene.drift() == {
            "firewall", "ssh", "bans", "kernel", "upgrades", "deployer", "clean-up", "journal"
        }  # fmt: skip
        mended = scene.provision("--yes", "--json")
        assert mended.status == 4, "a file that sshd reads before ours says otherwise"
        assert "sshd does not say" in mended.err
    finally:
        scene.inside("rm -f /etc/ssh/sshd_config.d/00-a.conf /etc/sudoers.d/by-hand; ufw delete allow 9100/tcp")
    assert scene.provision("--yes", "--json").status == 0
    assert scene.drift() == set()
    assert scene.doors() == CLOSED


def operator_dies_before_the_proof(scene: Scene, back: str) -> None:
    """Both doors are changed, then the operator's machine is gone and the host loses power: root gets in again."""
    words = scene.arguments("--yes", "--back-within", back)
    argv = [sys.executable, "-c", VANISHES, *words]
    died = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert died.returncode == -signal.SIGKILL, died
    changed = scene.inside("systemctl is-active towline-way-back.timer; ls /etc/ssh/sshd_config.d; ufw status")
    assert changed.split()[:4] == ["active", "00-towline.conf", "Status:", "active"]
    scene.host.cut().on()
    until(lambda: scene.login("root").status == 0 or None, "root gets in again", 90)


def failed_when_free(scene: Scene) -> Ran:
    """The failure of a run, once the lock of the operator that died has run out."""

    def failed() -> Ran | None:
        ran = scene.provision("--yes")
        assert ran.status in {3, 4}, ran
        return ran if ran.status == 4 else None

    return until(failed, "the lock of the dead operator runs out", 120)


def test_nobody_is_shut_out(scene: Scene) -> None:
    """What nobody confirmed goes back, after a power cut too; what shuts the deployer out goes back at once."""
    scene.inside(
        "rm /etc/ssh/sshd_config.d/00-towline.conf; systemctl reload ssh\n"
        "ufw --force disable >/dev/null; rm -rf /var/lib/towline/.way-back"
    )
    until(lambda: scene.login("root").status == 0 or None, "root gets in as before")
    operator_dies_before_the_proof(scene, "15s")
    assert "inactive" in scene.inside("ufw status | head -n 1")

    # A file that only a reload brings into force lets nobody but root in.
    scene.inside("echo 'AllowUsers root' >/etc/ssh/sshd_config.d/10-only-root.conf")
    try:
        failed = failed_when_free(scene)
        assert "deploy could not log in" in failed.err
        assert "were put back" in failed.err
        assert scene.login("root").status == 0
        scene.inside("! test -e /etc/ssh/sshd_config.d/00-towline.conf")
    finally:
        scene.inside("rm -f /etc/ssh/sshd_config.d/10-only-root.conf; systemctl reload ssh")
    assert scene.provision("--yes").status == 0
    assert scene.drift() == set()


def test_everything_is_there_after_a_reboot(scene: Scene) -> None:
    """Doors, bans, swap, timers, the engine and its containers."""
    scene.host.reboot()
    until(lambda: scene.login("deploy").status == 0 or None, "the deployer gets in", 60)
    until(lambda: scene.doors()["80/ipv4"] or None, "the containers answer", 60)
    assert scene.drift() == set()
    assert scene.doors() == CLOSED


def test_clean_up_takes_no_release_and_nothing_of_others(scene: Scene) -> None:
    """Only an old untagged image with our label goes: a tagged one, a stranger's and a fresh one stay."""
    made = (
        "release=$(tar -C /tmp -c image | docker import --change 'LABEL towline.app=shop' - towline/shop:r1)\n"
        "old=$(date +%s >/tmp/a; tar -C /tmp -c a | docker import --change 'LABEL towline.app=shop' -)\n"
        "other=$(date +%s >/tmp/b; tar -C /tmp -c b | docker import -)\n"
        'echo "$release $old $other"'
    )
    release, old, other = scene.inside(made).split()
    scene.inside("systemctl start towline-clean-up.service")
    there = scene.inside("docker images --all --no-trunc --quiet")
    assert all(one in there for one in (release, old, other)), "a day has not passed"
    # Docker counts whole seconds.
    later = "sed 's/until=24h/until=1s/' /usr/local/lib/towline/clean-up | sh\ndocker images --all --no-trunc --quiet"
    until(lambda: old not in scene.inside(later) or None, "the old one goes")
    there = scene.inside("docker images --all --no-trunc --quiet")
    assert [one in there for one in (release, old, other)] == [True, False, True]


def test_the_checks_of_the_guide_hold(scene: Scene, checkout: Path) -> None:
    """Each command of the guide that says how to check an item ends with 0 on a hardened host."""
    text = (checkout / "docs/guides/hardening.md").read_text()
    lines = [line for block in re.findall(r"```sh check\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 14
    failed = [line for line in lines if scene.lab.inside(scene.number, line).status != 0]
    assert failed == []


def test_a_host_key_is_taken_in_only_with_its_fingerprint(scene: Scene, tmp_path: Path) -> None:
    """An unknown host is refused, with another fingerprint as well; with its own it is entered, now and later."""
    known, config = tmp_path / "known_hosts", tmp_path / "config"
    text = re.sub(r"UserKnownHostsFile .*", f"UserKnownHostsFile {known}", scene.lab.ssh_config.read_text())
    config.write_text(text)
    words = [*scene.arguments("--check"), "--ssh-config", str(config)]
    assert "not known here" in command(*words).err
    other = command(*words, "--host-key", "SHA256:AAAA")
    assert other.status == 3, other
    assert not known.exists()
    shown = scene.inside("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert command(*words, "--host-key", shown).status == 0
    assert command(*words).status == 0


def test_upgrades_leave_the_engine_alone(scene: Scene) -> None:
    """unattended-upgrades itself says what it holds back."""
    said = scene.inside("unattended-upgrade --dry-run --debug 2>&1 || true")
    for pattern in ("^docker", "^containerd", "^runc$"):
        assert pattern in next(line for line in said.splitlines() if "blacklist" in line.lower())


def test_another_firewall_is_named_and_nothing_is_changed(scene: Scene) -> None:
    """Two firewalls that do not know each other are refused, with the command that ends the other."""
    state = scene.inside(f"systemd-run --quiet --unit shorewall sleep 600\n{STATE}")
    ran = scene.provision("--yes")
    assert scene.inside(f"systemctl stop shorewall\n{STATE}") == state
    assert ran.status == 3, ran
    assert "another firewall is active: shorewall" in ran.err
    assert "systemctl disable --now shorewall" in ran.err


@pytest.mark.parametrize(
    ("host", "status", "says"),
    [
        ("root@127.0.0.1:{port}", 6, "nothing listens for ssh"),
        ("root@no-such-host.invalid", 6, "unknown"),
        ("root@bad host", 2, "no address"),
        ("--user=root host1", 2, "cannot be the name"),
    ],
)
def test_a_host_that_is_not_there_is_told_in_a_sentence(host: str, status: int, says: str, tmp_path: Path) -> None:
    """Each mistake has its exit status, its sentence and a hint, and no traceback."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    words = host.format(port=free_port()).split(" ", 1) if host.startswith("--") else [host.format(port=free_port())]
    ran = command("provision", *words, "--yes", "--key", f"{key}.pub")
    assert ran.status == status, ran
    assert says in ran.err
    assert "hint:" in ran.err
    assert "Traceback" not in ran.err


def test_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    """A file that is missing, the private half, and something else: nobody is contacted."""
    key, junk = tmp_path / "key", tmp_path / "junk.pub"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    junk.write_text("ssh-ed25519 not-base64\n")
    for path, says in ((tmp_path / "none.pub", "no key file"), (key, "private key"), (junk, "no public key")):
        ran = command("provision", "root@192.0.2.1", "--yes", "--key", str(path))
        assert ran.status == 2, ran
        assert says in ran.err
