"""An app on a real host: deployed by the command line, changed under load, taken back, broken and found again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.lab.deployed_shop import IMAGES, Shop, shop
from tests.lab.hosted_app import ON_HOSTS
from tests.lab.operated_shop import Clients
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The app, deployed once for all tests of this file."""
    bake(lab.docker, ["python:3.11-slim", *IMAGES[1:]])
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    made = shop(tmp_path_factory.mktemp("host"), lab, host)
    assert made.deploy()["changed"] is True
    return made


@pytest.fixture
def deployed(first: Shop, failed: Callable[[], bool]) -> Iterator[Shop]:
    """It; each test leaves it running and well, one that fails too."""
    yield first
    if failed():
        first.write("one")
        first.mend()


def test_a_second_deploy_changes_nothing(deployed: Shop) -> None:
    """Everything is verified, and nothing is touched."""
    deployed.deploy()
    before = deployed.running()
    again = deployed.deploy()
    assert again["changed"] is False
    assert deployed.running() == before


def test_only_the_door_of_the_machine_listens(deployed: Shop) -> None:
    """No container has a port that the machine answers at; stores have no way to the internet."""
    ports = deployed.host.ssh("docker ps --format '{{.Names}}={{.Ports}}'").stdout.split("\n")
    assert [line for line in ports if "->" in line] == []
    listening = deployed.host.ssh("ss -Hltn | awk '{ print $4 }'").stdout.split()
    open_ports = {one.rsplit(":", 1)[1] for one in listening if not one.startswith(("127.", "[::1]"))}
    assert open_ports == {"22", "80", "443"}
    inside = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.NetworkID}} {{end}}' shop-production-db"
    internal = deployed.host.ssh(f"docker network inspect -f '{{{{.Internal}}}}' $({inside})").stdout.split()
    assert internal == ["true"]


def test_no_secret_is_seen_on_the_host(deployed: Shop) -> None:
    """Not in a list of processes, not in the journal, not in a file that others may read."""
    kept = deployed.towline("secrets", "export", "-t", "production").stdout
    values = [line.partition("=")[2] for line in kept.splitlines() if len(line.partition("=")[2]) > 20]
    assert len(values) >= 2
    seen = deployed.host.ssh("ps -ef; cat /var/lib/towline/shop/production/journal; cat /proc/*/cmdline").stdout
    assert not [value for value in values if value in seen]
    modes = deployed.host.ssh("find /var/lib/towline/shop/production/stash -type f -perm /077").stdout
    assert modes == ""


def test_a_change_under_load_fails_no_request(deployed: Shop) -> None:
    """Keep-alive clients ask all the time while both copies are replaced: no failure, and the new text in the end."""
    with Clients(deployed) as clients:
        deployed.write("two")
        deployed.deploy()
        until(lambda: "two" in clients.texts, "the new text")
    assert clients.failures == []
    assert deployed.answers() == "two"


def test_a_broken_version_is_taken_back_and_told(deployed: Shop) -> None:
    """The old copies serve on; the report has the last words of what failed."""
    before, text = deployed.running(), deployed.answers()
    deployed.write("broken")
    failed = deployed.towline("deploy", "production", "--yes")
    assert failed.returncode == 4, failed.stderr
    assert "it does not start: no such text" in failed.stderr
    assert deployed.running() == before
    assert deployed.answers() == text
    deployed.write(text)
    deployed.deploy()
    assert deployed.running() == before


def test_status_and_logs_of_a_host(deployed: Shop) -> None:
    """Every instance with its memory, and what it printed."""
    shown = json.loads(deployed.towline("status", "-t", "production", "--json").stdout)
    states = {one["service"]: one["state"] for one in shown["instances"] if one["state"] not in ("stopped", "stopping")}
    assert states == dict.fromkeys(("api", "gen", "db", "queue", "caddy"), "ready")
    assert all(one["memory"] > 0 for one in shown["instances"] if one["state"] == "ready")
    told = deployed.towline("logs", "gen", "-t", "production")
    assert "working with True" in told.stdout, told.stderr


def test_rollback_from_the_journal_on_the_host(deployed: Shop) -> None:
    """Back to the release before, and forward again."""
    now = deployed.answers()
    deployed.write("three")
    deployed.deploy()
    back = deployed.towline("rollback", "-t", "production")
    assert back.returncode == 0, back.stderr
    assert deployed.answers() == now
    deployed.write(now)
    deployed.deploy()


def test_after_a_reboot_all_is_back(deployed: Shop) -> None:
    """The engine starts what ran; nothing is to be done."""
    text = deployed.answers()
    deployed.deploy()
    deployed.host.reboot()
    deployed.comes_back(text)
    again = deployed.towline("deploy", "production", "--yes")
    assert "nothing was changed" in again.stderr, again.stderr
