"""The postcards app on real servers: cards are made once, whatever happens to its processes."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import psycopg
import pytest
import redis
from psycopg.rows import dict_row
from tests.lab.postcards_servers import APP, BUCKET, PYTHON, Program, Servers, servers
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = (APP / "sample" / "photo.jpg").read_bytes()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with the app's tables."""
    if not PYTHON.exists():
        subprocess.run(["python3", "-m", "venv", APP / ".venv"], check=True)
        install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
        subprocess.run([str(PYTHON), *install], cwd=APP, check=True)
    with servers(tmp_path_factory.mktemp("lab")) as started:
        migrate(started)
        yield started


@pytest.fixture(scope="module")
def shared_api(lab: Servers) -> Iterator[httpx.Client]:
    """One API for all tests that do not stop it."""
    with lab.api() as (_, client):
        yield client


@pytest.fixture
def database(lab: Servers) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A look into the database, emptied before, with an empty queue."""
    with (
        psycopg.connect(lab.database_url, autocommit=True, row_factory=dict_row) as connection,
        redis.Redis.from_url(lab.redis_url) as queue,
    ):
        connection.execute("truncate cards")
        queue.flushdb()
        yield connection


@pytest.fixture
def api(shared_api: httpx.Client, database: psycopg.Connection[dict[str, Any]]) -> httpx.Client:
    """The API over empty stores."""
    return shared_api


def migrate(lab: Servers, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the app's migration."""
    argv = [str(PYTHON), "-m", "postcards.migrate"]
    return subprocess.run(argv, cwd=APP, env=lab.environ(**changes), capture_output=True, text=True, check=True)


def post(api: httpx.Client, photo: bytes = SAMPLE, greeting: str = "Hello", request_id: str = "test") -> str:
    """Upload a photo and give the id of its card."""
    answer = api.post(
        "/api/cards", files={"photo": photo}, data={"greeting": greeting}, headers={"X-Request-ID": request_id}
    )
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"id": answer.json()["id"], "state": "queued", "url": f"/api/cards/{answer.json()['id']}"}
    return str(answer.json()["id"])


def reached(api: httpx.Client, card_id: str, state: str) -> dict[str, Any]:
    """Wait until a card is in a state and give it."""

    def ask() -> dict[str, Any] | None:
        card: dict[str, Any] = api.get(f"/api/cards/{card_id}").json()
        return card if card["state"] == state else None

    return until(ask, f"card {card_id} {state}")


def row(database: psycopg.Connection[dict[str, Any]], card_id: str) -> dict[str, Any]:
    """Read the row of a card."""
    found = database.execute("select * from cards where id = %s", (card_id,)).fetchone()
    assert found is not None
    return found


def png(width: int, height: int, *, body: bool = True) -> bytes:
    """Make a PNG of one colour ramp; without `body` only its header is there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    line = b"\0" + bytes(x % 251 for x in range(width * 3))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(line * height if body else b"", 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Read width and height from a JPEG's frame header."""
    at = 2
    while data[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])


def frozen_at_work(worker: Program, api: httpx.Client, database: psycopg.Connection[dict[str, Any]]) -> str:
    """Give a worker photos that take long until it could be frozen in the middle of one, and the id of that."""
    for _ in range(10):
        card_id = post(api, png(5000, 4900))
        until(lambda: row(database, card_id)["state"] != "queued", "the worker at work")  # noqa: B023  # asked at once
        worker.process.send_signal(signal.SIGSTOP)
        if row(database, card_id)["state"] == "working":
            return card_id
        worker.process.send_signal(signal.SIGCONT)
    raise AssertionError("the worker was never caught in the middle of a card")


def lines(program: Program) -> list[dict[str, Any]]:
    """Read what a process has logged."""
    return [json.loads(line) for line in program.log.read_text("utf-8").splitlines()]


def test_photo_becomes_a_card(lab: Servers, api: httpx.Client) -> None:
    """A card is public, of the promised size and in the gallery; the photo opens only by a signed link."""
    with lab.part("worker") as worker:
        card_id = post(api, greeting="  Grüße   vom See ", request_id="from-the-test")
        card = reached(api, card_id, "done")
        made = until(lambda: [line for line in lines(worker) if line["message"] == "card done"], "log line")
    assert card == {
        "id": card_id,
        "state": "done",
        "greeting": "Grüße vom See",
        "image_url": f"{lab.s3_endpoint}/{BUCKET}/cards/{card_id}.jpg",
        "error": None,
    }
    image = httpx.get(card["image_url"])
    assert (image.status_code, image.headers["content-type"]) == (200, "image/jpeg")
    assert jpeg_size(image.content) == (1200, 800)
    assert api.get("/api/cards").json() == {"cards": [card]}
    assert httpx.get(f"{lab.s3_endpoint}/{BUCKET}/photos/{card_id}").status_code == 403
    original = httpx.get(f"{api.base_url}/api/cards/{card_id}/original", follow_redirects=True)
    assert (original.content, original.headers["content-type"]) == (SAMPLE, "image/jpeg")
    assert (made[0]["card_id"], made[0]["request_id"]) == (card_id, "from-the-test")


@pytest.mark.parametrize(
    ("photo", "greeting", "status", "sentence"),
    [
        (None, "Hello", 400, "choose a photo"),
        (b"", "Hello", 400, "choose a photo"),
        (SAMPLE, " \n ", 422, "write a greeting"),
        (SAMPLE, "x" * 121, 422, "at most 120"),
        (b"<svg/>", "Hello", 415, "not a JPEG, PNG or WebP"),
        (SAMPLE + b"\0" * 11 * 1024**2, "Hello", 413, "larger than 10 MB"),
        (b"\0" * 60 * 1024**2, "Hello", 413, "too large"),
        (png(6000, 5000, body=False), "Hello", 413, "25 megapixels"),
    ],
    ids=["no photo", "empty photo", "no greeting", "long greeting", "no image", "10 MB", "60 MB", "pixels"],
)
def test_bad_upload_is_refused_with_a_reason(
    api: httpx.Client, photo: bytes | None, greeting: str, status: int, sentence: str
) -> None:
    """Each kind of bad upload gets its status and one sentence, and leaves no card behind."""
    files = {"photo": photo} if photo is not None else {}
    answer = api.post("/api/cards", files=files, data={"greeting": greeting})
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    assert api.get("/api/cards").json() == {"cards": []}


def test_unknown_cards_are_not_found(api: httpx.Client) -> None:
    """An id that names nothing is a 404, one that is no id a 422, both with a sentence."""
    unknown = api.get("/api/cards/00000000-0000-4000-8000-000000000000")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "There is no such card."})
    strange = api.get("/api/cards/first")
    assert (strange.status_code, list(strange.json())) == (422, ["error"])


def test_damaged_photo_fails_with_a_reason(lab: Servers, api: httpx.Client) -> None:
    """A photo with a good header and a broken body ends as failed, and the worker goes on."""
    with lab.part("worker"):
        broken, sound = post(api, SAMPLE[:3000]), post(api)
        assert reached(api, broken, "failed")["error"] == "The photo is damaged and could not be read."
        reached(api, sound, "done")


def test_events_tell_each_state_and_end(lab: Servers, api: httpx.Client) -> None:
    """The stream begins with the state at hand, tells the changes and ends with the card."""
    card_id = post(api)
    with api.stream("GET", f"/api/cards/{card_id}/events") as stream, lab.part("worker"):
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    states = [event["state"] for event in events]
    assert (states[0], states[-1]) == ("queued", "done")
    assert events[-1] == api.get(f"/api/cards/{card_id}").json()


def test_killed_worker_loses_nothing_and_repeats_nothing(
    lab: Servers, api: httpx.Client, database: psycopg.Connection[dict[str, Any]]
) -> None:
    """A job whose worker is killed in the middle is done by the next one; asked for again, it is not done again."""
    with lab.part("worker") as first:
        card_id = frozen_at_work(first, api, database)
        first.stop(signal.SIGKILL)
    with lab.part("worker"), redis.Redis.from_url(lab.redis_url) as queue:
        url = reached(api, card_id, "done")["image_url"]
        before, etag = row(database, card_id), httpx.head(url).headers["last-modified"]
        assert before["attempts"] == 2
        queue.lpush("postcards:waiting", card_id)
        until(lambda: not queue.exists("postcards:waiting", "postcards:in-work"), "both lists empty")
        assert row(database, card_id) == before
        assert httpx.head(url).headers["last-modified"] == etag
    keys = boto3.client(
        "s3",
        endpoint_url=lab.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=BUCKET,
        aws_secret_access_key=lab.environ()["S3_SECRET_KEY"],
    ).list_objects_v2(Bucket=BUCKET, Prefix=f"cards/{card_id}")
    assert [item["Key"] for item in keys["Contents"]] == [f"cards/{card_id}.jpg"]


def test_emptied_queue_loses_nothing(lab: Servers, api: httpx.Client) -> None:
    """Cards whose ids are gone from the queue are found in the database."""
    cards = [post(api), post(api)]
    with redis.Redis.from_url(lab.redis_url) as queue:
        assert queue.llen("postcards:waiting") == 2
        queue.flushdb()
    with lab.part("worker"):
        for card_id in cards:
            reached(api, card_id, "done")


def test_upload_survives_a_missing_queue(lab: Servers, api: httpx.Client) -> None:
    """Without a queue the API says so, still takes the photo, and the card is made later."""
    with lab.api(REDIS_URL="redis://127.0.0.1:1/0") as (_, lone):
        card_id = post(lone)
        health = lone.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert [name for name, check in health.json()["checks"].items() if not check["ok"]] == ["queue"]
        assert lone.get("/livez").status_code == 200
    with lab.part("worker"):
        reached(api, card_id, "done")


def test_missing_bucket_costs_no_attempt(
    lab: Servers, api: httpx.Client, database: psycopg.Connection[dict[str, Any]]
) -> None:
    """A worker that cannot reach the bucket gives the card back; it is made once the bucket is there."""
    card_id = post(api)
    with lab.part("worker", S3_ENDPOINT="http://127.0.0.1:1") as worker:
        until(lambda: [line for line in lines(worker) if line["message"] == "work put off"], "trouble in the log")
        assert (row(database, card_id)["state"], row(database, card_id)["attempts"]) == ("queued", 0)
    with lab.part("worker"):
        reached(api, card_id, "done")
    assert row(database, card_id)["attempts"] == 1


def test_cards_that_kill_every_worker_are_given_up(
    lab: Servers, api: httpx.Client, database: psycopg.Connection[dict[str, Any]]
) -> None:
    """After the last attempt a card is failed with a reason instead of being tried for ever."""
    card_id = post(api)
    database.execute("update cards set state = 'working', attempts = 5, lease_until = now() - interval '1 second'")
    with lab.part("worker"):
        assert "after 5 attempts" in reached(api, card_id, "failed")["error"]


def test_sigterm_finishes_the_card_in_hand(
    lab: Servers, api: httpx.Client, database: psycopg.Connection[dict[str, Any]]
) -> None:
    """A worker told to stop finishes its card, takes no other and exits 0."""
    with lab.part("worker") as worker:
        in_hand = frozen_at_work(worker, api, database)
        waiting = post(api)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.stop(signal.SIGCONT) == 0
    assert (row(database, in_hand)["state"], row(database, waiting)["state"]) == ("done", "queued")


@pytest.mark.usefixtures("database")
def test_api_stops_with_open_streams(lab: Servers) -> None:
    """An API told to stop ends its open event streams properly and exits 0."""
    with lab.api() as (program, api):
        with api.stream("GET", f"/api/cards/{post(api)}/events") as stream:
            received = stream.iter_lines()
            assert next(received).startswith("data: ")
            stopping = threading.Thread(target=program.stop)
            stopping.start()
            assert "done" not in "".join(received)
            stopping.join(30)
        assert program.stop(seconds=1) == 0


def test_health_names_all_servers(api: httpx.Client) -> None:
    """A ready app answers 200 with a latency for each server."""
    answer = api.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert set(answer.json()["checks"]) == {"database", "queue", "storage"}
    assert all(check["ok"] and check["latency_ms"] >= 0 for check in answer.json()["checks"].values())


def test_page_allows_images_from_the_bucket_only(lab: Servers, api: httpx.Client) -> None:
    """The page has no inline script and its policy names the bucket's origin."""
    page = api.get("/")
    expected = f"default-src 'self'; img-src 'self' blob: {lab.s3_endpoint}; base-uri 'none'; frame-ancestors 'none'"
    assert page.headers["content-security-policy"] == expected
    assert 'maxlength="120"' in page.text
    assert "<script>" not in page.text
    assert "{{" not in page.text


def test_migration_runs_twice_and_at_once(lab: Servers) -> None:
    """On an empty database four migrations at once apply each file once; a later one applies none."""
    with psycopg.connect(lab.database_url, autocommit=True) as connection:
        connection.execute("create database fresh")
    url = lab.database_url.removesuffix("/postgres") + "/fresh"
    argv = [str(PYTHON), "-m", "postcards.migrate"]
    environ = lab.environ(DATABASE_URL=url)
    runs = [subprocess.Popen(argv, cwd=APP, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = "".join(run.communicate(timeout=60)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    names = sorted(path.name for path in Path(APP, "postcards", "migrations").glob("*.sql"))
    assert sorted(line.removeprefix("applied ") for line in said.splitlines() if "applied 0" in line) == names
    assert migrate(lab, DATABASE_URL=url).stdout == "database is up to date (0 applied)\n"


@pytest.mark.parametrize("module", ["api", "worker"])
def test_all_missing_settings_are_told_at_once(lab: Servers, module: str) -> None:
    """A process with wrong settings names every one of them, shows no value and exits 2."""
    environ = lab.environ(PORT="http", S3_ENDPOINT="localhost:8333")
    del environ["REDIS_URL"], environ["S3_BUCKET"]
    argv = [str(PYTHON), "-m", f"postcards.{module}"]
    run = subprocess.run(argv, cwd=APP, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "secret" not in run.stderr
    for name in ("REDIS_URL", "S3_BUCKET", "PORT", "S3_ENDPOINT"):
        assert f"\n{name} " in run.stderr


@pytest.mark.needs("chromium")
def test_card_appears_on_the_page(lab: Servers, api: httpx.Client) -> None:
    """In a browser the card appears without a reload, is still there after one, and nothing breaks the policy."""
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    complaints: list[str] = []
    with sync_api.sync_playwright() as play, lab.part("worker"):
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(str(api.base_url))
        page.get_by_text("No postcards yet").wait_for()
        page.set_input_files("#photo", APP / "sample" / "photo.jpg")
        page.fill("#greeting", "Seen in a browser")
        page.click("#send")
        card = page.get_by_role("img", name="Postcard: Seen in a browser")
        card.wait_for()
        page.reload()
        card.wait_for()
        until(lambda: card.evaluate("image => image.naturalWidth") == 1200, "the loaded image")
        browser.close()
    assert complaints == []
