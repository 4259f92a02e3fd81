"""One suite for every doorbell: Postgres alone, Valkey, Redis, SQS standard and SQS FIFO, all real servers."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.contract.doorbell_bench import DEADLINE, KINDS, Bench, World, make_queues, world_of
from tests.real_servers import Postgres, Redis, Sqs, Valkey

from towline_runtime.claims import Claim, Claims
from towline_runtime.database import AWAY
from towline_runtime.doorbell import Ring
from towline_runtime.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterator, Sequence
    from pathlib import Path
    from typing import Any

TRANSPORTS = ["postgres", "valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server")), "sqs", "sqs-fifo"]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis that the tests of this file share."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anything")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest, database_url: str) -> Bench:
    """Each transport in turn, with a queue of the test's own."""
    match request.param:
        case "postgres":
            return Bench("postgres", database_url, "postgres:", counts=False)
        case "valkey":
            return Bench("valkey", database_url, request.getfixturevalue("valkey").url)
        case "redis":
            return Bench("redis", database_url, request.getfixturevalue("redis_server").url)
        case "sqs":
            return _sqs_bench(database_url, request.getfixturevalue("sqs"), fifo=False)
        case _:
            return _sqs_bench(database_url, request.getfixturevalue("sqs"), fifo=True)


def _sqs_bench(database_url: str, sqs: Sqs, *, fifo: bool) -> Bench:
    options = "&fifo=true" if fifo else ""
    url = f"sqs://us-east-1/app-?endpoint={sqs.url}{options}"
    made = Bench("sqs-fifo" if fifo else "sqs", database_url, url, ordered=fifo, priorities=False)
    make_queues(sqs, f"app-{made.queue}{'.fifo' if fifo else ''}")
    return made


def run(body: Coroutine[Any, Any, None]) -> None:
    """Await a test's body, which may not hang."""
    asyncio.run(asyncio.wait_for(body, 2 * DEADLINE))


def test_every_enqueued_job_is_claimed_once(bench: Bench) -> None:
    """Rings arrive for all jobs of a transaction, and none is left over."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(*(bench.job() for _ in range(25)))
            taken = await world.take(25)
            assert sorted(claim.id for claim in taken) == ids
            await world.takes_nothing()
            await world.until_waiting(0)

    run(body())


def test_doubled_and_stale_rings_claim_nothing(bench: Bench) -> None:
    """A ring for a job that runs or is done is forgotten."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(bench.job(), bench.job())
            taken = await world.take(2)
            await world.claims().finish([(taken[0], None)])
            refused = await world.bell.ring([Ring(job, bench.queue, number=job + 1000) for job in ids * 2])
            assert refused == []
            await world.takes_nothing()
            await world.until_waiting(0)
            assert await world.column("attempt", ids) == [1, 1]

    run(body())


def test_rings_of_jobs_that_are_not_there_are_forgotten(bench: Bench) -> None:
    """An id without a row, as after restoring an old backup, neither claims nor comes again."""

    async def body() -> None:
        async with world_of(bench) as world:
            await world.bell.ring([Ring(10**12 + number, bench.queue, number=number) for number in range(3)])
            await world.takes_nothing()
            await world.until_waiting(0)

    run(body())


def test_a_job_of_an_unknown_kind_reaches_a_worker_that_knows_it(bench: Bench) -> None:
    """A worker that does not know the kind passes it on without claiming, and does not spin."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(bench.job())
            await world.takes_nothing(kinds={"another"})
            assert await world.column("attempt", ids) == [0]
            knows = await world.another_bell()
            taken = await world.take(1, bell=knows)
            assert [claim.id for claim in taken] == ids

    run(body())


def test_rings_that_nobody_knows_go_round_slowly(bench: Bench) -> None:
    """Passing on writes an outbox row of a job only when the one before is due, however often its ring is doubled."""

    async def body() -> None:
        async with world_of(bench) as world:
            (job,) = await world.add(bench.job())
            await world.bell.ring([Ring(job, bench.queue, number=number) for number in range(8)])
            await world.takes_nothing(kinds={"another"})
            async with world.database.connection() as connection:
                # The row of the enqueue itself may not be deleted yet: it is due since ever.
                query = "select due from towline.outbox where job_id = $1 and due <> '-infinity' order by due"
                dues = [row["due"] for row in await connection.fetch(query, job)]
            # It is made once the one before is due, and due 0.8 s later at the earliest.
            assert all(later - sooner >= timedelta(seconds=0.79) for sooner, later in pairwise(dues))

    run(body())


def test_a_lane_keeps_its_order(bench: Bench) -> None:
    """Rings of one lane arrive in the order of their jobs, over several takes, where the transport promises it."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = []
            for _ in range(6):
                ids += await world.add(*(bench.job(lane="customer-7") for _ in range(5)))
            arrived = [claim.id for claim in await world.take(30, most=7)]
            assert (arrived if bench.ordered else sorted(arrived)) == ids

    run(body())


def test_higher_priorities_go_first(bench: Bench) -> None:
    """With all three waiting, the claims come by priority, where the transport promises it."""

    async def body() -> None:
        async with world_of(bench) as world:
            waiting = [bench.job(priority=level) for level in (-1, 0, 1) for _ in range(4)]
            ids = await world.add(*waiting)
            await world.until_waiting(12)
            arrived = [claim.id for claim in await world.take(12, most=3)]
            by_priority = [*ids[8:], *ids[4:8], *ids[:4]]
            assert arrived == by_priority if bench.priorities else sorted(arrived) == ids

    run(body())


def test_a_paused_queue_rests_and_loses_nothing(bench: Bench) -> None:
    """Jobs rung before the pause and jobs added during it wait, and are claimed after it."""

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(bench.job(), bench.job())
            await world.until_waiting(2)
            await world.pause(on=True)
            ids += await world.add(bench.job())
            await world.takes_nothing()
            assert await world.column("attempt", ids) == [0, 0, 0]
            await world.pause(on=False)
            assert sorted(claim.id for claim in await world.take(3)) == ids

    run(body())


def test_several_workers_share(bench: Bench) -> None:
    """Three consumers take each job once between them."""

    async def body() -> None:
        async with world_of(bench) as world:
            bells = [world.bell, await world.another_bell(), await world.another_bell()]
            ids = await world.add(*(bench.job() for _ in range(60)))
            taken: list[Claim] = []

            async def consume(bell: Any) -> None:
                while len(taken) < len(ids):
                    taken.extend(await bell.take(world.claims(), KINDS, 5, 1.0))

            await asyncio.gather(*(consume(bell) for bell in bells))
            assert sorted(claim.id for claim in taken) == ids

    run(body())


def test_waiting_counts_what_nobody_has_taken(bench: Bench) -> None:
    """About how many rings there are, or None where that is not known."""

    async def body() -> None:
        async with world_of(bench) as world:
            if not bench.counts:
                assert await world.bell.waiting(bench.queue) is None
                return
            await world.until_waiting(0)
            await world.add(*(bench.job() for _ in range(12)))
            await world.until_waiting(12)
            await world.take(12)
            await world.until_waiting(0)
            assert await world.bell.tidy([bench.queue]) == 0

    run(body())


def test_a_claim_that_fails_is_tried_again(bench: Bench) -> None:
    """When Postgres is away just after rings were read, the next take claims their jobs."""

    class Failing(Claims):
        """Away at the first call."""

        calls: list[int] = []  # noqa: RUF012  # one list for the one instance

        async def claim(self, wanted: Sequence[tuple[str, int]], kinds: Collection[str], most: int) -> list[Claim]:
            self._fail_once()
            return await super().claim(wanted, kinds, most)

        async def claim_rung(self, ids: Sequence[int], kinds: Collection[str]) -> list[Claim]:
            self._fail_once()
            return await super().claim_rung(ids, kinds)

        def _fail_once(self) -> None:
            self.calls.append(1)
            if len(self.calls) == 1:
                raise ConnectionResetError

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(*(bench.job() for _ in range(3)))
            await world.until_waiting(3)
            claims = Failing(world.database, "one", 30.0)
            taken: list[Claim] = []
            failures = 0
            while len(taken) < 3:
                try:
                    taken += await world.bell.take(claims, KINDS, 10, 1.0)
                except ConnectionResetError:
                    failures += 1
            assert failures == 1
            assert sorted(claim.id for claim in taken) == ids

    run(body())


def test_a_take_that_is_cancelled_keeps_nothing(bench: Bench) -> None:
    """Cancelled between the claim and its answer, the jobs are handed back with their attempt."""
    claimed = asyncio.Event()
    answer = asyncio.Event()

    class Slow(Claims):
        """Claims at once and answers late."""

        async def claim(self, wanted: Sequence[tuple[str, int]], kinds: Collection[str], most: int) -> list[Claim]:
            return await self._late(await super().claim(wanted, kinds, most))

        async def claim_rung(self, ids: Sequence[int], kinds: Collection[str]) -> list[Claim]:
            return await self._late(await super().claim_rung(ids, kinds))

        async def _late(self, found: list[Claim]) -> list[Claim]:
            if found:
                claimed.set()
                await answer.wait()
            return found

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(bench.job())
            slow = Slow(world.database, "slow", 600.0)

            async def consume() -> None:
                while True:
                    await world.bell.take(slow, KINDS, 10, 1.0)

            task = asyncio.create_task(consume())
            await asyncio.wait_for(claimed.wait(), DEADLINE)
            task.cancel()
            answer.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            (claim,) = await world.take(1)
            assert (claim.id, claim.attempt) == (ids[0], 1)

    run(body())


def test_closing_is_prompt_and_leaves_rings_to_others(bench: Bench) -> None:
    """A worker that waits for long can end at once, and what comes later is taken by another."""

    async def body() -> None:
        async with world_of(bench) as world:
            leaving = await world.another_bell()
            task = asyncio.create_task(leaving.take(world.claims(), KINDS, 10, 20.0))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await leaving.close()
            ids = await world.add(*(bench.job() for _ in range(5)))
            assert sorted(claim.id for claim in await world.take(5)) == ids

    run(body())


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_server_that_is_restarted_is_found_again(name: str, tmp_path: Path) -> None:
    """A worker that waits while its servers go and come back goes on, and so does the relay."""
    with Postgres(tmp_path / "postgres") as postgres, _bell_server(name, tmp_path / "bell") as server:
        asyncio.run(migrate(postgres.create("app")))
        url = postgres.url_of("app")
        if isinstance(server, Sqs):
            own = _sqs_bench(url, server, fifo=name == "sqs-fifo")
        else:
            own = Bench(name, url, "postgres:" if name == "postgres" else server.url, counts=name != "postgres")
        restarted = postgres if name == "postgres" else server

        async def body() -> None:
            async with world_of(own) as world:
                await world.add(own.job())
                await world.take(1)
                waiting = asyncio.create_task(world.take(3))
                await asyncio.to_thread(restarted.kill)
                await asyncio.to_thread(restarted.start)
                if isinstance(server, Sqs):
                    # Moto forgets its queues; Amazon does not.
                    make_queues(server, f"app-{own.queue}{'.fifo' if name == 'sqs-fifo' else ''}")
                ids = await _add_when_back(world, 3)
                assert sorted(claim.id for claim in await waiting) == ids

        run(body())


def _bell_server(name: str, folder: Path) -> Valkey | Sqs:
    if name.startswith("sqs"):
        return Sqs(folder)
    return Redis(folder) if name == "redis" else Valkey(folder)


async def _add_when_back(world: World, count: int) -> list[int]:
    while True:
        try:
            return await world.add(*(world.bench.job() for _ in range(count)))
        except AWAY:
            await asyncio.sleep(0.05)
