"""What only the redis doorbell does: groups that come back, rings left behind, and streams that stay empty."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis as Client
from tests.contract.doorbell_bench import DEADLINE, KINDS, Bench, world_of
from tests.real_servers import PASSWORD, Redis, Valkey

from towline_runtime.database import Database
from towline_runtime.doorbell import DoorbellAway, Ring, open_doorbell
from towline_runtime.doorbells import redis_streams
from towline_runtime.doorbells.redis import GROUP
from towline_runtime.jobs import Jobs
from towline_runtime.running import Running  # noqa: TC001  # the runtime reads the annotation
from towline_runtime.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS = ["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One that these tests may flush."""
    folder = tmp_path_factory.mktemp("own")
    with Redis(folder) if request.param == "redis" else Valkey(folder) as started:
        yield started


@pytest.fixture
def bench(server: Valkey, database_url: str) -> Bench:
    """The transport under test."""
    return Bench("redis", database_url, server.url)


def test_streams_stay_empty(bench: Bench) -> None:
    """After many jobs the streams hold no entry and the group has nothing pending."""

    async def body() -> None:
        async with world_of(bench) as world, Client.from_url(bench.url) as client:
            await world.add(*(bench.job(priority=number % 3 - 1) for number in range(300)))
            await world.take(300, most=40)
            for stream in redis_streams.streams_of(bench.queue):
                assert await client.xlen(stream) == 0
                assert (await client.xpending(stream, GROUP))["pending"] == 0

    asyncio.run(body())


def test_a_flush_while_workers_wait(bench: Bench) -> None:
    """The groups vanish under a blocked read; it makes them again and takes what comes next."""

    async def body() -> None:
        async with world_of(bench) as world, Client.from_url(bench.url) as client:
            await world.add(bench.job())
            await world.take(1)
            task = asyncio.create_task(world.take(5))
            await _until_blocked(client)
            await client.flushall()
            ids = await world.add(*(bench.job() for _ in range(5)))
            assert sorted(claim.id for claim in await task) == ids

    asyncio.run(body())


def test_rings_added_before_any_worker_are_read(bench: Bench) -> None:
    """The group begins at the start of the stream, so a relay may run before the first worker."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(*(bench.job() for _ in range(5)))
            await world.until_waiting(5)
            assert [claim.id for claim in await world.take(5)] == ids

    asyncio.run(body())


def test_a_worker_that_leaves_gives_back_what_it_read(bench: Bench) -> None:
    """Rings that were read but could not be claimed are there for others at once, and no consumer is left."""

    async def body() -> None:
        async with world_of(bench) as world, Client.from_url(bench.url) as client:
            ids = await world.add(*(bench.job() for _ in range(4)))
            await world.until_waiting(4)
            await _read_without_claiming(bench)
            assert await client.xinfo_consumers(redis_streams.stream_of(bench.queue, 0), GROUP) == []
            assert [claim.id for claim in await world.take(4)] == ids

    asyncio.run(body())


def test_tidy_clears_what_a_dead_worker_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that were read and never claimed, and the consumer that read them, go after their time."""

    async def body() -> None:
        async with world_of(bench) as world, Client.from_url(bench.url) as client:
            stream = redis_streams.stream_of(bench.queue, 0)
            await world.add(*(bench.job() for _ in range(4)))
            await world.until_waiting(4)
            await client.xgroup_create(stream, GROUP, "0")
            await client.xreadgroup(GROUP, "dead", {stream: ">"}, count=3)
            assert await world.bell.waiting(bench.queue) == 1
            assert await world.bell.tidy([bench.queue, "never-used"]) == 0
            monkeypatch.setattr(redis_streams, "LEFT_BEHIND", 0.0)
            monkeypatch.setattr(redis_streams, "GONE", 0.0)
            async with asyncio.timeout(DEADLINE):
                cleared = 0
                while cleared < 3:
                    cleared += await world.bell.tidy([bench.queue])
                while await client.xinfo_consumers(stream, GROUP):
                    await world.bell.tidy([bench.queue])
            assert await client.xlen(stream) == 1
            assert await world.bell.waiting(bench.queue) == 1

    asyncio.run(body())


def test_an_answer_that_got_lost_is_read_again(bench: Bench) -> None:
    """When a connection breaks while rings are on their way, the same worker finds them at its next look."""

    async def body() -> None:
        async with world_of(bench) as world, Client.from_url(bench.url) as client:
            await world.add(bench.job())
            await world.take(1)
            (consumer,) = await client.xinfo_consumers(redis_streams.stream_of(bench.queue, 0), GROUP)
            ids = await world.add(bench.job(), bench.job())
            await world.until_waiting(2)
            stream = redis_streams.stream_of(bench.queue, 0)
            # As if the server had answered this worker and the answer never came.
            await client.xreadgroup(GROUP, consumer["name"], {stream: ">"}, count=2)
            waiting = asyncio.create_task(world.take(2))
            await _until_blocked(client)
            await client.client_kill_filter(_type="normal", skipme=True)
            assert [claim.id for claim in await waiting] == ids

    asyncio.run(body())


def test_a_server_that_refuses_is_away(bench: Bench) -> None:
    """A wrong password, a full server or a key of another type all raise DoorbellAway, without the password."""

    async def body() -> None:
        async with Database.open(bench.database_url) as database, Client.from_url(bench.url) as client:
            wrong = bench.url.replace("a-password", "not-the-password")
            async with open_doorbell(wrong, database, [bench.queue]) as bell:
                with pytest.raises(DoorbellAway) as refused:
                    await bell.waiting(bench.queue)
                assert "not-the-password" not in str(refused.value)
            async with open_doorbell(bench.url, database, [bench.queue]) as bell:
                await client.config_set("maxmemory", 1)
                with pytest.raises(DoorbellAway):
                    await bell.ring([Ring(1, bench.queue), Ring(2, bench.queue)])
                await client.config_set("maxmemory", 0)
                assert await bell.waiting(bench.queue) == 0
                await client.set(redis_streams.stream_of(bench.queue, 0), "something else")
                ring = Ring(1, bench.queue)
                assert await bell.ring([ring]) == [ring]
                with pytest.raises(DoorbellAway):
                    await bell.waiting(bench.queue)

    asyncio.run(body())


def test_a_take_does_not_read_more_than_was_asked(bench: Bench) -> None:
    """With rings in every stream of two queues, a worker with one free slot leaves the others to others."""

    async def body() -> None:
        second = Bench("redis", bench.database_url, bench.url)
        async with world_of(bench) as world, world_of(second) as other:
            queues = [bench.queue, second.queue]
            await world.add(*(bench.job(priority=level) for level in (1, 0, -1) for _ in range(3)))
            await other.add(*(second.job(priority=level) for level in (1, 0, -1) for _ in range(3)))
            await world.until_waiting(9)
            await other.until_waiting(9)
            async with open_doorbell(bench.url, world.database, queues) as both:
                taken = await both.take(world.claims(), KINDS, 1, 1.0)
                counts = [await both.waiting(queue) for queue in queues]
            assert len(taken) == 1
            assert counts == [8, 9]

    asyncio.run(body())


def test_a_kind_without_room_here_is_rung_again(bench: Bench) -> None:
    """A worker with room for two jobs of a kind runs all eight that are rung, never three at once."""
    jobs = Jobs()
    running: list[int] = []
    most: list[int] = []
    done: list[int] = []

    @jobs.kind("narrow", queue=bench.queue, concurrency=2)
    async def narrow(job: Running) -> None:
        running.append(job.id)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.remove(job.id)
        done.append(job.id)

    async def body() -> None:
        async with world_of(bench) as world:
            worker = Worker(jobs, world.database, world.bell, WorkerOptions(concurrency=20))
            task = asyncio.create_task(worker.run())
            ids = await world.add(*(narrow.enqueue() for _ in range(8)))
            async with asyncio.timeout(DEADLINE):
                while len(done) < 8:
                    await asyncio.sleep(0.05)
            worker.stop()
            await task
            assert sorted(done) == ids
            assert max(most) <= 2

    asyncio.run(body())


class TlsRedis(Redis):
    """Redis that only speaks TLS, with a certificate of the test's own."""

    @property
    def url(self) -> str:
        """With the certificate to trust."""
        return f"rediss://:{PASSWORD}@localhost:{self.port}/0?ssl_ca_certs={self.folder}/cert.pem"

    def argv(self) -> list[str]:
        """No plain port at all."""
        if not (self.folder / "cert.pem").exists():
            make_certificate(self.folder)
        certificate, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        keys = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate]
        encrypted = [word if word != "--port" else "--tls-port" for word in super().argv()]
        return [*encrypted, "--port", "0", *keys, "--tls-auth-clients", "no"]


@pytest.mark.needs("redis-server")
def test_rediss_is_encrypted_and_checked(database_url: str, tmp_path: Path) -> None:
    """Jobs arrive over TLS; a certificate that is not trusted is refused."""
    with TlsRedis(tmp_path / "tls") as server:
        bench = Bench("redis", database_url, server.url)

        async def body() -> None:
            async with world_of(bench) as world:
                ids = await world.add(bench.job(), bench.job())
                assert [claim.id for claim in await world.take(2)] == ids
                async with open_doorbell(server.url.partition("?")[0], world.database, [bench.queue]) as doubtful:
                    with pytest.raises(DoorbellAway, match=r"(?i)certificate"):
                        await doubtful.waiting(bench.queue)

        asyncio.run(body())


async def _read_without_claiming(bench: Bench) -> None:
    class Away:
        """Claims of a worker whose database is away."""

        async def claim_rung(self, ids: object, kinds: object) -> None:
            raise ConnectionResetError

    async with (
        Database.open(bench.database_url) as database,
        open_doorbell(bench.url, database, [bench.queue]) as bell,
    ):
        with pytest.raises(ConnectionResetError):
            await bell.take(Away(), KINDS, 10, 1.0)  # type: ignore[arg-type]


def make_certificate(folder: Path) -> None:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


async def _until_blocked(client: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while (await client.info("clients"))["blocked_clients"] < 1:
            await asyncio.sleep(0.01)
