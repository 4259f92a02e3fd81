"""The local site's stores: real servers that keep data, keep secrets, and keep to themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import psutil
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.lab.local_lab import MEDIA, PASSWORDS, POSTGRES, QUEUE, Lab, make_lab, refuses, until

from towline.drivers.local import sockets, valkey
from towline.drivers.local.blobs import Blobs
from towline.drivers.local.bucket import why_not as why_no_bucket
from towline.steps.kinds import PrepareStore, WaitReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from towline.steps.kinds import Instance

ONCE = Retry(NoBackoff(), 0)
HOST = "media.lab.localhost"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """All three stores and the front door, in a project whose path has a space and an umlaut."""
    lab = make_lab(tmp_path_factory.mktemp("prüf stand"))
    try:
        lab.store("db", "postgres", POSTGRES)
        lab.store("queue", "redis", QUEUE)
        lab.store("media", "bucket", {**MEDIA, "external_url": f"http://{HOST}:{lab.port('door')}"})
        lab.start(lab.door())
        lab.route({"name": "media", "kind": "fixed", "hosts": [HOST], "dial": f"127.0.0.1:{lab.port('media')}"})
        yield lab
    finally:
        lab.close()


def database(lab: Lab, password: str = PASSWORDS["db.password"]) -> psycopg.Connection:
    """The database, as the app sees it."""
    return psycopg.connect(
        host="127.0.0.1", port=lab.port("db"), user="post cards", dbname='po"st', password=password, connect_timeout=5
    )


def queue(lab: Lab, password: str = PASSWORDS["queue.password"]) -> redis.Redis:
    """The queue, as the app sees it."""
    return redis.Redis(port=lab.port("queue"), password=password, decode_responses=True, retry=ONCE)


def bucket(
    endpoint: str, access_key: str = MEDIA["access_key"], secret_key: str = PASSWORDS["media.secret_key"]
) -> S3Client:
    """The bucket, as the app sees it."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def direct(lab: Lab) -> str:
    """What apps are told."""
    return f"http://127.0.0.1:{lab.port('media')}"


def through_door(
    lab: Lab, path: str, method: str = "GET", *, content: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """A browser's request to the bucket."""
    sent = {"Host": f"{HOST}:{lab.port('door')}", **(headers or {})}
    return httpx.request(method, f"http://127.0.0.1:{lab.port('door')}{path}", headers=sent, content=content)


def instance_of(lab: Lab, name: str) -> Instance:
    """The running instance of a store."""
    settings = {"db": POSTGRES, "queue": QUEUE}.get(
        name, {**MEDIA, "external_url": f"http://{HOST}:{lab.port('door')}"}
    )
    return lab.store(name, {"db": "postgres", "queue": "redis"}.get(name, "bucket"), settings, start=False)


def killed(lab: Lab, name: str) -> None:
    """SIGKILL the server of a store, and wait until the supervisor has it ready again under a new pid."""
    before = lab.pid(name)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: lab.state(name) == "ready" and lab.pid(name) not in (None, before), 40, f"{name} is back")
    lab.carry(WaitReady(name, 30))


def test_the_app_owns_its_database(lab: Lab) -> None:
    """The role logs in, may make tables and trusted extensions, and is no superuser."""
    with database(lab) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS owned (id int)")
        connection.execute("CREATE EXTENSION IF NOT EXISTS citext")
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == (False,)


def test_the_database_refuses_a_wrong_password(lab: Lab) -> None:
    """Nobody is trusted for being on this machine."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        database(lab, "wrong")


def test_the_database_refuses_no_password_on_its_socket(lab: Lab) -> None:
    """Nor for having found the Unix socket."""
    run = next(Path(one).parent for one in _unix_sockets() if one.endswith(f".s.PGSQL.{lab.port('db')}"))
    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
        psycopg.connect(host=str(run), port=lab.port("db"), user="postgres", dbname="postgres", password="")


def _unix_sockets() -> list[str]:
    return [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "/" in line]


def test_the_database_survives_a_kill_and_a_restart(lab: Lab) -> None:
    """What was committed is there after SIGKILL and after a clean stop and start."""
    with database(lab) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    killed(lab, "db")
    with database(lab) as connection:
        assert connection.execute("SELECT count(*) FROM kept WHERE id = 7").fetchone() == (1,)
        connection.execute("DELETE FROM kept WHERE id = 7")
        connection.execute("INSERT INTO kept VALUES (8)")
    lines = lab.stop("db")
    assert "exit status 0" in lines[0].saw
    assert refuses(lab.port("db"))
    lab.start(instance_of(lab, "db"))
    with database(lab) as connection:
        assert connection.execute("SELECT count(*) FROM kept WHERE id = 8").fetchone() == (1,)
        connection.execute("DROP TABLE kept")


def test_a_changed_password_replaces_the_old_one(lab: Lab) -> None:
    """Preparing with another password is enough; the same settings again change nothing."""
    lab.stash("db.password.2", "the second password")
    changed = {**POSTGRES, "password": "db.password.2"}
    again = PrepareStore("db", "postgres", lab.port("db"), changed)
    try:
        assert not lab.carry(again)[0].already
        database(lab, "the second password").close()
        with pytest.raises(psycopg.OperationalError):
            database(lab)
        assert lab.carry(again)[0].already
    finally:
        lab.carry(PrepareStore("db", "postgres", lab.port("db"), POSTGRES))
    database(lab).close()


def test_the_queue_keeps_everything_and_asks_for_its_password(lab: Lab) -> None:
    """noeviction and an append-only file; a wrong password and none are refused."""
    with queue(lab) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 2**20)}
    with pytest.raises(redis.AuthenticationError):
        queue(lab, "wrong").ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=lab.port("queue"), retry=ONCE).ping()


def test_the_queue_survives_a_kill(lab: Lab) -> None:
    """What was pushed is there after SIGKILL."""
    with queue(lab) as client:
        client.rpush("jobs", "one", "two")
    killed(lab, "queue")
    with queue(lab) as client:
        assert client.lrange("jobs", 0, -1) == ["one", "two"]
        client.delete("jobs")


def test_a_cache_evicts_and_keeps_nothing(lab: Lab) -> None:
    """The other use of the same server."""
    lab.store("cache", "redis", {**QUEUE, "use": "cache"})
    try:
        with redis.Redis(port=lab.port("cache"), password=PASSWORDS["queue.password"], decode_responses=True) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
            assert client.config_get("appendonly") == {"appendonly": "no"}
            assert client.config_get("save") == {"save": ""}
    finally:
        lab.stop("cache")


def test_why_a_server_does_not_serve_is_said(lab: Lab) -> None:
    """In its own words: a wrong password, nobody there; nothing at all when it serves."""
    assert valkey.why_not(lab.port("queue"), PASSWORDS["queue.password"]) is None
    assert "WRONGPASS" in (valkey.why_not(lab.port("queue"), "wrong") or "")
    assert "refused" in (valkey.why_not(1, "any") or "").lower()
    settings, blobs = instance_of(lab, "media").settings, Blobs(lab.home / "blobs")
    assert why_no_bucket(lab.port("media"), settings, blobs) is None
    assert why_no_bucket(lab.port("media"), {**settings, "bucket": "not-made-yet"}, blobs) is None
    wrong = {**settings, "admin_access_key": "nobody"}
    assert why_no_bucket(lab.port("media"), wrong, blobs) == "PUT of an object answered 403 InvalidAccessKeyId"
    assert "refused" in (why_no_bucket(1, settings, blobs) or "").lower()


def test_the_key_of_the_app_opens_its_own_bucket_only(lab: Lab) -> None:
    """Objects come and go; another bucket, a new bucket and a wrong key are refused."""
    client = bucket(direct(lab))
    client.put_object(Bucket="lab-media", Key="a/b", Body=b"x", ContentType="text/plain")
    assert client.get_object(Bucket="lab-media", Key="a/b")["Body"].read() == b"x"
    assert [one["Key"] for one in client.list_objects_v2(Bucket="lab-media", Prefix="a/")["Contents"]] == ["a/b"]
    admin = bucket(direct(lab), MEDIA["admin_access_key"], PASSWORDS["media.admin_secret_key"])
    admin.create_bucket(Bucket="of-others")
    admin.put_object(Bucket="of-others", Key="k", Body=b"secret")
    for refused in (
        lambda: client.get_object(Bucket="of-others", Key="k"),
        lambda: client.put_object(Bucket="of-others", Key="k", Body=b""),
        lambda: client.list_objects_v2(Bucket="of-others"),
        lambda: client.create_bucket(Bucket="a-new-one"),
        lambda: bucket(direct(lab), secret_key="wrong").list_objects_v2(Bucket="lab-media"),
    ):
        with pytest.raises(ClientError) as caught:
            refused()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    client.delete_object(Bucket="lab-media", Key="a/b")


def test_a_browser_reads_a_public_bucket_through_the_door_and_writes_nothing(lab: Lab) -> None:
    """GET without a key gives the object with its type; PUT, DELETE, a listing and another bucket are refused."""
    bucket(direct(lab)).put_object(Bucket="lab-media", Key="card.txt", Body=b"card", ContentType="text/x-card")
    seen = through_door(lab, "/lab-media/card.txt")
    assert (seen.status_code, seen.content, seen.headers["content-type"]) == (200, b"card", "text/x-card")
    assert through_door(lab, "/lab-media/card.txt", "PUT", content=b"x").status_code == 403
    assert through_door(lab, "/lab-media/card.txt", "DELETE").status_code == 403
    assert through_door(lab, "/lab-media/?list-type=2").status_code == 403
    assert through_door(lab, "/of-nobody/card.txt").status_code in (403, 404)


def test_a_presigned_address_made_for_the_browser_works_through_the_door(lab: Lab) -> None:
    """GET and PUT signed for the door's host name verify there; a changed one does not; a direct one works directly."""
    signer = bucket(f"http://{HOST}:{lab.port('door')}")
    target = {"Bucket": "lab-media", "Key": "signed.txt"}
    put = signer.generate_presigned_url("put_object", Params=target)
    path = put.partition(str(lab.port("door")))[2]
    origin = f"http://web.lab.localhost:{lab.port('door')}"
    answer = through_door(lab, path, "PUT", content=b"signed", headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (origin, "*")
    got = signer.generate_presigned_url("get_object", Params=target).partition(str(lab.port("door")))[2]
    assert through_door(lab, got).content == b"signed"
    assert through_door(lab, got[:-4] + "beef").status_code == 403
    own = bucket(direct(lab)).generate_presigned_url("get_object", Params=target)
    assert httpx.get(own).content == b"signed"


def test_a_page_of_the_internet_may_not_upload(lab: Lab) -> None:
    """The preflight of a foreign origin gets no leave, that of the app's page does."""
    ask = {"Access-Control-Request-Method": "PUT"}
    own = f"http://web.lab.localhost:{lab.port('door')}"
    for origin, allowed in ((own, True), ("http://evil.example", False), ("https://evil.example", False)):
        answer = through_door(lab, "/lab-media/x", "OPTIONS", headers={"Origin": origin, **ask})
        assert ("access-control-allow-origin" in answer.headers) is allowed, (origin, answer.headers)


def test_the_bucket_survives_a_kill_and_a_restart(lab: Lab) -> None:
    """Objects are there after SIGKILL and after a clean stop and start."""
    bucket(direct(lab)).put_object(Bucket="lab-media", Key="kept", Body=b"kept")
    killed(lab, "media")
    assert bucket(direct(lab)).get_object(Bucket="lab-media", Key="kept")["Body"].read() == b"kept"
    lab.stop("media")
    lab.start(instance_of(lab, "media"))
    assert bucket(direct(lab)).get_object(Bucket="lab-media", Key="kept")["Body"].read() == b"kept"
    assert through_door(lab, "/lab-media/kept").status_code == 200


def test_a_private_bucket_is_private(lab: Lab) -> None:
    """Preparing it as private takes the public reading away; public under a prefix is public nowhere else."""
    for key in ("p", "cards/p"):
        bucket(direct(lab)).put_object(Bucket="lab-media", Key=key, Body=b"p")
    settings = instance_of(lab, "media").settings
    private = {name: one for name, one in settings.items() if name != "public"}

    def seen_with(prepared: dict[str, str]) -> tuple[int, int]:
        lab.carry(PrepareStore("media", "bucket", lab.port("media"), prepared))
        return through_door(lab, "/lab-media/p").status_code, through_door(lab, "/lab-media/cards/p").status_code

    try:
        assert seen_with(private) == (403, 403)
        assert seen_with({**private, "public": "cards/"}) == (403, 200)
    finally:
        assert seen_with(settings) == (200, 200)


def test_everything_listens_on_loopback_only(lab: Lab) -> None:
    """No address of any process of any server can be reached from another machine."""
    for name in ("db", "queue", "media", "door"):
        found = lab.site.listeners(name)
        assert found, name
        assert all(sockets.is_loopback(address) for address, _port in found), (name, found)
        assert all(port < 32768 for _address, port in found), (name, found)


def test_no_password_is_on_a_command_line_or_in_an_environment(lab: Lab) -> None:
    """What `ps` shows, and what /proc shows of the servers, holds none of the secrets."""
    shown = subprocess.run(["ps", "axeww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    for name in ("db", "queue", "media", "door"):
        for pid in sockets.tree(lab.pid(name) or 0):
            shown += " ".join(psutil.Process(pid).environ().values())
    assert not [value for value in PASSWORDS.values() if value in shown]


def test_what_lies_on_the_disk_is_private(lab: Lab) -> None:
    """Folders are 0700, files with secrets 0600, version control sees nothing, no password file is left."""
    assert lab.home.stat().st_mode & 0o777 == 0o700
    secret = [*lab.home.glob("blobs/*"), *lab.home.glob("config/*"), lab.home / "salt", lab.home / "journal.jsonl"]
    assert len(secret) > 8
    assert {one.stat().st_mode & 0o777 for one in secret} == {0o600}
    assert (lab.home.parent / ".gitignore").read_text() == "*\n"
    assert not list(lab.home.glob("config/*.password"))


def test_no_secret_is_in_the_journal_or_the_logs(lab: Lab) -> None:
    """Nor in the facts."""
    texts = [(lab.home / "journal.jsonl").read_text(), repr(lab.site.observe())]
    texts += [path.read_text(errors="replace") for path in lab.home.glob("logs/*")]
    assert not [value for value in PASSWORDS.values() if any(value in text for text in texts)]


def test_two_projects_live_side_by_side(lab: Lab, tmp_path: Path) -> None:
    """A second home gets other ports and its own servers."""
    other = make_lab(tmp_path)
    try:
        other.store("queue", "redis", QUEUE)
        with queue(lab) as mine, queue(other) as theirs:
            mine.set("whose", "mine")
            assert theirs.get("whose") is None
        assert not {*lab.ports.values()} & {*other.ports.values()}
    finally:
        other.close()


def test_facts_tell_what_is_there(lab: Lab) -> None:
    """Kinds, majors, remembered ports, markers; ports that plans hand out are free and below the ephemeral range."""
    facts = lab.site.observe()
    stores = {one.name: (one.kind, one.major, one.port) for one in facts.stores}
    assert stores["db"] == ("postgres", "18", lab.port("db"))
    assert stores["queue"] == ("redis", "9", lab.port("queue"))
    assert stores["media"] == ("bucket", "4", lab.port("media"))
    assert facts.ports["door"] == lab.port("door")
    assert "prepare:db" in facts.tasks
    assert len(facts.room.ports) == 64
    assert not {*facts.room.ports} & {*facts.ports.values()}
    assert all(20000 <= port < 30000 for port in facts.room.ports)
    assert facts.digest == lab.site.observe().digest


def test_the_servers_keep_running_when_their_starter_has_gone(lab: Lab) -> None:
    """Another program sees the same processes."""
    script = (
        "import sys, pathlib; from towline.drivers.local.driver import LocalSite;"
        "print(*sorted(f'{one.name}={one.pid}' for one in LocalSite(pathlib.Path(sys.argv[1])).status()))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", script, str(lab.home)], capture_output=True, text=True, check=True
    ).stdout
    assert f"queue={lab.pid('queue')}" in seen.split()
