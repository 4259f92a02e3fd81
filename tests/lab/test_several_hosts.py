"""Two real hosts with a private link: deployed by the command line, closed to others, broken, rebooted, cut off."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from tests.lab.hosted_app import ON_HOSTS, awake
from tests.lab.linked_pair import BASES, Pair, page_with, pair
from tests.real_servers import until

from towline.lab.containers import Wish
from towline.lab.images import bake

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The app on both hosts, deployed once for all tests of this file."""
    bake(lab.docker, BASES)
    front, back = (one.reset(suite="bookworm", docker=True) for one in lab_hosts)
    made = pair(tmp_path_factory.mktemp("pair"), lab, front, back)
    shown = made.towline("plan", "production")
    assert shown.returncode == 10, f"{shown.stdout}\n{shown.stderr}"
    assert "join the private link with back" in shown.stdout
    assert "opening db on port 5432" in shown.stdout
    checked = made.towline("check", "-t", "production")
    assert checked.returncode == 0, checked.stderr
    made.deploy()
    return made


@pytest.fixture
def deployed(first: Pair, failed: Callable[[], bool]) -> Iterator[Pair]:
    """It; each test leaves it running and well, one that fails too."""
    yield first
    if failed():
        awake(first.back)
        first.write("one")
        first.mend()


def test_a_worker_elsewhere_uses_database_queue_and_private_service(deployed: Pair) -> None:
    """Through the link, under their own names, also with an answer of many packets of full size."""
    text = deployed.answers().replace("api", "inner")
    (job,) = deployed.add("look", 1, 3_000_000)
    assert deployed.result(job) == f"{text} {len(text) + 3_000_000} True"
    again = deployed.deploy()
    assert again["changed"] is False


def address_of(host: LabHost) -> str:
    """The address of a host in the link."""
    return host.ssh("ip -4 -o addr show | sed -n 's/.* tl-.* inet \\([0-9.]*\\).*/\\1/p'").stdout.strip()


KNOCK = """
for one in {places}; do
  (timeout 3 bash -c "exec 3<>/dev/tcp/$one" 2>/dev/null && echo "$one open" || echo "$one closed") &
done
wait
"""


def knocked(host: LabHost, *places: str) -> dict[str, str]:
    """What a host finds at places such as `10.0.0.1/5432`."""
    said = host.inside(KNOCK.format(places=" ".join(places))).stdout
    return dict(line.split() for line in said.splitlines())


def test_nobody_else_gets_in(deployed: Pair, lab: Lab) -> None:
    """Not at the public address, nor at the one in the link from a neighbour that routes there, nor another port."""
    third = lab.add(3, Wish())
    inner, public = address_of(deployed.front), deployed.front.ipv4
    assert inner.startswith("10.")
    third.inside(f"ip route replace {inner}/32 via {public}")
    shut = [f"{place}/{port}" for place in (public, inner) for port in (5432, 6379, 8000)]
    seen = knocked(third, *shut, f"{public}/22")
    third.cut()
    assert seen == {**dict.fromkeys(shut, "closed"), f"{public}/22": "open"}
    ports = {5432: "open", 6379: "open", 8000: "open", 22: "closed"}
    seen = knocked(deployed.back, *(f"{inner}/{port}" for port in ports))
    assert seen == {f"{inner}/{port}": how for port, how in ports.items()}


def test_the_private_key_stays_where_it_was_made(deployed: Pair) -> None:
    """Root's alone, different on both, in no journal and in no file here."""
    home = "/var/lib/towline/pair/production"
    keys = [one.ssh(f"stat -c %a {home}/link/key; cat {home}/link/key").stdout.split() for one in hosts_of(deployed)]
    assert [mode for mode, _ in keys] == ["600", "600"]
    assert len({key for _, key in keys}) == 2
    for _, key in keys:
        for host in hosts_of(deployed):
            assert host.ssh(f"grep -c -F '{key}' {home}/journal").stdout.strip() == "0"
        files = [path for path in deployed.folder.parent.rglob("*") if path.is_file()]
        assert not [path for path in files if key.encode() in path.read_bytes()]


def hosts_of(deployed: Pair) -> tuple[LabHost, LabHost]:
    return deployed.front, deployed.back


def test_a_bad_version_on_one_host_changes_nothing_anywhere(deployed: Pair) -> None:
    """It says something and takes too much memory: the report has its last words, how it ended, and that the kernel
    ended it; the old copies serve on both hosts."""
    before, text = deployed.running(), deployed.answers()
    deployed.write(text.split()[1], gen="greedy")
    failed = deployed.towline("deploy", "production", "--yes")
    assert failed.returncode == 4, failed.stderr
    for told in ("the worker takes all it can get", "exit code ", "out of memory: true"):
        assert told in failed.stderr, failed.stderr
    assert "going back failed" not in failed.stderr
    assert (deployed.running(), deployed.answers()) == (before, text)
    deployed.write(text.split()[1])


@pytest.fixture
def single(deployed: Pair) -> Iterator[None]:
    """Whatever a test does to it, the `single` service of the other host never runs twice."""
    look = "docker ps -q --filter label=towline.service=once --filter name=pair-production | wc -l"
    watch = f"rm -f /run/twice; setsid sh -c 'while sleep 0.1; do {look} >>/run/twice; done' >/dev/null 2>&1 & echo $!"
    watcher = deployed.back.inside(watch).stdout.strip()
    yield
    deployed.back.inside(f"kill {watcher}")
    seen = deployed.back.inside("sort -u /run/twice").stdout.split()
    assert set(seen) <= {"0", "1"}, seen
    assert deployed.back.inside(look).stdout.strip() == "1"


def broken_off(deployed: Pair, text: str, how: Callable[[subprocess.Popen[str]], object]) -> str:
    """A deploy that breaks off when a new copy of the worker is there; what the operator was told."""
    kept = deployed.running()[1]
    deployed.write(text)
    operator = deployed.start("deploy", "production", "--yes")
    until(lambda: operator.poll() is not None or deployed.running()[1] - kept, "a new copy", 180)
    if operator.poll() is None:
        how(operator)
    else:
        pytest.fail(f"it was over before: {operator.communicate()[0]}")
    told, _ = operator.communicate(timeout=240)
    return told


def recovered(deployed: Pair, way: str) -> None:
    """Until the lease of the one who is gone has run out, nobody may; then it is done."""

    def tried() -> bool:
        done = deployed.towline(way, "-t", "production")
        assert done.returncode in (0, 3, 6), done.stderr
        return done.returncode == 0

    until(tried, f"the {way}", 180)


@pytest.mark.usefixtures("single")
def test_a_killed_operator_of_two_hosts_is_taken_back(deployed: Pair) -> None:
    """SIGKILL when one host has begun: both run what they ran before."""
    before, kept = deployed.answers(), deployed.running()
    broken_off(deployed, "three", lambda operator: operator.send_signal(signal.SIGKILL))
    recovered(deployed, "rollback")
    assert (deployed.answers(), deployed.running()) == (before, kept)
    deployed.write(before.split()[1])
    deployed.deploy()
    assert deployed.running() == kept


@pytest.mark.usefixtures("single")
def test_a_cut_connection_and_a_reboot_are_resumed_from_anywhere(deployed: Pair) -> None:
    """Every packet of ssh to one host is refused in the middle of the deploy, then the other one restarts.

    A resume ends as a straight run would have, and the link is back before what is published at its address.
    """
    rule = "-p tcp --dport 22 -j REJECT --reject-with tcp-reset"

    def cut(operator: subprocess.Popen[str]) -> None:
        deployed.back.inside(f"iptables -I INPUT {rule}")
        try:
            operator.wait(240)
        finally:
            deployed.back.inside(f"iptables -D INPUT {rule}")

    told = broken_off(deployed, "four", cut)
    assert "hint: " in told, told
    deployed.front.reboot()
    recovered(deployed, "resume")
    assert deployed.answers() == "api four"
    (job,) = deployed.add("look", 1, 10)
    assert deployed.result(job).endswith("True")
    assert deployed.deploy()["changed"] is False


def test_a_full_disk_is_told_before_the_first_change(deployed: Pair) -> None:
    """With numbers and the host's name, and nothing is touched."""
    before, kept = deployed.answers(), deployed.running()
    deployed.front.fill_disk(leave=50 * 2**20)
    try:
        deployed.write("six")
        told = deployed.towline("deploy", "production", "--yes")
        assert told.returncode == 2, told.stderr
        assert "host-disk-full" in told.stderr
        assert "are needed" in told.stderr
        checked = deployed.towline("check", "-t", "production")
        assert checked.returncode == 2, checked.stderr
        assert "host-disk-full" in checked.stderr
        assert (deployed.answers(), deployed.running()) == (before, kept)
    finally:
        deployed.front.free_disk()
        deployed.write(before.split()[1])


CLOSED = """
apt-get install -y -qq --no-install-recommends ufw >/dev/null 2>&1 && ufw allow 22,80,443/tcp && ufw --force enable
for rule in DROP ufw-user-forward; do iptables -I DOCKER-USER -j "$rule"; done
iptables -I DOCKER-USER -i br-+ -j RETURN
iptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
"""
"""ufw in force, and in force for what Docker publishes too, as a hardened host has it."""


def test_a_firewall_that_closes_everything_lets_the_link_through(deployed: Pair) -> None:
    """Turned on, the next deploy sees it and opens what the link needs; reloaded, and Docker restarted, it stays so."""
    text = deployed.answers()
    closed = deployed.front.ssh(CLOSED, within=120)
    assert closed.status == 0, closed.stderr
    assert deployed.deploy()["changed"] is True
    rules = deployed.front.ssh("ufw status").stdout
    assert f"{deployed.back.ipv4}" in rules
    deployed.front.ssh("ufw reload && systemctl restart docker", within=120)
    deployed.comes_back(text)
    (job,) = deployed.add("look", 1, 10)
    assert deployed.result(job).endswith("True")
    assert deployed.deploy()["changed"] is False


def test_after_a_power_cut_of_the_worker_every_job_has_its_effect_once(deployed: Pair) -> None:
    """Twenty jobs run when the host goes; all of them end after it is back, with nobody doing anything."""
    jobs = deployed.add("work", 20, 8.0)
    until(lambda: deployed.count("running", jobs) == 20, "all jobs", 120)
    deployed.back.cut()
    assert deployed.answers()
    deployed.back.on()
    until(lambda: deployed.count("done", jobs) == 20, "the jobs after the power cut", 150)
    numbers = ",".join(map(str, jobs))
    effects = deployed.ask(f"select count(*), count(distinct job) from effect where job in ({numbers})")
    assert effects == "20|20"


LEFT = r"""
docker ps -a --format '{{.Names}}' | grep -v '[.]leaving[.]'
docker volume ls -q; docker network ls --format '{{.Name}}'
find /var/lib/towline -maxdepth 3 -path '*/.door/data' -prune -o -path '*/.door/caddy-*' -o -print
ip -o link | sed -n 's/.* \(tl-[^:@]*\).*/\1/p'; ls /etc/wireguard
systemctl list-units --all --plain --no-legend 'wg-quick@*' 'towline-*' | cut -d ' ' -f 1 | grep -v pair-production
iptables-save | grep -E '^-A (PREROUTING|INPUT|FORWARD|DOCKER-USER|ufw-user)'
ss -Hlntu | awk '{ parts = split($5, part, ":"); if (part[parts] < 32768) print $1, $5 }'
"""
"""Where a target may be found on a host: containers, volumes, networks, files, links, units, rules, ports.

The machine's own door stays as it is, with the configuration and the certificates that the last target has asked for.
"""


def what_is_there(host: LabHost) -> set[str]:
    return set(host.inside(LEFT).stdout.splitlines())


@pytest.fixture
def trial(deployed: Pair, failed: Callable[[], bool]) -> Iterator[dict[str, set[str]]]:
    """The page with a second target on the same two hosts, and what is there before it is deployed, by host."""
    hosts, page = hosts_of(deployed), deployed.folder / "towline.yaml"
    page.write_text(page_with(*hosts, trial=True))
    yield {one.name: what_is_there(one) for one in hosts}
    if failed():
        deployed.towline("destroy", "trial", "--data", "pair", "--name", "pair/trial")
    page.write_text(page_with(*hosts))


def test_a_target_of_two_hosts_is_scaled_restarted_and_destroyed(deployed: Pair, trial: dict[str, set[str]]) -> None:
    """Copies come and go where they belong, each is replaced where it is, and in the end nothing of it is left."""
    production = deployed.running()
    deployed.told("deploy", "trial", "--yes")
    scaled = deployed.told("scale", "trial", "api=3", "gen=4")
    assert scaled["changed"]
    assert copies_of(deployed) == {"api": [3, 0], "gen": [2, 2], "once": [0, 1]}
    refused = deployed.towline("scale", "trial", "gen=1", "--yes")
    assert refused.returncode == 2
    assert "`gen` has at least one on each of front, back" in refused.stderr
    before = deployed.running()
    deployed.told("restart", "trial")
    assert copies_of(deployed) == {"api": [3, 0], "gen": [2, 2], "once": [0, 1]}
    kept = [
        set(old) & set(new) - set(ours) for old, new, ours in zip(before, deployed.running(), production, strict=True)
    ]
    assert [{one.split(".")[0] for one in there} for there in kept] == [
        {f"pair-trial-{one}" for one in ("db", "queue", "caddy")},
        set(),
    ]
    (job,) = deployed.add("look", 1, 10, "trial")
    assert deployed.result(job, "trial").endswith("True")
    gone = deployed.told("destroy", "trial", "--data", "pair", "--name", "pair/trial")
    assert gone["destroyed"]["keeps"] == []
    differs = {one.name: set(what_is_there(one)) ^ trial[one.name] for one in hosts_of(deployed)}
    assert differs == {"host1": set(), "host2": set()}, differs
    assert deployed.running() == production
    (job,) = deployed.add("look", 1, 10)
    assert deployed.result(job).endswith("True")


def copies_of(deployed: Pair) -> dict[str, list[int]]:
    """How many copies of each service of the second target run on each host."""
    there = deployed.running()
    return {
        name: [sum(one.startswith(f"pair-trial-{name}.") for one in host) for host in there]
        for name in ("api", "gen", "once")
    }
