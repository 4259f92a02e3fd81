"""The relay over a real outbox: order, refusals, a transport that is away, and two relays at once."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from tests.contract.doorbell_bench import DEADLINE, Bench, World, world_of

from towline_runtime.doorbell import DoorbellAway, Pace, Ring
from towline_runtime.outbox import Nudge
from towline_runtime.relay import Relay, RelayOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any


class Recorder:
    """A doorbell that keeps what it accepted and refuses what it is told to."""

    scheme = "recorder"
    rings_each = 1

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.away = 0
        self.refuses: Callable[[Ring], bool] = lambda ring: False

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """Accept, refuse or be away."""
        if self.away:
            self.away -= 1
            raise DoorbellAway("played")
        await asyncio.sleep(0)
        refused = [ring for ring in rings if self.refuses(ring)]
        self.rings += [ring for ring in rings if ring not in refused]
        return refused

    async def until(self, count: int) -> list[int]:
        """The jobs of the rings, once there are so many."""
        async with asyncio.timeout(DEADLINE):
            while len(self.rings) < count:
                await asyncio.sleep(0.01)
        return [ring.job for ring in self.rings]


@pytest.fixture
def bench(database_url: str) -> Bench:
    """A database; its jobs' queue is never told to be of the postgres doorbell, so it has an outbox."""
    return Bench("postgres", database_url, "postgres:")


def relay_of(world: World, bell: Recorder, **options: Any) -> Relay:
    """A relay of the bench's queue over this bell."""
    return Relay(world.database, bell, [world.bench.queue], RelayOptions(**options))  # type: ignore[arg-type]


async def with_outbox(world: World) -> None:
    """Let enqueueing write outbox rows, as any doorbell but Postgres wants them."""
    await world.database.fetch("serve_queues", [world.bench.queue], Recorder.scheme)


def run(bench: Bench, body: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Await a test's body with a world whose queue has an outbox."""

    async def whole() -> None:
        async with world_of(bench) as world:
            await with_outbox(world)
            await body(world)

    asyncio.run(asyncio.wait_for(whole(), 2 * DEADLINE))


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel and await."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_rings_go_out_in_order_over_many_batches(bench: Bench) -> None:
    """Seventy rows in batches of eight arrive in the order of their jobs, each once, and the outbox is empty."""

    async def body(world: World) -> None:
        bell = Recorder()
        ids = await world.add(*(bench.job(lane=str(number % 3)) for number in range(70)))
        task = asyncio.create_task(relay_of(world, bell, batch=8).run())
        assert await bell.until(70) == ids
        assert not await world.database.fetch("outbox_rows", [bench.queue], 1)
        await end(task)

    run(bench, body)


def test_a_delayed_job_is_rung_when_it_is_due(bench: Bench) -> None:
    """Its row waits in the outbox until then, while later ones go."""

    async def body(world: World) -> None:
        bell = Recorder()
        late, soon = await world.add(bench.job(delay=1.0), bench.job())
        task = asyncio.create_task(relay_of(world, bell).run())
        assert await bell.until(2) == [soon, late]
        (ready,) = await world.column("run_at <= clock_timestamp()", [late])
        assert ready
        await end(task)

    run(bench, body)


def test_what_is_refused_stays_and_goes_out_later(bench: Bench) -> None:
    """Under its old number, so that its lane keeps its order; the others have gone."""

    async def body(world: World) -> None:
        bell = Recorder()
        ids = await world.add(*(bench.job(lane="a" if number < 3 else None) for number in range(6)))
        bell.refuses = lambda ring: ring.lane == "a"
        task = asyncio.create_task(relay_of(world, bell).run())
        assert await bell.until(3) == ids[3:]
        ids += await world.add(bench.job(lane="a"))
        bell.refuses = lambda ring: False
        assert (await bell.until(7))[3:] == [*ids[:3], ids[6]]
        await end(task)

    run(bench, body)


def test_while_the_transport_is_away_rows_stay(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It tries again until the transport is back, with few words."""

    async def body(world: World) -> None:
        bell = Recorder()
        bell.away = 5
        ids = await world.add(*(bench.job() for _ in range(4)))
        task = asyncio.create_task(relay_of(world, bell).run())
        assert await bell.until(4) == ids
        await end(task)

    run(bench, body)
    told = [record for record in caplog.records if "trying again" in record.message]
    assert 1 <= len(told) < 5


def test_two_relays_at_once_keep_the_order_of_lanes(bench: Bench) -> None:
    """Even without a lease between them: some rings are doubled, and the first ring of each job is in its place."""

    async def body(world: World) -> None:
        bell = Recorder()
        tasks = [
            asyncio.create_task(relay_of(world, bell, batch=5, owner=name, lease=lease)._carry())
            for name, lease in (("one", 10.0), ("two", 10.0))
        ]
        ids = []
        for _ in range(10):
            ids += await world.add(*(bench.job(lane=str(number % 2)) for number in range(20)))
        async with asyncio.timeout(DEADLINE):
            while {ring.job for ring in bell.rings} != set(ids):
                await asyncio.sleep(0.01)
        lanes: defaultdict[str | None, dict[int, None]] = defaultdict(dict)
        for ring in bell.rings:
            lanes[ring.lane].setdefault(ring.job)
        assert all(list(jobs) == sorted(jobs) for jobs in lanes.values())
        await end(*tasks)

    run(bench, body)


def test_a_nudge_saves_the_wait(bench: Bench) -> None:
    """With half a minute between two looks, a nudge after the commit lets the relay look at once."""

    async def body(world: World) -> None:
        bell = Recorder()
        task = asyncio.create_task(relay_of(world, bell, pace=Pace(busy=300.0, idle=300.0)).run())
        nudge = Nudge(world.database)
        async with asyncio.timeout(DEADLINE):
            for count in (1, 2):
                await world.add(bench.job())
                while len(bell.rings) < count:
                    nudge(bench.queue)  # again and again: the relay may not listen yet
                    await asyncio.sleep(0.05)
        await nudge.close()
        await end(task)

    run(bench, body)


def test_a_paused_queue_keeps_its_rows(bench: Bench) -> None:
    """No ring goes out while the queue is paused, and all go when it is not."""

    async def body(world: World) -> None:
        bell = Recorder()
        await world.pause(on=True)
        ids = await world.add(bench.job(), bench.job())
        assert await relay_of(world, bell)._move() == 0
        assert await relay_of(world, bell)._move() == 0
        await world.pause(on=False)
        assert await relay_of(world, bell)._move() == 2
        assert [ring.job for ring in bell.rings] == ids

    run(bench, body)


def test_rings_tell_priority_and_dead_letters(bench: Bench) -> None:
    """A ring has the priority of its job; that of a dead letter has the letter."""

    async def body(world: World) -> None:
        bell = Recorder()
        high, low = await world.add(bench.job(priority=1), bench.job(priority=-1))
        relay = relay_of(world, bell)
        assert await relay._move() == 2
        assert [(ring.job, ring.priority, ring.topic) for ring in bell.rings] == [(high, 1, "ring"), (low, -1, "ring")]
        claimed = await world.claims().claim_rung([low], ["noop"])
        await world.claims().bury([(claimed[0], "no use")])
        assert await relay._move() == 1
        letter = bell.rings[-1].letter
        assert letter is not None
        assert json.loads(letter)["reason"] == "no use"

    run(bench, body)
