"""The sweeper over a real database: what expires, what is rung again, what is forgotten, and what is left alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.doorbell_bench import DEADLINE, Bench, World, world_of

from towline_runtime.claims import Claims
from towline_runtime.doorbell import DoorbellAway
from towline_runtime.sweeper import Chore, Sweeper, SweeperOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence


class Bell:
    """A doorbell that says how many rings wait."""

    scheme = "played"
    rings_each = 1

    def __init__(self, waiting: int | None = 0, *, away: bool = False) -> None:
        self._waiting = waiting
        self._away = away

    async def waiting(self, queue: str) -> int | None:
        """As it was told."""
        if self._away:
            raise DoorbellAway("played")
        return self._waiting

    async def tidy(self, queues: Sequence[str]) -> int:
        """Nothing, or away."""
        if self._away:
            raise DoorbellAway("played")
        return 0


@pytest.fixture
def bench(database_url: str) -> Bench:
    """A database."""
    return Bench("postgres", database_url, "postgres:")


def run(bench: Bench, body: Callable[[World], Coroutine[Any, Any, None]], scheme: str = "played") -> None:
    """Await a test's body with a world whose queue has this doorbell."""

    async def whole() -> None:
        async with world_of(bench) as world:
            await world.database.fetch("serve_queues", [bench.queue], scheme)
            await body(world)

    asyncio.run(asyncio.wait_for(whole(), 2 * DEADLINE))


def sweeper_of(world: World, bell: Bell, chores: Sequence[Chore] = (), **options: Any) -> Sweeper:
    """A sweeper of the bench's queue over this bell, ten passes a second."""
    settings = SweeperOptions(every=0.1, **options)
    return Sweeper(world.database, bell, [world.bench.queue], settings, chores)  # type: ignore[arg-type]


async def swept(sweeper: Sweeper, until: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Run it until the question is answered with yes."""
    task = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(DEADLINE):
        while not await until():
            assert not task.done(), task.result()
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def outbox(world: World) -> list[tuple[int, str]]:
    """Jobs and topics of the outbox, in order."""
    async with world.database.connection() as connection:
        rows = await connection.fetch("select job_id, topic from towline.outbox order by id")
    return [(row["job_id"], row["topic"]) for row in rows]


async def change(world: World, statement: str, *arguments: object) -> None:
    """Run one statement."""
    async with world.database.connection() as connection:
        await connection.execute(statement, *arguments)


def test_jobs_of_a_dead_worker_go_on_or_end(bench: Bench) -> None:
    """To the next attempt, to the dead letters after the last, and to their end when they were to be cancelled."""

    async def body(world: World) -> None:
        again, last, cancelled, alive = await world.add(bench.job(), bench.job(attempts=1), bench.job(), bench.job())
        await change(world, "delete from towline.outbox")
        dead = Claims(world.database, "dead", 0.05)
        await dead.claim_rung([again, last, cancelled], ["noop"])
        await world.claims().claim_rung([alive], ["noop"])
        await world.database.fetch("ask_cancel", cancelled)

        async def gone() -> bool:
            return "running" not in await world.column("state::text", [again, last, cancelled])

        await swept(sweeper_of(world, Bell(100)), gone)
        states = await world.column("state::text", [again, last, cancelled, alive])
        assert states == ["ready", "dead", "cancelled", "running"]
        assert sorted(await outbox(world)) == [(again, "ring"), (last, "dead")]
        assert await world.column("error", [again]) == ["the worker dead stopped answering during attempt 1"]

    run(bench, body)


def test_more_than_one_batch_expires(bench: Bench) -> None:
    """A pass is bounded; what is left is swept by the next ones."""

    async def body(world: World) -> None:
        ids = await world.add(*(bench.job() for _ in range(35)))
        await Claims(world.database, "dead", 0.01).claim_rung(ids, ["noop"])

        async def gone() -> bool:
            return set(await world.column("state::text", ids)) == {"ready"}

        await swept(sweeper_of(world, Bell(100), batch=10), gone)

    run(bench, body)


@pytest.mark.parametrize("waiting", [0, 2, None])
def test_a_lost_doorbell_is_rung_again_once(bench: Bench, waiting: int | None) -> None:
    """Jobs that are due, with fewer rings waiting than jobs, are rung again, and not again before the time."""

    async def body(world: World) -> None:
        ids = await world.add(*(bench.job() for _ in range(3)))
        (delayed,) = await world.add(bench.job(delay=3600))
        await change(world, "delete from towline.outbox")
        await change(world, "update towline.job set run_at = run_at - interval '40 s'")

        async def rung() -> bool:
            return len(await outbox(world)) >= 3

        await swept(sweeper_of(world, Bell(waiting)), rung)
        assert sorted(await outbox(world)) == [(job, "ring") for job in ids]
        assert await world.column("rung_at", [delayed]) == [None]
        await change(world, "delete from towline.outbox")
        assert await sweeper_of(world, Bell(waiting))._ring_again() == 0
        assert await sweeper_of(world, Bell(waiting), ring_after=0.0)._ring_again() == 3

    run(bench, body)


def test_a_backlog_is_not_rung_again(bench: Bench) -> None:
    """With a ring waiting for each job that is due, or its row still in the outbox, nothing is added."""

    async def body(world: World) -> None:
        await world.add(*(bench.job() for _ in range(3)))
        await change(world, "update towline.job set run_at = run_at - interval '1 h'")
        assert await sweeper_of(world, Bell(0))._ring_again() == 0
        await change(world, "delete from towline.outbox")
        assert await sweeper_of(world, Bell(3))._ring_again() == 0
        assert await sweeper_of(world, Bell(2))._ring_again() == 3

    run(bench, body)


def test_a_doorbell_that_is_away_does_not_keep_leases_from_expiring(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Each chore fails on its own, and says so once."""

    async def body(world: World) -> None:
        ids = await world.add(bench.job(), bench.job())
        await change(world, "delete from towline.outbox")
        await change(world, "update towline.job set run_at = run_at - interval '1 h'")
        await Claims(world.database, "dead", 0.5).claim_rung(ids[:1], ["noop"])

        async def gone() -> bool:
            return await world.column("state::text", ids[:1]) == ["ready"]

        await swept(sweeper_of(world, Bell(away=True), ring_after=0.5), gone)

    run(bench, body)
    waits = [record for record in caplog.records if record.message == "a chore waits"]
    assert sorted(vars(record)["chore"] for record in waits) == ["ring again", "tidy"]


def test_ended_jobs_are_forgotten_after_their_time(bench: Bench) -> None:
    """Done and cancelled ones after days, dead letters after a month, whatever waits or runs never."""

    async def body(world: World) -> None:
        ids = await world.add(*(bench.job() for _ in range(6)))
        ages = [("done", 8), ("done", 6), ("cancelled", 8), ("dead", 8), ("dead", 31), ("ready", 90)]
        for job, (state, days) in zip(ids, ages, strict=True):
            await change(
                world,
                "update towline.job set state = $2::text::towline.job_state, created_at = now() - interval '99 days',"
                " finished_at = case when $2 <> 'ready' then now() - make_interval(days => $3) end where id = $1",
                job,
                state,
                days,
            )

        async def gone() -> bool:
            return len(await world.column("id", ids)) <= 3

        await swept(sweeper_of(world, Bell(100), batch=2), gone)
        assert await world.column("id", ids) == [ids[1], ids[3], ids[5]]

    run(bench, body)


def test_outbox_rows_of_a_queue_that_needs_none_are_swept(bench: Bench) -> None:
    """Jobs enqueued before the first worker told its doorbell leave rows that nobody carries."""

    async def body(world: World) -> None:
        await world.add(*(bench.job() for _ in range(5)))
        assert len(await outbox(world)) == 5
        await world.database.fetch("serve_queues", [bench.queue], "postgres")

        async def empty() -> bool:
            return not await outbox(world)

        await swept(sweeper_of(world, Bell(None), batch=2), empty)

    run(bench, body)


def test_an_attempt_that_runs_very_long_is_reported_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Its worker answers, so it is not taken away; with `cancel_stuck` it is asked to stop."""

    async def body(world: World) -> None:
        stuck, fine = await world.add(bench.job(), bench.job())
        await world.claims().claim_rung([stuck, fine], ["noop"])
        await change(world, "update towline.job set started_at = now() - interval '7 h' where id = $1", stuck)
        sweeper = sweeper_of(world, Bell(100))
        assert [await sweeper._report_stuck() for _ in range(3)] == [1, 1, 1]
        assert await world.column("cancel_asked", [stuck]) == [False]
        await sweeper_of(world, Bell(100), cancel_stuck=True)._report_stuck()
        assert await world.column("cancel_asked", [stuck, fine]) == [True, False]

    run(bench, body)
    told = [record for record in caplog.records if record.message == "a job runs very long"]
    assert len(told) == 2


def test_chores_of_the_app_are_done_too(bench: Bench) -> None:
    """Each in its own time, again at once while it has more to do, and again after its server was away."""
    calls: list[int] = []

    async def chore() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionResetError
        return 10 if len(calls) < 4 else 3

    async def body(world: World) -> None:
        async def called() -> bool:
            return len(calls) >= 4

        chores = [Chore("forget sessions", chore, every=0.2, batch=10)]
        await swept(sweeper_of(world, Bell(100), chores), called)

    run(bench, body)
    assert len(calls) == 4


def test_of_two_sweepers_one_sweeps(bench: Bench) -> None:
    """The second waits for the lease of the first."""

    async def body(world: World) -> None:
        counts = {"one": 0, "two": 0}

        def sweeper(name: str) -> Sweeper:
            async def count() -> int:
                counts[name] += 1
                return 0

            return sweeper_of(world, Bell(100), [Chore("count", count, every=0.0)], owner=name)

        tasks = [asyncio.create_task(sweeper(name).run()) for name in counts]
        async with asyncio.timeout(DEADLINE):
            while sum(counts.values()) < 5:
                await asyncio.sleep(0.02)
        assert min(counts.values()) == 0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(bench, body)
