"""Nothing is lost and nothing happens twice while relays and the doorbells' servers are killed, frozen and emptied."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING

import boto3
import psutil
import pytest
import redis
from tests.lab.bell_lab import Lab
from tests.real_servers import Sqs, Valkey, until

from towline_runtime.claims import Claims
from towline_runtime.database import Database
from towline_runtime.doorbell import open_doorbell
from towline_runtime.sweeper import Sweeper, SweeperOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOWN = 15.0  # seconds without Redis: longer than the longest pause between two tries


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, to be stopped and flushed."""
    with Valkey(tmp_path / "valkey") as started:
        yield started


@pytest.fixture
def lab(database_url: str, server: Valkey, tmp_path: Path) -> Lab:
    """The app on it."""
    made = Lab(database_url, server.url, tmp_path)
    made.prepare()
    return made


def test_enqueueing_goes_on_while_redis_is_down(lab: Lab, server: Valkey) -> None:
    """With Redis killed for a while every enqueue succeeds, and then every job runs exactly once."""
    added: list[int] = []
    stop = threading.Event()

    def produce() -> None:
        while not stop.is_set():
            added.extend(lab.add(1))
            stop.wait(0.02)

    producer = threading.Thread(target=produce)
    with lab.worker() as worker:
        producer.start()
        try:
            until(lambda: lab.number("select count(*) from effect") > 20, "jobs run before the fault")
            server.kill()
            before, spent = len(added), _processor_seconds(worker.pid)
            time.sleep(DOWN)  # the fault itself
            during, spent = len(added) - before, _processor_seconds(worker.pid) - spent
            server.start()
        finally:
            stop.set()
            producer.join()
        assert during > 20
        assert spent < DOWN / 3, "the worker spins"
        lab.until_effects(len(added))
    print(f"enqueued {len(added)}, {during} of them without Redis ({spent:.1f} CPU s): each ran once")  # noqa: T201  # counts for whoever runs it with -s


def test_a_relay_killed_between_publishing_and_committing(lab: Lab, server: Valkey) -> None:
    """Its rows stay in the outbox and are published again: rings are doubled, effects are not."""
    added = lab.add(300)
    with lab.process("odd_relay.py", "killed after") as relay:
        assert relay.wait(60) == -signal.SIGKILL
    assert lab.number("select count(*) from towline.outbox") == len(added)
    with redis.Redis.from_url(server.url) as client:
        assert client.xlen("towline:marks:normal") == len(added)
        with lab.process("odd_relay.py", "none"):
            until(lambda: not lab.number("select count(*) from towline.outbox"), "an empty outbox")
        doubled = client.xlen("towline:marks:normal")
        assert doubled == 2 * len(added)
        with lab.worker():
            lab.until_effects(len(added))
            until(lambda: client.xlen("towline:marks:normal") == 0, "all rings forgotten")
    print(f"{doubled} rings for {len(added)} jobs: each ran once")  # noqa: T201  # counts for whoever runs it with -s


def test_a_flushed_redis_loses_nothing(lab: Lab, server: Valkey) -> None:
    """Every waiting job is rung again by the sweeper, also for a worker that is already waiting."""
    added = lab.add(200)
    with redis.Redis.from_url(server.url) as client:
        with lab.process("odd_relay.py", "none"):
            until(lambda: client.xlen("towline:marks:normal") == len(added), "all rings in Redis")
        client.flushall()
        with lab.worker(beside="relay"), _sweeping(lab):
            lab.until_effects(len(added))
            client.flushall()
            added += lab.add(50)
            lab.until_effects(len(added))


def test_a_purged_sqs_loses_nothing(
    database_url: str, sqs: Sqs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a main queue of SQS, named by its address."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anything")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    client = boto3.client("sqs", endpoint_url=sqs.url, region_name="us-east-1")
    main = client.create_queue(QueueName=f"main-{tmp_path.name}")["QueueUrl"]
    monkeypatch.setenv("SQS_MAIN_QUEUE_URL", main)
    lab = Lab(database_url, f"sqs://us-east-1?endpoint={sqs.url}", tmp_path)
    lab.prepare()
    added = lab.add(60)
    with lab.process("odd_relay.py", "none"):
        until(lambda: not lab.number("select count(*) from towline.outbox"), "an empty outbox")
    client.purge_queue(QueueUrl=main)
    with lab.worker(beside="relay"), _sweeping(lab):
        lab.until_effects(len(added))


def test_another_relay_takes_over_from_a_killed_one(lab: Lab, server: Valkey) -> None:
    """Of two relays one is active; when it is killed the other carries on after its lease."""
    with lab.process("odd_relay.py", "none") as first:
        until(lambda: lab.number("select count(*) from towline.lease where expires_at > now()"), "a holder")
        with lab.process("odd_relay.py", "none"), redis.Redis.from_url(server.url) as client:
            lab.add(10)
            until(lambda: client.xlen("towline:marks:normal") == 10, "the first carries")
            first.kill()
            killed = time.monotonic()
            lab.add(10)
            # The killed one may have rung without noting it: those are rung again, so marks may be more than jobs.
            until(lambda: not lab.number("select count(*) from towline.outbox"), "the second carries")
            assert client.xlen("towline:marks:normal") >= 20
            print(f"carried on after {time.monotonic() - killed:.1f} s with a lease of 3 s")  # noqa: T201  # counts for whoever runs it with -s


def test_a_frozen_relay_that_goes_on_keeps_the_order_of_lanes(lab: Lab) -> None:
    """Frozen with a batch in its hands, overtaken, and let go on: its rings are doubled, the lane's order holds."""
    added = lab.add(20, lane="customer-7")
    with lab.process("odd_relay.py", "frozen before") as frozen:
        until(lambda: _state(frozen.pid) == "T", "the first relay is frozen with its batch")
        with lab.process("odd_relay.py", "none"):
            added += lab.add(20, lane="customer-7")
            arrived = asyncio.run(_arrivals(lab, 20))
            assert arrived == added[:20]
            frozen.send_signal(signal.SIGCONT)
            added += lab.add(20, lane="customer-7")
            arrived += asyncio.run(_arrivals(lab, 40))
    assert arrived == added
    assert lab.number("select count(*) from towline.job where attempt <> 1") == 0


def _processor_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def _state(process: int) -> str:
    with open(f"/proc/{process}/stat", encoding="ascii") as stat:  # noqa: PTH123  # no file, but an answer
        return stat.read().rpartition(")")[2].split()[0]


async def _arrivals(lab: Lab, count: int) -> list[int]:
    arrived: list[int] = []
    async with (
        Database.open(lab.database_url) as database,
        open_doorbell(lab.doorbell_url, database, ["marks"]) as bell,
        asyncio.timeout(60),
    ):
        while len(arrived) < count:
            claims = Claims(database, "reader", 30.0)
            taken = await bell.take(claims, ["mark"], min(7, count - len(arrived)), 1.0)
            arrived += [claim.id for claim in taken]
            await claims.finish([(claim, None) for claim in taken])
    return arrived


class _sweeping:  # noqa: N801  # reads as a block
    """A sweeper in a thread, which rings again after one second instead of thirty."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._task = self._loop.create_task(self._sweep())
        self._thread.start()

    def __exit__(self, *failure: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))

    async def _sweep(self) -> None:
        async with (
            Database.open(self._lab.database_url) as database,
            open_doorbell(self._lab.doorbell_url, database, ["marks"]) as bell,
        ):
            await Sweeper(database, bell, ["marks"], SweeperOptions(ring_after=1.0)).run()
