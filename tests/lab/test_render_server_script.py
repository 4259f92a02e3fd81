"""The scripts that reach a server, run over a real sshd: send, bring up or go back, migrate, dump."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.contract.loopback_sshd import LoopbackSshd
from tests.lab.docker_stand_in import DockerStandIn
from tests.lab.workflow_server import BAD, GOOD, TOKEN, Server, images
from tests.real_servers import PASSWORD, Postgres, postgres_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER_TABLES = "select tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
pytestmark = pytest.mark.needs("bash", "ssh", "sshd", "ssh-keygen", "jq", "tar")


class WrittenDown(Server):
    """A host whose `docker` writes down what it is asked."""

    def __init__(self, sshd: LoopbackSshd, folder: Path, programs: Path, docker: DockerStandIn) -> None:
        super().__init__(sshd, folder, programs)
        self.docker = docker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WrittenDown]:
    """A host of the test's own."""
    with LoopbackSshd(tmp_path / "sshd") as sshd:
        docker = DockerStandIn(tmp_path / "docker", postgres_binaries())
        yield WrittenDown(sshd, tmp_path, docker.bin, docker)


def here(commit: str) -> dict[str, str]:
    """Those that belong to this server; the one that migrates is the release command's too."""
    known = images(commit)
    return {"api": known["api"], "ml": known["ml"], "release": known["api"]}


def test_a_release_is_sent_and_brought_up_by_its_digests(server: WrittenDown) -> None:
    """The rendered files, the digests of this server's services alone, a login by stdin, and only then `up`."""
    server.place.mkdir(parents=True)
    (server.place / ".env").write_text("REGISTRY=old\nDB_PASSWORD=kept\nVERSION=old\n")
    (server.place / ".env").chmod(0o600)
    ran = server.deploy(GOOD)
    assert ran.status == 0, ran.said
    assert server.runs == here(GOOD)
    assert (server.place / ".env").read_text() == f"DB_PASSWORD=kept\nREGISTRY=ghcr.io/kirby\nVERSION={GOOD}\n"
    assert (server.place / ".env").stat().st_mode & 0o777 == 0o600
    assert (server.place / "compose.yaml").read_text() == f"# compose.yaml of {GOOD}\n"
    assert (server.place / "compose.yaml").stat().st_mode & 0o777 == 0o644
    assert (server.docker.state / "token").read_text() == TOKEN
    assert not [call for call in server.docker.calls if TOKEN in call]
    asked = [
        call.split()[0] if "compose" not in call else call.split("images.next.json ")[-1]
        for call in server.docker.calls
    ]
    assert asked[0] == "login"
    assert asked[1] == "pull --quiet"
    assert asked[2] == "up --detach --remove-orphans"
    assert asked[3].startswith("up --detach --no-recreate --no-deps --wait --wait-timeout 120 api ml")
    assert asked[4] == "logout"


def test_a_release_that_does_not_become_healthy_is_taken_back(server: WrittenDown) -> None:
    """The one before runs again, its last lines are shown, the job fails."""
    assert server.deploy(GOOD).status == 0
    (server.docker.state / "bad").write_text(f"sha256:{BAD[:8]}\n")
    ran = server.deploy(BAD)
    assert ran.status == 1
    assert "the last lines of the release" in ran.said
    assert "going back to the release before" in ran.said
    assert "the new release did not become healthy, and the one before it runs" in ran.said
    assert server.runs == here(GOOD)
    assert server.docker.calls[-2].startswith("compose --file compose.yaml --file images.json up")
    assert server.docker.calls[-1].startswith("logout")


def test_a_second_release_keeps_the_first_at_hand(server: WrittenDown) -> None:
    """What ran before lies beside it, for whoever goes back by hand."""
    assert server.deploy(BAD).status == 0
    assert server.deploy(GOOD).status == 0
    before = json.loads((server.place / "images.previous.json").read_text())["services"]
    assert before["api"]["image"] == images(BAD)["api"]
    assert server.runs == here(GOOD)


def test_a_server_with_another_key_is_not_spoken_to(server: WrittenDown) -> None:
    """The keys that are known decide: nothing is sent to whoever answers at the address."""
    known = server.sshd.folder / "known"
    other = (server.sshd.folder / "other.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{server.sshd.port} {other[0]} {other[1]}\n")
    ran = server.step("deploy", "box", "Send the release")
    assert ran.status != 0
    assert "Host key verification failed" in ran.said
    assert not server.place.exists()


def test_the_migration_runs_in_the_new_image_and_its_words_are_kept(server: WrittenDown) -> None:
    """Its own job: sent, then run once, with its output in the summary."""
    sent = server.step("migrate", "migrate", "Send the release")
    assert sent.status == 0, sent.said
    (server.docker.state / "release").write_text("echo migrated by $REGISTRY $VERSION\n")
    ran = server.step("migrate", "migrate", "Migrate")
    assert ran.status == 0, ran.said
    assert f"migrated by ghcr.io/kirby {GOOD}" in ran.summary
    assert server.docker.calls[-1].endswith("--file images.next.json run --rm -T release")
    services = json.loads((server.place / "images.next.json").read_text())["services"]
    assert services["release"] == services["api"]


def test_a_migration_that_fails_says_so_and_fails_the_job(server: WrittenDown) -> None:
    """What it said stands in the summary, and nothing was brought up."""
    assert server.step("migrate", "migrate", "Send the release").status == 0
    (server.docker.state / "release").write_text("echo the table is locked\nexit 3\n")
    ran = server.step("migrate", "migrate", "Migrate")
    assert ran.status == 3
    assert "the table is locked" in ran.summary
    assert "the migration failed; nothing was deployed" in ran.said
    assert not [call for call in server.docker.calls if " up " in call]


def test_a_dump_comes_over_the_connection(server: WrittenDown, postgres: Postgres, database_url: str) -> None:
    """The database has no open port: its own pg_dump is asked, and what it writes arrives whole."""
    name = database_url.rpartition("/")[2]
    (server.docker.state / "port").write_text(str(postgres.port))
    (server.docker.state / "password").write_text(PASSWORD)
    assert server.deploy(GOOD).status == 0
    ran = server.step("backup", "db", "Dump it on its server", ROLE="postgres", NAME=name)
    assert ran.status == 0, ran.said
    assert "none" not in ran.outputs
    listed = subprocess.run(
        [postgres_binaries() / "pg_restore", "--list", server.folder / "runner" / "work" / "dump"],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    with psycopg.connect(database_url) as connection:
        found = connection.execute(USER_TABLES).fetchall()
    assert found
    assert all(table in listed.stdout for (table,) in found)


def test_before_the_first_release_there_is_nothing_to_dump(server: WrittenDown) -> None:
    """The first deploy is not stopped by a backup of a database that is not there yet."""
    ran = server.step("backup", "db", "Dump it on its server")
    assert ran.status == 0, ran.said
    assert ran.outputs == {"none": "true"}
