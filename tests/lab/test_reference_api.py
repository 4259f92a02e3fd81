"""The reference app's API over HTTP: who gets in, what is refused, and that credits are never spent twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
import websockets
from tests.lab.reference_lab import APP, TOKEN, Lab, Person, lab, new_address, own_database
from tests.real_servers import free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.real_servers import Bucket, Postgres, Valkey

FRONTEND = "https://cooly.example"


@pytest.fixture(scope="module")
def cooly(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, valkey: Valkey, bucket: Bucket
) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("cooly"), postgres, own_database(valkey, 9), bucket) as made:
        yield made


@pytest.fixture(scope="module")
def url(cooly: Lab) -> Iterator[str]:
    """All roles in one process, by the switches; its private port answers too."""
    switches = ("START_GEN_WORKER", "START_OUTBOX_RELAY", "ENABLE_CAPTURE_WORKER", "ENABLE_SESSION_SWEEPER")
    with cooly.api(**dict.fromkeys(switches, "true"), FRONTEND_ORIGIN=FRONTEND) as address:
        yield address


@pytest.fixture
def someone(cooly: Lab, url: str) -> Person:
    return cooly.person(url)


def test_cookie_is_for_this_host_only(cooly: Lab, url: str) -> None:
    """On this machine the cookie is HttpOnly and SameSite; elsewhere it is Secure too, under a __Host- name."""
    one = cooly.visitor(url, cooly.account())
    here = one.log_in().headers["set-cookie"]
    assert here.startswith("cooly_session=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(here.split("; "))
    assert "Secure" not in here
    form = {"email": one.email, "password": "a-password-of-a-person"}
    there = one.client.post("/api/login", json=form, headers={"Host": "cooly.example"}).headers["set-cookie"]
    assert there.startswith("__Host-cooly_session=")
    assert {"HttpOnly", "SameSite=lax", "Secure", "Path=/"} <= set(there.split("; "))


def test_wrong_password_and_unknown_account_look_the_same(cooly: Lab, url: str) -> None:
    """Neither tells whether the account exists; after ten tries nobody may try that account for a while."""
    one = cooly.visitor(url, cooly.account())
    wrong, unknown = one.log_in("wrong"), cooly.visitor(url, "nobody@cooly.test").log_in("wrong")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.json()["error"]["code"] == "wrong_login"
    tries = [cooly.visitor(url, one.email).log_in("wrong").status_code for _ in range(10)]
    assert tries == [401] * 9 + [429]
    assert cooly.visitor(url, one.email).log_in().status_code == 429, "not with the right password either"


def test_session_ends_on_the_server_too(someone: Person) -> None:
    """After logging out the old cookie opens nothing."""
    cookies = dict(someone.client.cookies)
    assert someone.client.get("/api/generations").status_code == 200
    assert someone.post("/api/logout").status_code == 200
    assert dict(someone.client.cookies) == {}
    assert httpx.get(f"{someone.url}/api/generations", cookies=cookies).status_code == 401


def test_session_is_kept_as_a_digest(cooly: Lab, someone: Person) -> None:
    """Who reads the table cannot use what is in it."""
    cookie = someone.client.cookies["cooly_session"]
    rows = cooly.database.execute("select s::text as text from towline.session s").fetchall()
    assert rows
    assert all(cookie not in row["text"] for row in rows)


def test_another_page_may_not_ask(someone: Person) -> None:
    """Without the token, with a wrong one, or from another origin, nothing is begun and nothing is reserved."""
    body = {"prompt": "hills"}
    refused = [
        someone.client.post("/api/generations", json=body),
        someone.post("/api/generations", body, **{"X-CSRF-Token": "wrong"}),
        someone.post("/api/generations", body, Origin="https://evil.example"),
        someone.post("/api/generations", body, **{"Sec-Fetch-Site": "cross-site"}),
    ]
    assert [one.status_code for one in refused] == [403] * 4
    assert [one.json()["error"]["code"] for one in refused] == ["csrf", "csrf", "other_origin", "other_origin"]
    assert someone.credits == 10
    login = {"email": someone.email, "password": "a-password-of-a-person"}
    assert someone.client.post("/api/login", json=login, headers={"Origin": "https://evil.example"}).status_code == 403


def test_cors_is_for_the_frontend_only(url: str) -> None:
    """The frontend may read answers and send the token; a stranger gets no permission."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-csrf-token"}

    def allowed(origin: str) -> str:
        answer = httpx.options(f"{url}/api/generations", headers={"Origin": origin, **asked})
        return str(answer.headers.get("access-control-allow-origin", "nobody"))

    assert allowed(FRONTEND) == FRONTEND
    assert allowed("https://evil.example") == "nobody"
    read = httpx.get(f"{url}/api/me", headers={"Origin": FRONTEND, "X-Forwarded-For": new_address()})
    assert read.headers["access-control-allow-credentials"] == "true"


def test_every_answer_has_safe_headers(cooly: Lab, url: str) -> None:
    """Page, API and errors alike; https adds HSTS. Scripts come from the app alone, pictures from its bucket too."""
    for path in ("/", "/static/app.js", "/api/me", "/api/nothing", "/livez"):
        headers = httpx.get(url + path, headers={"X-Forwarded-For": new_address()}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self';" in policy
        assert f"img-src 'self' blob: {cooly.environ['S3_ENDPOINT']};" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers
    secure = httpx.get(url, headers={"X-Forwarded-Proto": "https"}).headers
    assert secure["strict-transport-security"].startswith("max-age=31536000")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "  x "}, "Please describe what you would like to see."),
        ({"prompt": "x" * 401}, "That is 401 characters; at most 400 fit."),
        ({}, "Field required."),
        ({"prompt": "hills", "cost": 0}, "Extra inputs are not permitted."),
        ({"prompt": 7}, "Input should be a valid string."),
    ],
)
def test_bad_wish_is_explained(someone: Person, body: dict[str, object], message: str) -> None:
    """A sentence for the person, the field for the page, and no credit is touched."""
    answer = someone.post("/api/generations", body)
    assert answer.status_code == 422
    assert answer.json()["success"] is False
    assert answer.json()["error"]["message"] == message
    assert someone.credits == 10


def test_far_too_much_is_refused(someone: Person) -> None:
    """A body beyond 64 KiB is not read to its end."""
    assert someone.post("/api/generations", {"prompt": "x" * 100_000}).status_code == 413


def test_accepted_at_once_and_made_soon(cooly: Lab, someone: Person) -> None:
    """202 with job and id; the picture loads by a signed link, and by no other; one credit is captured."""
    answer = someone.post("/api/generations", {"prompt": "  snowy\npeaks "}, **{"X-Request-ID": "from-the-test"})
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert data == {"jobId": data["jobId"], "id": data["id"], "message": "Your picture is on its way.", "credits": 9}
    done = someone.settled(data["id"])
    assert (done["state"], done["credits"], done["prompt"]) == ("done", "captured", "snowy peaks")
    assert (done["width"], done["height"]) == (1024, 1024)
    for address in (done["imageUrl"], done["smallUrl"]):
        picture = httpx.get(address)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert picture.content.startswith(b"\xff\xd8\xff")
        assert httpx.get(address.partition("?")[0]).status_code == 403
    assert cooly.ledger(someone.email) == [("grant", 10), ("reserve", 9), ("capture", 9)]
    assert cooly.job(data["id"])["correlation_id"] == "from-the-test"
    assert [one["id"] for one in someone.client.get("/api/generations").json()["data"]] == [data["id"]]


def test_failure_gives_the_credit_back(cooly: Lab, someone: Person) -> None:
    """A refused prompt says why, and costs nothing in the end."""
    failed = someone.settled(someone.ask("fail! in the hills"))
    assert (failed["state"], failed["credits"]) == ("failed", "released")
    assert failed["error"] == "The generator was asked to fail, and did."
    assert failed["imageUrl"] is None
    assert cooly.ledger(someone.email) == [("grant", 10), ("reserve", 9), ("release", 10)]


def test_stumble_is_tried_again(cooly: Lab, someone: Person) -> None:
    """A first attempt that fails costs nothing more: one reservation, one capture."""
    made = someone.ask("stumble! in the snow")
    assert someone.settled(made)["state"] == "done"
    assert cooly.job(made)["attempt"] == 2
    assert cooly.ledger(someone.email) == [("grant", 10), ("reserve", 9), ("capture", 9)]


def test_credits_never_go_below_zero(cooly: Lab, url: str) -> None:
    """Of twenty requests at once with seven credits seven are accepted and thirteen are told so."""
    one = cooly.person(url, gift=7)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: one.post("/api/generations", {"prompt": "fail! hills"}), range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 7 + [402] * 13
    poor = next(answer for answer in answers if answer.status_code == 402)
    assert poor.json()["error"]["code"] == "not_enough_credits"
    until(lambda: one.credits == 7, "all seven are given back")
    assert min(balance for _, balance in cooly.ledger(one.email)) == 0
    assert sorted(kind for kind, _ in cooly.ledger(one.email)) == ["grant"] + ["release"] * 7 + ["reserve"] * 7


def test_ledger_only_grows(cooly: Lab) -> None:
    """The database itself refuses to change or remove a line."""
    email = cooly.account()
    for statement in ("update ledger set balance = 1000", "delete from ledger"):
        with pytest.raises(Exception, match="the ledger only grows"):
            cooly.database.execute(statement.encode())
    assert cooly.ledger(email) == [("grant", 10)]


def test_pictures_of_others_do_not_exist(cooly: Lab, url: str, someone: Person) -> None:
    """Another account's picture is 404, its stream too, and it is in nobody else's gallery."""
    made = someone.ask()
    other = cooly.person(url)
    assert other.client.get(f"/api/generations/{made}").status_code == 404
    assert other.client.get(f"/api/generations/{made}/events").status_code == 404
    assert other.client.get("/api/generations").json()["data"] == []
    someone.settled(made)


def test_stream_shows_progress_and_ends(someone: Person) -> None:
    """Each event is the whole picture; `done` grows; the last has the id `end`, after which there is 204."""
    made = someone.ask("aurora over a fjord")
    path = f"/api/generations/{made}/events"
    with someone.client.stream("GET", path, headers={"Last-Event-ID": "3"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line]
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    steps = [one["progress"]["done"] for one in events if one["progress"]]
    assert steps == sorted(steps)
    assert len(steps) >= 2
    assert any(one["progress"]["preview"] for one in events if one["progress"])
    assert (events[-1]["state"], events[-1]["credits"]) == ("done", "captured")
    assert [line for line in lines if line.startswith("id: ")][-1] == "id: end"
    assert someone.client.get(path, headers={"Last-Event-ID": "end"}).status_code == 204


def test_socket_is_for_the_logged_in_page(someone: Person) -> None:
    """Without a session, or from another page, it is closed with 4401; else it tells all of one's pictures."""
    address = someone.url.replace("http", "ws") + "/ws"
    cookie = {"Cookie": f"cooly_session={someone.client.cookies['cooly_session']}"}

    async def code(headers: dict[str, str], origin: str | None) -> int | None:
        async with websockets.connect(address, additional_headers=headers, origin=origin) as socket:  # type: ignore[arg-type]
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 10)
            return socket.close_code

    async def watched() -> list[dict[str, object]]:
        async with websockets.connect(address, additional_headers=cookie, origin=someone.url) as socket:  # type: ignore[arg-type]
            assert json.loads(await socket.recv()) == {"type": "hello"}
            made = {await asyncio.to_thread(someone.ask, prompt) for prompt in ("hills", "fail! sea")}
            seen: list[dict[str, object]] = []
            while sum(one["credits"] != "reserved" for one in seen) < len(made):
                message = json.loads(await asyncio.wait_for(socket.recv(), 30))
                assert message["type"] == "generation"
                seen.append(message["data"])
            assert {one["id"] for one in seen} == made
            return seen

    async def body() -> None:
        assert await code({}, someone.url) == 4401
        assert await code({"Cookie": "cooly_session=made-up"}, someone.url) == 4401
        assert await code(cookie, "https://evil.example") == 4401
        assert await code(cookie, None) == 4401
        states = {str(one["state"]) for one in await watched()}
        assert {"working", "done", "failed"} <= states

    asyncio.run(body())


def test_request_one_hundred_and_one_waits(cooly: Lab, url: str) -> None:
    """Of one session 100 requests pass in a minute, the next is told how long to wait; another session is not."""
    one = cooly.person(url)
    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(lambda _: one.client.get("/api/me").status_code, range(100)))
    assert codes == [200] * 100
    late = one.client.get("/api/me")
    assert late.status_code == 429
    assert late.json()["error"]["code"] == "too_many"
    assert 1 <= int(late.headers["retry-after"]) <= 120
    assert cooly.person(url).client.get("/api/me").status_code == 200
    assert one.client.get("/livez").status_code == 200


def test_token_is_an_account_of_its_own(cooly: Lab, url: str) -> None:
    """With the token a program asks and follows without cookies; it never runs dry; a wrong one is refused."""
    client = cooly.visitor(url, "").client
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    cooly.database.execute(
        "insert into account (id, email) values (gen_random_uuid(), 'verify@cooly.invalid') on conflict do nothing"
    )
    answer = client.post("/api/generations", json={"prompt": "verify"})
    assert answer.status_code == 202
    path = f"/api/generations/{answer.json()['data']['id']}"
    done = until(lambda: (found := client.get(path).json()["data"])["state"] == "done" and found, "the picture")
    assert httpx.get(done["imageUrl"]).headers["content-type"] == "image/jpeg"
    wrong = httpx.get(f"{url}/api/generations", headers={"Authorization": "Bearer wrong-wrong-wrong-wrong"})
    assert wrong.status_code == 401
    basic = httpx.get(f"{url}/api/generations", headers={"Authorization": f"Basic {TOKEN}"})
    assert basic.status_code == 401


def test_health_names_its_servers(url: str) -> None:
    """Status, version, time, and each server with its latency; figures are not on the public port."""
    until(lambda: httpx.get(f"{url}/api/health").status_code == 200, "ready")
    report = httpx.get(f"{url}/api/health").json()
    assert report["status"] == "healthy"
    assert set(report) == {"status", "version", "timestamp", "checks"}
    assert set(report["checks"]) == {"database", "redis", "storage"}
    assert all(one["latency_ms"] >= 0 for one in report["checks"].values())
    assert httpx.get(f"{url}/metrics").status_code == 404


def test_private_port_has_figures(cooly: Lab) -> None:
    """HEALTH_PORT answers probes and Prometheus, of a worker too."""
    port = free_port()
    with cooly.roles("capture", HEALTH_PORT=str(port)) as worker:

        def figures() -> str | None:
            assert worker.process.poll() is None
            try:
                found = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            except httpx.TransportError:
                return None
            return found if "towline_jobs" in found else None

        assert "towline_claimed_jobs" in until(figures, "figures")
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_settings_are_refused_all_at_once(cooly: Lab) -> None:
    """Every mistake in one answer, exit code 2, and no secret in it."""
    done = cooly.run(
        sys.executable, "-m", "cooly", "api",
        DATABASE_URL="", GENERATOR="magic", PORT="many", START_GEN_WORKER="perhaps", VERIFY_TOKEN="short-secret",
        FRONTEND_ORIGIN="cooly.example", S3_BUCKET="", S3_ENDPOINT="", S3_ACCESS_KEY="", S3_SECRET_KEY="",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for name in (
        "DATABASE_URL",
        "GENERATOR",
        "PORT",
        "START_GEN_WORKER",
        "VERIFY_TOKEN",
        "FRONTEND_ORIGIN",
        "S3_BUCKET",
    ):
        assert name in done.stderr
    assert "short-secret" not in done.stderr
    assert done.stdout == ""


def test_migrations_make_what_the_models_say(cooly: Lab) -> None:
    """No table, column or index of the models is missing from the migrations."""
    done = cooly.run("alembic", "check")
    assert "No new upgrade operations detected" in done.stdout, done.stdout + done.stderr


def test_seed_is_for_development(cooly: Lab) -> None:
    """Twice it makes three pictures once; elsewhere it does nothing; an account for a person is made anywhere."""
    seed = (sys.executable, "-m", "cooly.seed")
    assert "not development" in cooly.run(*seed, APP_ENV="production").stderr
    assert "3 pictures" in cooly.run(*seed).stderr
    assert "0 pictures" in cooly.run(*seed).stderr
    assert cooly.ledger("demo@cooly.test")[-1] == ("capture", 22)
    words = ("account", "Ada@cooly.test", "--credits", "3")
    made = subprocess.run(
        [*seed, *words], input="a long enough one\n", text=True, cwd=APP, env=cooly.environ | {"APP_ENV": "production"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (made.returncode, made.stdout) == (0, "ada@cooly.test has 3 credits.\n")


def test_whole_app_in_one_process_without_redis(tmp_path: Path, postgres: Postgres, bucket: Bucket) -> None:
    """`all` with Postgres as doorbell, session store and counter: a picture is made, and health asks no Redis."""
    with lab(tmp_path, postgres, "", bucket) as alone, alone.api("all", DOORBELL_URL="postgres:") as url:
        someone = alone.person(url)
        assert someone.settled(someone.ask())["state"] == "done"
        assert set(httpx.get(f"{url}/api/health").json()["checks"]) == {"database", "storage"}
        assert someone.client.get("/api/me").headers["x-ratelimit-remaining"].isdecimal()


def test_sessions_may_live_in_redis(cooly: Lab) -> None:
    """With SESSIONS=redis nothing of a session is in Postgres."""
    with cooly.api(SESSIONS="redis") as url:
        someone = cooly.person(url)
        assert someone.credits == 10
        owner = cooly.database.execute("select id::text from account where email = %s", (someone.email,)).fetchone()
        assert owner is not None
        found = cooly.database.execute("select s::text as text from towline.session s").fetchall()
        assert all(owner["id"] not in row["text"] for row in found)
        assert someone.post("/api/logout").status_code == 200
