"""The scripts of the rendered backup and migrate workflows, run against real Postgres servers."""

from __future__ import annotations

import json
import subprocess
import tarfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.contract.render_projects import workflow_case
from tests.lab.docker_stand_in import DockerStandIn
from tests.lab.render_stand_in import KEY, RenderStandIn
from tests.lab.workflow_runner import Ran, Runner
from tests.real_servers import PASSWORD, Postgres, postgres_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PHRASE = "a-passphrase-of-these-tests"
NIGHTLY = "github.event_name != 'schedule' && 'allowed' || ''"
SCHEMA = "create table meals (id int primary key, name text); insert into meals values (1, 'soup'), (2, 'rice')"
pytestmark = pytest.mark.needs("bash", "curl", "jq", "gpg", "tar")


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The throwaway server of a job."""
    with Postgres(tmp_path_factory.mktemp("throwaway")) as server:
        yield server


@pytest.fixture(autouse=True)
def no_agent_stays(tmp_path: Path) -> Iterator[None]:
    """gpg leaves an agent behind for each home."""
    yield
    for home in tmp_path.rglob(".gnupg"):
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a short name: the sockets of gpg lie below it, and their paths may have 107 bytes."""
    return tmp_path_factory.mktemp("b")


@pytest.fixture
def throwaway(empty_server: Postgres) -> Postgres:
    """The same, empty again."""
    with psycopg.connect(empty_server.url, autocommit=True) as connection:
        connection.execute("drop schema if exists public cascade")
        connection.execute("create schema public")
    return empty_server


@pytest.fixture
def meals(postgres: Postgres) -> Iterator[str]:
    """A database with something in it."""
    name = f"meals_{uuid.uuid4().hex}"
    url = postgres.create(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield url
    postgres.drop(name)


class Job:
    """The jobs of one workflow of an example, with a `docker` that runs the programs of this machine."""

    def __init__(self, name: str, file: str, folder: Path, **knows: str) -> None:
        usual = {"secrets.BACKUP_PASSPHRASE": PHRASE, "secrets.RENDER_API_KEY": KEY, NIGHTLY: ""}
        self.runner = Runner(workflow_case(name, file), folder / "runner", {**usual, **knows})
        self.docker = DockerStandIn(folder / "docker", postgres_binaries())
        self.path = f"{self.docker.bin}:/usr/local/bin:/usr/bin:/bin"

    @property
    def work(self) -> Path:
        """Where the steps run."""
        return self.runner.work

    def step(self, job: str, name: str, **beside: str) -> Ran:
        """Run one step; no secret is in what it says."""
        ran = self.runner.step(job, name, **{"PATH": self.path, **beside})
        plain = "\n".join(line for line in ran.said.splitlines() if not line.startswith("::add-mask::"))
        assert not [one for one in (PHRASE, PASSWORD, KEY) if one in plain + ran.summary]
        assert not [call for call in self.docker.calls if PASSWORD in call]
        return ran

    def ok(self, job: str, name: str, **beside: str) -> Ran:
        """The same, for a step that must succeed."""
        ran = self.step(job, name, **beside)
        assert ran.status == 0, ran.said
        return ran


def rows(url: str) -> list[tuple[int, str]]:
    """What is in the restored database."""
    with psycopg.connect(url) as connection:
        return connection.execute("select id, name from meals order by id").fetchall()


def at(server: Postgres) -> dict[str, str]:
    """What leads a script to the throwaway server, whose port is 5432 on GitHub."""
    return {"TRY_PASSWORD": PASSWORD, "TRY_PORT": str(server.port)}


def test_a_dump_is_restored_before_it_counts_and_can_be_read_again(
    meals: str, throwaway: Postgres, tmp_path: Path
) -> None:
    """Dump by address, restore to an empty server, encrypt; decrypted it is the same dump."""
    job = Job("nutri", "backup", tmp_path, **{"secrets.PRODUCTION_DB_DIRECT_URL": meals})
    job.ok("db", "Dump it")
    dump = (job.work / "dump").read_bytes()
    tried = job.ok("db", "Restore it to an empty server", **at(throwaway))
    assert "restored to an empty server: 1 tables" in tried.summary
    assert rows(throwaway.url) == [(1, "soup"), (2, "rice")]
    job.ok("db", "Encrypt it", TODAY="2026-11-25")
    assert sorted(path.name for path in job.work.iterdir()) == ["db.dump.gpg"]
    assert b"soup" not in (job.work / "db.dump.gpg").read_bytes()
    opened = subprocess.run(
        [
            "gpg",
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase-fd",
            "0",
            "--decrypt",
            "db.dump.gpg",
        ],
        cwd=job.work,
        env={"HOME": str(job.runner.folder), "PATH": job.path},
        input=f"{PHRASE}\n".encode(),
        capture_output=True,
        check=True,
    )
    assert opened.stdout == dump


def test_how_long_a_dump_is_kept(tmp_path: Path) -> None:
    """Seven daily ones, four of Sundays, three of the first of a month: each is kept for as long as its day says."""
    job = Job("nutri", "backup", tmp_path)
    days = {"2026-11-25": "7", "2026-11-29": "28", "2026-12-01": "90", "2027-08-01": "90", "2028-02-29": "7"}
    for day, kept in days.items():
        (job.work / "dump").write_bytes(b"a dump")
        assert job.ok("db", "Encrypt it", TODAY=day).outputs == {"days": kept}


def test_a_broken_dump_fails_the_backup(throwaway: Postgres, tmp_path: Path) -> None:
    """What cannot be restored is no backup."""
    job = Job("nutri", "backup", tmp_path)
    (job.work / "dump").write_bytes(b"PGDMP and then nothing")
    ran = job.step("db", "Restore it to an empty server", **at(throwaway))
    assert ran.status != 0


def test_an_empty_database_fails_the_nightly_backup_and_no_other(
    postgres: Postgres, throwaway: Postgres, tmp_path: Path
) -> None:
    """At night there must be something; before the first migration there is nothing."""
    name = f"empty_{uuid.uuid4().hex}"
    job = Job("nutri", "backup", tmp_path, **{"secrets.PRODUCTION_DB_DIRECT_URL": postgres.create(name)})
    try:
        job.ok("db", "Dump it")
        ran = job.step("db", "Restore it to an empty server", **at(throwaway))
        assert ran.status != 0
        assert "restores to no table at all" in ran.said
        job.ok("db", "Restore it to an empty server", EMPTY="allowed", **at(throwaway))
    finally:
        postgres.drop(name)


def test_what_is_not_set_is_told(tmp_path: Path) -> None:
    """A missing address or passphrase ends the job with the name of the secret."""
    job = Job("nutri", "backup", tmp_path, **{"secrets.PRODUCTION_DB_DIRECT_URL": "", "secrets.BACKUP_PASSPHRASE": ""})
    (job.work / "dump").write_bytes(b"a dump")
    first = job.runner.step("db", "Dump it", PATH=job.path)
    second = job.runner.step("db", "Encrypt it", PATH=job.path)
    assert first.status != 0
    assert "the secret PRODUCTION_DB_DIRECT_URL is not set" in first.said
    assert second.status != 0
    assert "the secret BACKUP_PASSPHRASE is not set" in second.said


def test_an_export_of_render_is_fetched_and_restored(meals: str, throwaway: Postgres, tmp_path: Path) -> None:
    """Through the API, since the database is closed to the internet: asked for, waited for, restored, encrypted."""
    made = tmp_path / "export" / "2026-11-22T03:17Z"
    made.parent.mkdir()
    argv = [str(postgres_binaries() / "pg_dump"), "--dbname", meals, "--format=directory", "--file", str(made)]
    subprocess.run(argv, check=True)
    with tarfile.open(tmp_path / "export.tar.gz", "w:gz") as archive:
        archive.add(made, made.name)
    job = Job("cooly", "backup", tmp_path)
    with RenderStandIn() as render:
        render.state.exports.append(
            {"id": "exp-old", "createdAt": "2026-11-21T03:17:00Z", "url": "http://127.0.0.1:1/"}
        )
        render.state.archive = (tmp_path / "export.tar.gz").read_bytes()
        job.ok("db", "Let Render export the database", RENDER_API=f"{render.url}/v1", PAUSE="0.05")
        assert render.state.wrong == []
        assert "POST /v1/postgres/dpg-cooly-db/export" in render.state.calls
    job.ok("db", "Restore it to an empty server", **at(throwaway))
    assert rows(throwaway.url) == [(1, "soup"), (2, "rice")]
    job.ok("db", "Encrypt it")
    assert [path.name for path in job.work.iterdir()] == ["cooly-db.dump.tar.gpg"]


def test_a_migration_is_rehearsed_on_a_copy(meals: str, throwaway: Postgres, tmp_path: Path) -> None:
    """The encrypted dump of the backup job is restored, and the release command runs against the copy alone."""
    backup = Job("nutri", "backup", tmp_path / "backup", **{"secrets.PRODUCTION_DB_DIRECT_URL": meals})
    backup.ok("db", "Dump it")
    backup.ok("db", "Encrypt it")
    job = rehearsal(tmp_path / "migrate", backup.work / "db.dump.gpg")
    job.ok("rehearse", "Decrypt it")
    job.ok("rehearse", "Restore it", **at(throwaway))
    line = 'psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -c "alter table meals add column kcal int" && env | cut -d= -f1'
    ran = job.ok("rehearse", "Migrate the copy", LINE=line, DATABASE_URL=throwaway.url, NOT_NAMED="canary")
    assert "ALTER TABLE" in ran.summary
    assert "NOT_NAMED" not in ran.said
    assert "DIRECT_URL" in ran.said
    with psycopg.connect(throwaway.url) as connection:
        assert connection.execute("select kcal from meals").fetchall() == [(None,), (None,)]
    with psycopg.connect(meals) as connection, pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute("select kcal from meals")
    assert any("ghcr.io/kirby/nutri-api@sha256:11" in call for call in job.docker.calls)


def test_a_migration_that_fails_on_the_copy_ends_there(throwaway: Postgres, tmp_path: Path) -> None:
    """The job fails with the migration's own words, and the real one needs this job."""
    job = rehearsal(tmp_path, None)
    line = 'psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -c "alter table nothing add column kcal int"'
    ran = job.step("rehearse", "Migrate the copy", LINE=line, DATABASE_URL=throwaway.url)
    assert ran.status != 0
    assert 'relation "nothing" does not exist' in ran.summary
    assert job.runner.jobs["migrate"]["needs"] == "rehearse"


def rehearsal(folder: Path, sealed: Path | None) -> Job:
    """The migrate workflow of a release, with the artifact of the backup job where it is downloaded to."""
    release = {"commit": "0" * 40, "images": {"api": "ghcr.io/kirby/nutri-api@sha256:11"}}
    job = Job("nutri-sources", "migrate", folder, **{"inputs.release": json.dumps(release)})
    if sealed is not None:
        (job.work / sealed.name).write_bytes(sealed.read_bytes())
    return job


class Builds:
    """GitHub's list of successful builds, served on loopback."""

    def __init__(self, runs: list[dict[str, object]]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        seen = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                pass

            def do_GET(self) -> None:
                seen.asked.append((self.path, self.headers["Authorization"]))
                body = json.dumps({"total_count": len(runs), "workflow_runs": runs}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Builds:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("built", "asked", "expected"),
    [
        ("900", "", {"build": "900", "back": "false"}),
        ("", "", {"build": "12", "back": "false"}),
        ("", "aaaaaaa", {"build": "11", "back": "true"}),
    ],
    ids=["after a build", "by hand", "back to a commit"],
)
def test_which_build_is_deployed(tmp_path: Path, built: str, asked: str, expected: dict[str, str]) -> None:
    """The one that just ended, else the newest of main, else that of the commit that somebody wants back."""
    ran = which(tmp_path, built, asked)
    assert ran.status == 0, ran.said
    assert ran.outputs == expected


def test_a_commit_without_a_build_is_refused(tmp_path: Path) -> None:
    """Only what was built, tested and scanned can go out."""
    ran = which(tmp_path, "", "ccccccc")
    assert ran.status != 0
    assert "no successful build of ccccccc is known" in ran.said
    odd = which(tmp_path / "odd", "", "main")
    assert odd.status != 0
    assert "main is no commit" in odd.said


def which(folder: Path, built: str, asked: str) -> Ran:
    """The step that finds the build, against a list of two."""
    knows = {"github.event.workflow_run.id": built, "inputs.release": asked, "secrets.GITHUB_TOKEN": "ghs_of_the_test"}
    job = Job("kirby-whole", "deploy", folder, **knows)
    runs: list[dict[str, object]] = [{"id": 12, "head_sha": "b" * 40}, {"id": 11, "head_sha": "a" * 40}]
    with Builds(runs) as builds:
        ran = job.step("release", "Which build", GITHUB_API_URL=builds.url)
        for path, token in builds.asked:
            assert path.startswith("/repos/Kirby/kirby-gen/actions/workflows/build-production.yml/runs?status=success")
            assert token == "Bearer ghs_of_the_test"
    return ran


def test_a_release_is_written_down_and_read_again(tmp_path: Path) -> None:
    """Names of images are written small; commit and digests of all images reach the deploy as one value."""
    knows = {"github.repository_owner": "Kirby-Labs", "matrix.image": "nutri-api", "github.sha": "c" * 40}
    job = Job("nutri-sources", "build", tmp_path, **knows)
    assert job.ok("image", "Name the image").outputs == {"image": "ghcr.io/kirby-labs/nutri-api"}
    for service, digest in (("api", "sha256:11"), ("ml", "sha256:22")):
        job.runner.knows |= {
            "matrix.service": service,
            "steps.name.outputs.image": f"ghcr.io/kirby-labs/nutri-{service}",
            "steps.push.outputs.digest": digest,
        }
        job.ok("image", "Write the digest down")
    release = json.loads(job.ok("release", "Write the release down").outputs["release"])
    images = {"api": "ghcr.io/kirby-labs/nutri-api@sha256:11", "ml": "ghcr.io/kirby-labs/nutri-ml@sha256:22"}
    assert release == {"commit": "c" * 40, "images": images}
    deploy = Job("nutri-sources", "deploy", tmp_path / "deploy")
    (deploy.work / "release.json").write_text((job.work / "release.json").read_text())
    read = deploy.ok("release", "Read it").outputs
    assert (json.loads(read["release"]), read["commit"]) == (release, "c" * 40)
