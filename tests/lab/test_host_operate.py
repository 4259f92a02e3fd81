"""What an operator does to an app that runs on a real host: scale, restart, exec, maintenance, hooks, seed, destroy."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.acceptance.test_docs import run_blocks
from tests.lab.deployed_shop import IMAGE, IMAGES, Shop, shop
from tests.lab.host_registry import PORT, registry_on, without_registry
from tests.lab.hosted_app import ON_HOSTS, argv
from tests.lab.operated_shop import MORE, REDIS, STAGING, Caller, Clients, copies, inbox, seeded
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]
REPOSITORY = f"127.0.0.1:{PORT}/shop-api"


@pytest.fixture(scope="module")
def messages() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server that is told how deploys went, and what it was told."""
    with inbox() as found:
        yield found


@pytest.fixture(scope="module")
def first(
    lab: Lab,
    lab_hosts: tuple[LabHost, LabHost],
    tmp_path_factory: pytest.TempPathFactory,
    messages: tuple[str, list[dict[str, object]]],
) -> Shop:
    """The app, deployed once for all tests of this file."""
    bake(lab.docker, ["python:3.11-slim", *IMAGES[1:]])
    made = shop(tmp_path_factory.mktemp("operate"), lab, lab_hosts[0].reset(suite="bookworm", docker=True))
    page = made.folder / "towline.yaml"
    page.write_text(page.read_text() + MORE.format(redis=REDIS))
    made.said("secrets", "set", "OPS_URL", "-t", "production", given=messages[0])
    made.deploy()
    return made


@pytest.fixture
def deployed(first: Shop, failed: Callable[[], bool]) -> Iterator[Shop]:
    """It; each test leaves it running and well, one that fails too."""
    yield first
    if failed():
        (first.folder / "stop").unlink(missing_ok=True)
        first.write("one")
        first.towline("maintenance", "off", "production")
        first.mend()


def test_scale_is_for_now_and_fails_no_request(deployed: Shop) -> None:
    """More copies and then, with the next deploy, as many as the page says; the plan says so."""
    until(lambda: len(copies(deployed)) == 2, "two copies", 60)
    with Clients(deployed) as clients:
        scaled = deployed.told("scale", "production", "api=4", "gen=1")
        assert scaled["changed"]
        assert len(copies(deployed)) == 4
        again = deployed.towline("scale", "production", "api=4")
        assert "It is so already" in again.stdout, again.stderr
        back = deployed.towline("deploy", "production", "--yes")
        assert "`api` goes from 4 copies to 2" in back.stderr, back.stderr
    assert clients.failures == []
    until(lambda: len(copies(deployed)) == 2, "two copies", 60)


def test_scale_refuses_what_cannot_be(deployed: Shop) -> None:
    """All of it at once, and nothing is touched."""
    before = deployed.running()
    refused = deployed.towline("scale", "production", "gen=2", "db=2", "api=0", "--yes")
    assert refused.returncode == 2
    for said in ("`gen` runs once: it is `single`", "`db` is no service", "`api` has at least one"):
        assert said in refused.stderr
    assert deployed.running() == before
    nobody = deployed.towline("scale", "production", "api=3")
    assert nobody.returncode == 3
    assert "towline scale production api=3 --yes" in nobody.stderr


def test_restart_brings_new_copies_and_fails_no_request(deployed: Shop) -> None:
    """As many as before and of the same version, so that a deploy has nothing to do after it."""
    before, worker = copies(deployed), copies(deployed, "gen")
    with Clients(deployed) as clients:
        deployed.told("restart", "production")
    assert clients.failures == []
    until(lambda: len(copies(deployed)) == 2, "two copies", 60)
    assert not set(before) & set(copies(deployed))
    assert len(copies(deployed, "gen")) == 1
    assert copies(deployed, "gen") != worker
    deployed.deploy()
    assert deployed.deploy()["changed"] is False


def test_restart_of_a_store_keeps_its_data(deployed: Shop) -> None:
    """By its name alone, with the pause told first."""
    ran = deployed.towline("restart", "production", "queue", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "`queue` stops and starts again" in ran.stderr
    assert seeded(deployed) == "1"
    both = deployed.towline("restart", "production", "queue", "api", "--yes")
    assert both.returncode == 2


def test_exec_is_the_service_and_its_status_comes_through(deployed: Shop) -> None:
    """Its environment, its input and output, its exit status; a terminal only where there is one."""
    script = 'echo "$TEXT"; cat; test -t 0 || echo "no terminal" >&2; exit 7'
    ran = deployed.towline("exec", "api", "-t", "production", "--", "sh", "-c", script, given="from here\n")
    assert (ran.returncode, ran.stdout) == (7, f"{deployed.answers()}\nfrom here\n")
    assert ran.stderr == "no terminal\n"
    plain = deployed.towline("exec", "api", "-t", "production", "--json", "--", "printenv", "REDIS_URL")
    assert json.loads(plain.stdout)["stdout"].count("●●●●") == 1


def test_exec_with_a_terminal(deployed: Shop) -> None:
    """What runs inside sees the terminal of whoever asked."""
    ours, theirs = pty.openpty()
    script = "test -t 0 && test -t 1 && echo it is $TERM; exit 5"
    process = subprocess.Popen(
        argv("exec", "api", "-t", "production", "--", "sh", "-c", script),
        cwd=deployed.folder, env={**deployed.environ, "TERM": "vt100"}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while more := os.read(ours, 4096):
            said += more
    os.close(ours)
    assert process.wait(60) == 5
    assert b"it is vt100" in said


def test_run_has_a_container_of_its_own(deployed: Shop) -> None:
    """As its service has it, and gone after it; the copies, and whoever asks for them, do not notice."""
    before = copies(deployed)
    script = 'echo "$TEXT"; cat; hostname; exit 7'
    with Clients(deployed) as clients:
        ran = deployed.towline("run", "production", "api", "--", "sh", "-c", script, given="from here\n")
    text, given, name = ran.stdout.splitlines()
    assert (ran.returncode, text, given) == (7, deployed.answers(), "from here"), ran.stderr
    assert name not in " ".join(before)
    assert clients.failures == []
    plain = deployed.towline("run", "production", "gen", "--json", "--", "printenv", "REDIS_URL")
    assert json.loads(plain.stdout)["stdout"].count("●●●●") == 1
    assert copies(deployed) == before
    assert deployed.host.ssh("docker ps -aq --filter label=towline.fresh").stdout == ""
    store = deployed.towline("run", "production", "queue", "--", "true")
    assert store.returncode == 2
    assert "towline exec queue -t production" in store.stderr


def test_exec_of_what_is_not_there(deployed: Shop) -> None:
    """A service that is not, and one copy by its name."""
    unknown = deployed.towline("exec", "apy", "-t", "production", "--", "true")
    assert unknown.returncode == 2
    assert "did you mean `api`" in unknown.stderr
    one = copies(deployed)[0].removeprefix("shop-production-")
    ran = deployed.towline("exec", one, "-t", "production", "--", "hostname")
    assert ran.returncode == 0, ran.stderr


def test_maintenance_drops_nobody_and_workers_go_on(deployed: Shop) -> None:
    """Every request is answered, with the page or by the app; services reach each other all the time."""
    own = deployed.folder / "maintenance.html"
    own.write_text("<h1>Back at {noon}</h1>\n")
    worker = copies(deployed, "gen")
    with Clients(deployed, well=(200, 503)) as clients:
        assert deployed.told("maintenance", "on", "production", "--page", str(own), "--retry-after", "90")["changed"]
        shown = httpx.post(f"http://{deployed.host.ipv4}/x?y", headers={"Host": deployed.host.name}, timeout=20)
        assert (shown.status_code, shown.headers["Retry-After"]) == (503, "90")
        assert shown.text == "<h1>Back at {noon}</h1>"
        states = deployed.told("status", "-t", "production")["instances"]
        (door,) = [one for one in states if one["service"] == "caddy" and one["state"] == "ready"]
        assert door["verdict"] == "it shows the maintenance page, as asked"
        inner = "import urllib.request as r; print(r.urlopen('http://api:8000/').status)"
        inside = deployed.towline("exec", "api", "-t", "production", "--", "python3", "-c", inner)
        assert inside.stdout == "200\n", inside.stderr
        assert copies(deployed, "gen") == worker
        assert deployed.told("maintenance", "on", "production", "--page", str(own), "--retry-after", "90") == {
            "maintenance": True,
            "changed": False,
        }
        assert deployed.told("maintenance", "off", "production")["changed"]
    assert clients.failures == []
    assert {200, 503} <= set(clients.answered)
    assert deployed.deploy()["changed"] is False


def test_hooks_and_messages_say_how_it_went(deployed: Shop, messages: tuple[str, list[dict[str, object]]]) -> None:
    """A change that is told of; one that the hook before stops; one that fails."""
    now, told = deployed.answers(), messages[1]
    deployed.write("another")
    deployed.deploy()
    about = dict(line.split("=", 1) for line in (deployed.folder / "told").read_text().splitlines())
    assert (about["TOWLINE_APP"], about["TOWLINE_TARGET"], about["TOWLINE_COMMAND"]) == ("shop", "production", "deploy")
    assert about["TOWLINE_VERDICT"].startswith("VERIFIED")
    assert told[-1]["ok"]
    assert str(told[-1]["url"]).startswith("http://")
    before = deployed.running()
    deployed.write(now)
    (deployed.folder / "stop").touch()
    stopped = deployed.towline("deploy", "production", "--yes")
    (deployed.folder / "stop").unlink()
    assert stopped.returncode == 3
    assert "`before` ended with status 1, so nothing was changed" in stopped.stderr
    assert deployed.running() == before
    deployed.write("broken")
    assert deployed.towline("deploy", "production", "--yes").returncode == 4
    assert not told[-1]["ok"]
    assert str(told[-1]["error"]) in (deployed.folder / "failed").read_text()
    assert messages[0] not in repr(told)
    deployed.write(now)
    deployed.deploy()


def test_the_seed_ran_once_and_the_journal_says_who_did_what(deployed: Shop) -> None:
    """However often it was deployed since."""
    deployed.write(deployed.answers())
    deployed.deploy()
    assert seeded(deployed) == "1"
    runs = json.loads(deployed.towline("history", "-t", "production", "--json").stdout)
    assert runs[0]["intent"] == "deploy"
    assert all("pid" in run["by"] and run["at"].startswith("20") for run in runs)


def test_logs_and_status_name_their_site(deployed: Shop) -> None:
    """So that one can be told from another."""
    shown = deployed.told("status", "-t", "production")
    assert {one["site"] for one in shown["instances"]} == {"box"}
    lines = [json.loads(line) for line in deployed.towline("logs", "-t", "production", "--json").stdout.splitlines()]
    assert {line["site"] for line in lines} == {"box"}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


@pytest.fixture
def digests(deployed: Shop) -> Iterator[dict[str, str]]:
    """The app with an image of a registry, by tag; without it again at the end."""
    compose, text = deployed.folder / "compose.yaml", (deployed.folder / "compose.yaml").read_text()
    try:
        yield registry_on(deployed.host, IMAGE)
    finally:
        compose.write_text(text)
        deployed.mend()
        without_registry(deployed.host)


@pytest.fixture
def caller(deployed: Shop, digests: dict[str, str]) -> Iterator[Caller]:
    """A receiver of calls, and somebody with its key; gone at the end."""
    compose = deployed.folder / "compose.yaml"
    compose.write_text(compose.read_text().replace(f"image: {IMAGE}", f"image: {REPOSITORY}:1", 1))
    made = Caller(deployed)
    yield made
    made.end()


def test_a_signed_call_deploys_a_digest_and_nothing_else(
    deployed: Shop, digests: dict[str, str], caller: Caller, messages: tuple[str, list[dict[str, object]]]
) -> None:
    """Fetched from its own repository, told in the journal; one that cannot be had is taken back, and no harm done."""
    worker = copies(deployed, "gen")
    assert caller.call(f"ghcr.io/somebody/else@{digests['2']}").status_code == 403
    assert caller.call(f"{REPOSITORY}@{digests['2']}").status_code == 202
    told = caller.line()
    assert (told["ok"], told["delivery"]) == (True, "run-77"), told
    runs = "docker inspect -f '{{.Config.Image}}' $(docker ps -q --filter label=towline.service=api)"
    wanted = {f"{REPOSITORY}@{digests['2']}"}
    until(lambda: set(deployed.host.ssh(runs).stdout.split()) == wanted, "the old copies are gone", 60)
    assert copies(deployed, "gen") == worker
    assert str(messages[1][-1]["trigger"]).startswith("webhook run-77 from you/shop run 77 on ")
    assert caller.call(f"{REPOSITORY}@sha256:{'0' * 64}").status_code == 202
    assert caller.line()["ok"] is False
    assert httpx.get(caller.url.replace("/deploy", "/health")).status_code == 200
    assert set(deployed.host.ssh(runs).stdout.split()) == wanted
    assert caller.children() == [], "no connection outlives the deploy that it was made for"
    history = json.loads(deployed.towline("history", "-t", "production", "--json").stdout)
    assert any(run["by"].startswith("webhook run-77 from you/shop run 77") for run in history)
    assert caller.end() == 0


def test_the_guide_is_true(deployed: Shop, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the guide to operating, as it stands there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(deployed.folder.parent / "config"))
    said = run_blocks(checkout / "docs" / "guides" / "operating.md", deployed.folder)
    assert f"TEXT is {deployed.answers()}" in said
    assert "production answers by itself" in said
    assert "scaled: api from 2 to 3 copies" in said
    deployed.deploy()


def test_a_second_target_beside_the_first_and_its_end(deployed: Shop) -> None:
    """On its own domain, with data of its own; destroyed, nothing of it is left, and the first never noticed."""
    page = deployed.folder / "towline.yaml"
    text = page.read_text()
    targets = text.index("targets:\n") + len("targets:\n")
    beside = STAGING.format(name=deployed.host.name, address=deployed.host.ipv4).lstrip("\n")
    page.write_text(text[:targets] + beside + text[targets:])
    before = deployed.running()
    try:
        with Clients(deployed) as clients:
            ran = deployed.towline("deploy", "staging", "--yes", "--json")
            assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
            asked = deployed.towline("destroy", "staging", "--data", "shop")
            assert asked.returncode == 3
            assert "towline destroy staging --data db --data queue --name shop/staging" in asked.stderr
            wrong = deployed.towline("destroy", "staging", "--name", "shop/production")
            assert wrong.returncode == 3
            assert any(name.startswith("shop-staging-") for name in deployed.running())
            gone = deployed.told("destroy", "staging", "--data", "shop", "--name", "shop/staging")
            assert gone["destroyed"]["keeps"] == []
        assert clients.failures == []
    finally:
        page.write_text(text)
    assert deployed.running() == before
    left = "docker ps -aq; docker volume ls -q; docker network ls -q"
    named = deployed.host.ssh(f"for id in $({left}); do docker inspect $id; done 2>/dev/null | grep -c shop-staging")
    assert named.stdout.strip() == "0"
    assert deployed.host.ssh("ls -A /var/lib/towline/shop").stdout.split() == ["production"]
