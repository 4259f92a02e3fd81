"""An app on a real host: deployed by the command line, changed under load, taken back, broken and found again."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.deployed_shop import IMAGES, Shop, shop
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from towline.lab.host import Lab, LabHost

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]


@pytest.fixture(scope="module")
def deployed(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The app, deployed once for all tests of this file; each leaves it running and well."""
    bake(lab.docker, ["python:3.11-slim", *IMAGES[1:]])
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    made = shop(tmp_path_factory.mktemp("host"), lab, host)
    first = made.deploy()
    assert first["changed"] is True
    return made


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
    failures: list[str] = []
    texts: set[str] = set()
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=20, headers={"Host": deployed.host.name}) as client:
            while not over.is_set():
                try:
                    answer = client.get(f"http://{deployed.host.ipv4}/")
                except httpx.HTTPError as error:
                    failures.append(repr(error))
                    continue
                texts.add(answer.text)
                if answer.status_code != httpx.codes.OK:
                    failures.append(str(answer.status_code))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for one in clients:
        one.start()
    deployed.write("two")
    try:
        deployed.deploy()
        until(lambda: "two" in texts, "the new text")
    finally:
        over.set()
        for one in clients:
            one.join(30)
    assert failures == []
    assert deployed.answers() == "two"


def test_a_broken_version_is_taken_back_and_told(deployed: Shop) -> None:
    """The old copies serve on; the report has the last words of what failed."""
    before, text = deployed.running(), deployed.answers()
    (deployed.folder / "compose.yaml").write_text(
        (deployed.folder / "compose.yaml").read_text().replace(f"TEXT: {text}", "TEXT: broken")
    )
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

    def answers() -> bool:
        try:
            return deployed.answers() == text
        except httpx.HTTPError:
            return False

    until(answers, "the app is back", 90)
    again = deployed.towline("deploy", "production", "--yes")
    assert "nothing was changed" in again.stderr, again.stderr
