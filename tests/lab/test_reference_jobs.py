"""The reference app's jobs under faults: each picture is settled once and paid for once, whatever is killed or away."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.reference_lab import Lab, Person, Program, answers, lab, own_database
from tests.lab.reference_provider import KEY, Provider, provider
from tests.real_servers import Postgres, Valkey, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real_servers import Bucket

OTHERS = ("relay", "capture", "sweeper")


@pytest.fixture(scope="module")
def cooly(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, valkey: Valkey, bucket: Bucket
) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("cooly"), postgres, own_database(valkey, 10), bucket) as made:
        yield made


@pytest.fixture(scope="module")
def url(cooly: Lab) -> Iterator[str]:
    """Everything but the worker that makes pictures."""
    with cooly.api(*OTHERS) as address:
        yield address


@dataclass
class Paid:
    """A lab whose pictures come from the stand-in provider."""

    lab: Lab
    provider: Provider
    someone: Person

    @contextmanager
    def worker(self) -> Iterator[Program]:
        """One worker that asks the provider."""
        changes = {"GENERATOR": "http", "IMAGES_API_URL": self.provider.url, "IMAGES_API_KEY": KEY}
        with self.lab.roles("gen", **changes) as program:
            yield program


@pytest.fixture
def paid(cooly: Lab, url: str) -> Iterator[Paid]:
    with provider() as made:
        yield Paid(cooly, made, cooly.person(url))


def at_work(lab: Lab, generation: str, attempt: int = 1) -> None:
    """Wait until an attempt has come some way."""

    def ask() -> bool:
        job = lab.job(generation)
        far = (job["progress"] or {}).get("done", 0) > 0.2
        return bool(far and (job["word"], job["attempt"]) == ("running", attempt))

    until(ask, "a worker at work")


def test_killed_worker_costs_one_credit(cooly: Lab, url: str) -> None:
    """A worker killed in the middle of two pictures: another makes both, and each is captured once."""
    someone = cooly.person(url)
    with cooly.roles("gen", GENERATOR_SECONDS="30") as first:
        made = [someone.ask(prompt) for prompt in ("hills at dawn", "a storm at sea")]
        for one in made:
            at_work(cooly, one)
        first.end(signal.SIGKILL)
    with cooly.roles("gen") as second:
        assert [someone.settled(one)["state"] for one in made] == ["done", "done"]
        assert len(second.lines("Processing job gen.landscape")) == 2
    assert [cooly.job(one)["attempt"] for one in made] == [2, 2]
    kinds = sorted(kind for kind, _ in cooly.ledger(someone.email))
    assert kinds == ["capture", "capture", "grant", "reserve", "reserve"]
    assert someone.credits == 8


def test_told_worker_finishes_its_picture(cooly: Lab, url: str) -> None:
    """On SIGTERM the picture in hand is finished by the same attempt, and the process ends with 0."""
    someone = cooly.person(url)
    with cooly.roles("gen", GENERATOR_SECONDS="4") as worker:
        made = someone.ask()
        at_work(cooly, made)
        assert worker.end() == 0
        assert len(worker.lines("picture done")) == 1
    assert someone.settled(made)["state"] == "done"
    assert cooly.job(made)["attempt"] == 1


def test_lost_picture_gives_the_credit_back(cooly: Lab, url: str) -> None:
    """When the worker of the last attempt dies nobody is left to say so: the sweeper does."""
    someone = cooly.person(url)
    with cooly.roles("gen", GENERATOR_SECONDS="30") as worker:
        made = someone.ask()
        at_work(cooly, made)
        cooly.database.execute(
            "update towline.job set attempt = max_attempts where kind = 'generate' and state = 'running'"
        )
        worker.end(signal.SIGKILL)
    lost = someone.settled(made)
    assert (lost["state"], lost["error"]) == ("failed", "Something went wrong on our side.")
    assert cooly.job(made)["word"] == "dead"
    assert cooly.ledger(someone.email) == [("grant", 10), ("reserve", 9), ("release", 10)]


def test_correlation_id_goes_to_the_worker(cooly: Lab, url: str) -> None:
    """The request's id is in the worker's lines."""
    someone = cooly.person(url)
    with cooly.roles("gen") as worker:
        answer = someone.post("/api/generations", {"prompt": "hills"}, **{"X-Request-ID": "a-request-of-mine"})
        someone.settled(answer.json()["data"]["id"])
        line = until(lambda: worker.lines("Processing job gen.landscape"), "the line")[0]
    assert line["correlation_id"] == "a-request-of-mine"
    assert line["level"] == "info"


@pytest.mark.usefixtures("url")
def test_api_ends_with_open_streams(cooly: Lab) -> None:
    """A stream that waits for a worker is ended when the API is told to, and the API ends with 0."""
    port = free_port()
    with cooly.roles("api", PORT=str(port)) as api:
        url = f"http://localhost:{port}"
        until(lambda: answers(api, url), "the API")
        someone = cooly.person(url)
        made = someone.ask()
        with someone.client.stream("GET", f"/api/generations/{made}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            api.process.send_signal(signal.SIGTERM)
            for _ in lines:
                pass
        assert api.end() == 0
    with cooly.roles("gen"):
        until(lambda: cooly.job(made)["word"] == "done", "the picture is made all the same")


def test_killed_worker_pays_once(paid: Paid) -> None:
    """A worker killed while the provider works: the next one asks under the same key, and one picture is paid for."""
    paid.provider.hold.clear()
    with paid.worker() as first:
        made = paid.someone.ask()
        until(lambda: sum(paid.provider.paid.values()) == 1, "the provider has been asked")
        first.end(signal.SIGKILL)
    with paid.worker():
        until(lambda: sum(paid.provider.asked.values()) == 2, "the provider is asked again")
        paid.provider.hold.set()
        done = paid.someone.settled(made)
    assert done["state"] == "done"
    assert list(paid.provider.paid.values()) == [1]
    assert list(paid.provider.asked.values()) == [2], "both under one key"
    assert paid.lab.ledger(paid.someone.email) == [("grant", 10), ("reserve", 9), ("capture", 9)]
    assert httpx.get(done["imageUrl"]).headers["content-type"] == "image/png"


def test_busy_provider_is_asked_again(paid: Paid) -> None:
    """429 with Retry-After and 503 are tried again under the same key; a picture behind an address is fetched."""
    paid.provider.by_url = True
    paid.provider.will_answer(429, Retry_After="1")
    paid.provider.will_answer(503)
    with paid.worker():
        done = paid.someone.settled(paid.someone.ask())
    assert done["state"] == "done"
    assert list(paid.provider.asked.values()) == [3]
    assert list(paid.provider.paid.values()) == [1]
    assert httpx.get(done["imageUrl"]).headers["content-type"] == "image/jpeg"


def test_refusing_provider_is_asked_once(paid: Paid) -> None:
    """400 is final: the person reads why, and the credit is back."""
    paid.provider.will_answer(400, "That is not a landscape.")
    with paid.worker() as worker:
        failed = paid.someone.settled(paid.someone.ask())
        assert not worker.lines("attempt failed")
    assert failed["error"] == "The image API refused this prompt: That is not a landscape."
    assert (failed["state"], failed["credits"]) == ("failed", "released")
    assert list(paid.provider.asked.values()) == [1]


def test_provider_that_sends_no_picture(paid: Paid) -> None:
    """After four answers that are none the person is told, and the credit is back; the key is in no line."""
    paid.provider.answers.extend([(200, {}, {"data": [{"b64_json": "bm90IGEgcGljdHVyZQ=="}]})] * 4)
    with paid.worker() as worker:
        failed = paid.someone.settled(paid.someone.ask())
        assert KEY not in worker.log.read_text("utf-8")
    assert failed["error"] == "The image API sent something that is no picture. We tried several times."
    assert failed["credits"] == "released"
    assert sum(paid.provider.paid.values()) == 0


def test_redis_away_takes_orders(
    tmp_path: Path, postgres: Postgres, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With Redis killed orders are taken as ever; once it is back every picture is made, once."""
    own = Valkey(tmp_path / "valkey")
    own.start()
    try:
        with lab(tmp_path_factory.mktemp("away"), postgres, own.url, bucket) as away, away.api(*OTHERS, "gen") as url:
            someone = away.person(url)
            assert someone.settled(someone.ask())["state"] == "done"
            own.kill()
            made = [someone.ask(f"hills number {number}") for number in range(3)]
            assert httpx.get(f"{url}/api/health").status_code == 200
            assert {someone.see(one)["state"] for one in made} == {"queued"}
            own.start()
            assert {someone.settled(one)["state"] for one in made} == {"done"}
            assert [kind for kind, _ in away.ledger(someone.email)].count("capture") == 4
            assert {away.job(one)["attempt"] for one in made} == {1}
    finally:
        own.kill()


def test_same_words_same_picture(cooly: Lab) -> None:
    """A prompt gives the same bytes in every process, another prompt others."""
    program = """
import asyncio, hashlib, json, sys
from cooly.generator.landscape import Landscape
from cooly.generator.port import Order
def digest(prompt):
    made = asyncio.run(Landscape(0).make(Order(prompt, "x"), lambda *_: None))
    return [hashlib.sha256(made.data).hexdigest(), made.content_type, made.width, len(made.data)]
print(json.dumps([digest(prompt) for prompt in sys.argv[1:]]))
"""
    prompts = ("Hills at dawn", "hills, at DAWN!", "hills at night")
    one = json.loads(cooly.run(sys.executable, "-c", program, *prompts).stdout)
    assert one[0] == one[1] != one[2]
    assert json.loads(cooly.run(sys.executable, "-c", program, prompts[0]).stdout) == one[:1]
    assert all((kind, width) == ("image/jpeg", 1024) and 20_000 < size < 500_000 for _, kind, width, size in one)


def test_postgres_away_is_said(tmp_path: Path, valkey: Valkey, bucket: Bucket) -> None:
    """With Postgres killed the API lives, answers 503 and says so; once it is back everything goes on by itself."""
    with (
        Postgres(tmp_path / "postgres") as own,
        lab(tmp_path, own, own_database(valkey, 12), bucket) as away,
        away.api(*OTHERS, "gen") as url,
    ):
        someone = away.person(url)
        made = someone.ask()
        assert someone.settled(made)["state"] == "done"
        own.kill()
        refused = someone.client.get("/api/generations")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["error"]["code"] == "away"
        assert httpx.get(f"{url}/livez").status_code == 200
        until(lambda: httpx.get(f"{url}/api/health").status_code == 503, "not ready")
        own.start()
        until(lambda: httpx.get(f"{url}/api/health").status_code == 200, "ready again")
        again = until(lambda: someone.post("/api/generations", {"prompt": "hills"}).status_code == 202, "orders")
        assert again
        until(lambda: len(someone.client.get("/api/generations").json()["data"]) == 2, "both are there")
        until(lambda: someone.see(made)["state"] == "done", "the first is still there")


def test_port_in_use_is_said(cooly: Lab, url: str) -> None:
    """A second API on the same port says why it ends, without a traceback."""
    done = cooly.run(sys.executable, "-m", "cooly", "api", "capture", PORT=url.rpartition(":")[2])
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert "hint: set PORT" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
