"""What only the sqs doorbell does: addresses, dead letters, one main queue, order of lanes, and refused messages."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.contract.doorbell_bench import DEADLINE, Bench, make_queues, world_of

from towline_runtime.doorbell import DoorbellAway, Ring, open_doorbell
from towline_runtime.doorbells.sqs_queue import Note, SqsQueues

if TYPE_CHECKING:
    from tests.real_servers import Sqs


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anything")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")


@pytest.fixture
def client(sqs: Sqs) -> Any:
    """SQS as an operator sees it."""
    return boto3.client("sqs", endpoint_url=sqs.url, region_name="us-east-1")


def test_a_dead_letter_is_visible_in_the_dead_letter_queue(
    database_url: str, sqs: Sqs, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the two addresses of the environment, a buried job is written there as JSON with its reason."""
    bench = Bench("sqs", database_url, f"sqs://us-east-1?endpoint={sqs.url}")
    main, dead = make_queues(sqs, f"main-{bench.queue}", f"dead-{bench.queue}")
    monkeypatch.setenv("SQS_MAIN_QUEUE_URL", main)
    monkeypatch.setenv("SQS_DLQ_QUEUE_URL", dead)

    async def body() -> list[int]:
        async with world_of(bench) as world:
            ids = await world.add(bench.job())
            (claim,) = await world.take(1)
            await world.claims().bury([(claim, "ValueError: no such photo")])
            async with asyncio.timeout(DEADLINE):
                while await world.database.fetch("outbox_rows", [bench.queue], 1):
                    await asyncio.sleep(0.02)
            return ids

    (job,) = asyncio.run(body())
    (message,) = client.receive_message(QueueUrl=dead, WaitTimeSeconds=5)["Messages"]
    letter = json.loads(message["Body"])
    ended_at = letter.pop("ended_at")
    assert letter == {
        "job": job,
        "kind": "noop",
        "queue": bench.queue,
        "attempt": 1,
        "reason": "ValueError: no such photo",
        "correlation_id": None,
    }
    assert ended_at.startswith("20")
    assert "Messages" not in client.receive_message(QueueUrl=main)


def test_a_main_queue_carries_all_queues(database_url: str, sqs: Sqs) -> None:
    """A worker of two queues gets the jobs of both from one address."""
    first = Bench("sqs", database_url, f"sqs://us-east-1?endpoint={sqs.url}&main=main-{database_url[-12:]}")
    second = Bench("sqs", database_url, first.url)
    make_queues(sqs, f"main-{database_url[-12:]}")

    async def body() -> None:
        async with world_of(first) as world, world_of(second) as other:
            ids = await world.add(first.job(), first.job()) + await other.add(second.job())
            async with open_doorbell(first.url, world.database, [first.queue, second.queue]) as both:
                taken = await world.take(3, bell=both)
            assert sorted(claim.id for claim in taken) == ids

    asyncio.run(body())


def test_more_rings_than_one_call_carries(database_url: str, sqs: Sqs) -> None:
    """Eighty rings of mixed lanes go out in tens and are taken in one go by a worker with room for all."""
    bench = Bench("sqs", database_url, f"sqs://us-east-1/app-?endpoint={sqs.url}")
    make_queues(sqs, f"app-{bench.queue}")

    async def body() -> None:
        async with world_of(bench) as world:
            ids = await world.add(*(bench.job(lane=str(number % 3)) for number in range(80)))
            await world.until_waiting(80)
            assert sorted(claim.id for claim in await world.take(80, most=100)) == ids

    asyncio.run(body())


def test_a_ring_that_comes_to_a_full_worker_goes_to_another(database_url: str, sqs: Sqs) -> None:
    """A poll outlasts the call that began it; what it brings while nobody takes is shown to others, not hidden."""
    bench = Bench("sqs", database_url, f"sqs://us-east-1/app-?endpoint={sqs.url}")
    make_queues(sqs, f"app-{bench.queue}")

    async def body() -> None:
        async with world_of(bench) as world:
            assert await world.bell.take(world.claims(), ["noop"], 10, 0.2) == []
            ids = await world.add(bench.job(), bench.job())
            other = await world.another_bell()
            async with asyncio.timeout(20):
                assert sorted(claim.id for claim in await world.take(2, bell=other)) == ids

    asyncio.run(body())


def test_a_queue_that_is_not_there_is_away(database_url: str, sqs: Sqs) -> None:
    """A missing queue is an error to try again after, as it may be made later."""
    bench = Bench("sqs", database_url, f"sqs://us-east-1/missing-?endpoint={sqs.url}")

    async def body() -> None:
        async with world_of(bench) as world:
            with pytest.raises(DoorbellAway, match="SQS"):
                await world.bell.ring([Ring(1, bench.queue)])
            with pytest.raises(DoorbellAway, match="SQS"):
                await world.bell.take(world.claims(), ["noop"], 10, 1.0)
            ids = await world.add(bench.job())
            make_queues(sqs, f"missing-{bench.queue}")
            assert [claim.id for claim in await world.take(1)] == ids

    asyncio.run(body())


def test_messages_of_others_are_forgotten(database_url: str, sqs: Sqs, client: Any) -> None:
    """What is not a ring in our queue neither stops the worker nor comes again."""
    bench = Bench("sqs", database_url, f"sqs://us-east-1/app-?endpoint={sqs.url}")
    (address,) = make_queues(sqs, f"app-{bench.queue}")
    for text in ("hello", "[1]", '{"job": "x"}', '{"job": null}', "{}"):
        client.send_message(QueueUrl=address, MessageBody=text)

    async def body() -> None:
        async with world_of(bench) as world:
            await world.takes_nothing()
            await world.until_waiting(0)

    asyncio.run(body())


def test_of_a_lane_nothing_follows_a_refused_ring() -> None:
    """On a FIFO queue the rings after one that SQS refused stay behind with it; other lanes and batches go on."""

    class Refusing:
        """SQS with one message that it does not take: moto refuses none, so this one call is played."""

        def __init__(self) -> None:
            self.accepted: list[str] = []

        async def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803  # SQS's names
            assert len(Entries) <= 10
            assert len({one["MessageGroupId"] for one in Entries}) == len(Entries)
            refused = [one for one in Entries if one["MessageBody"] == "a1"]
            self.accepted += [one["MessageBody"] for one in Entries if one not in refused]
            return {"Failed": [{"Id": one["Id"]} for one in refused]}

    refusing = Refusing()
    bodies = ["a0", "b0", "a1", "b1", "a2", "b2", *(f"c{number}" for number in range(30))]
    notes = [Note(body, body[0] if body[0] != "c" else body, body) for body in bodies]
    left = asyncio.run(SqsQueues(refusing).send("http://127.0.0.1/1/app.fifo", notes))
    assert [bodies[position] for position in left] == ["a1", "a2"]
    assert sorted(refusing.accepted) == sorted(set(bodies) - {"a1", "a2"})
