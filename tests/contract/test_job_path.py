"""The job path walked through real HTTP: what counts as done, and what is said where the path ends."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from towline.core.errors import CheckFailed
from towline.core.secret import Secret
from towline.ops.job_path import walk
from towline.ops.through_door import Browser, at_loopback
from towline.spec.model import JobCheck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = JobCheck(
    service="api",
    method="POST",
    path="/jobs",
    fields={"text": "hello"},
    file=None,
    accepted=202,
    follow="/jobs/{id}",
    until={"state": "done"},
    failed={"state": "failed"},
    within=20.0,
    object="url",
    content_type="image/png",
    bearer=None,
)


@dataclass
class Answered:
    """One answer: status, body (a dict is JSON), content type."""

    body: Any = None
    status: int = 200
    kind: str = "application/json"


@dataclass
class Seen:
    """One request as the app got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """A scripted app: a list of answers for each path, the last of them again and again."""

    base: str
    answers: dict[str, list[Answered]]
    seen: list[Seen] = field(default_factory=list)

    def walk(self, job: JobCheck, base: str | None = None) -> dict[str, str]:
        with Browser() as browser:
            return walk(job, base or self.base, browser, pause=lambda _: None)

    def refused(self, job: JobCheck) -> CheckFailed:
        with pytest.raises(CheckFailed) as caught:
            self.walk(job)
        return caught.value


def handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.seen.append(Seen(self.command, self.path, headers, body))
            script = site.answers.get(self.path, [Answered({"error": "no such page"}, 404)])
            answered = script.pop(0) if len(script) > 1 else script[0]
            data = answered.body if isinstance(answered.body, bytes) else json.dumps(answered.body).encode()
            self.send_response(answered.status)
            self.send_header("Content-Type", answered.kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815 - the names are the standard library's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
            """Say nothing."""

    return Handler


def listening(site: Site) -> ThreadingHTTPServer:
    for port in range(24000, 24400):
        try:
            return ThreadingHTTPServer(("127.0.0.1", port), handler_of(site))
        except OSError:
            continue
    raise AssertionError("no free port between 24000 and 24399")


@contextmanager
def app(**changed: list[Answered]) -> Iterator[Site]:
    """An app that does its job at the third look; `changed` are other answers for send, follow and load."""
    answers = {
        "/jobs": changed.get("send", [Answered({"id": 7}, 202)]),
        "/jobs/7": changed.get("follow", [Answered({"state": "queued"})] * 2 + [done("/made/7.png")]),
        "/made/7.png": changed.get("load", [Answered(b"\x89PNG1234", 200, "image/png")]),
    }
    site = Site("", answers)
    server = listening(site)
    site.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def done(url: str) -> Answered:
    return Answered({"state": "done", "url": url})


def test_a_whole_path() -> None:
    """Sent as JSON, followed until done, loaded; what was seen on the way is told."""
    with app() as site:
        seen = site.walk(JOB)
        assert seen["accepted"] == "POST /jobs answered 202"
        assert seen["done"].startswith("done ")
        assert seen["object"] == f"image/png, 8 bytes at {site.base}/made/7.png"
        sent = site.seen[0]
        assert (sent.method, json.loads(sent.body)) == ("POST", {"text": "hello"})
        assert sent.headers["content-type"] == "application/json"
        assert [one.path for one in site.seen[1:]] == ["/jobs/7"] * 3 + ["/made/7.png"]


def test_a_path_without_an_object_ends_when_done() -> None:
    """Not every job makes something to load."""
    with app() as site:
        assert set(site.walk(replace(JOB, object=None))) == {"accepted", "done"}
        assert site.seen[-1].path == "/jobs/7"


def test_the_file_is_really_uploaded(tmp_path: Path) -> None:
    """As a browser sends a form: its name, its bytes, and the fields beside it."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x00\xff")
    with app() as site:
        site.walk(replace(JOB, file=("picture", picture)))
        sent = site.seen[0]
    kind, _, boundary = sent.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    parts = [part.partition(b"\r\n\r\n") for part in sent.body.split(b"--" + boundary.encode())[1:-1]]
    bodies = {head.decode(): body.removesuffix(b"\r\n") for head, _, body in parts}
    file_head = next(head for head in bodies if 'name="picture"' in head)
    assert 'filename="cat.png"' in file_head
    assert bodies[file_head] == b"\x89PNG\r\n\x00\xff"
    assert b"hello" in [body for head, body in bodies.items() if 'name="text"' in head]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The path ends at its begin, without a traceback."""
    with app() as site:
        assert "got no answer: FileNotFoundError" in site.refused(replace(JOB, file=("f", tmp_path / "no"))).sentence
        assert not site.seen


@pytest.mark.parametrize("status", [200, 302, 422, 503])
def test_another_status_than_the_accepted_one(status: int) -> None:
    """A redirect is an answer of its own and is not followed."""
    with app(send=[Answered({"id": 7}, status)]) as site:
        assert site.refused(JOB).sentence == f"POST {site.base}/jobs answered {status}, not 202"
        assert len(site.seen) == 1


def test_nobody_listens() -> None:
    """The kind of failure is named."""
    with app() as site:
        base = site.base
    with Browser() as browser, pytest.raises(CheckFailed, match=r"/jobs got no answer: ConnectError"):
        walk(JOB, base, browser)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b'"7"', b"null"])
def test_an_answer_that_is_no_object(body: bytes) -> None:
    """Only a JSON object has fields to follow."""
    with app(send=[Answered(body, 202)]) as site:
        assert site.refused(JOB).sentence == f"{site.base}/jobs did not answer with a JSON object"


@pytest.mark.parametrize(("answer", "has"), [({"job": 1, "at": 2}, "at, job"), ({}, "none")])
def test_a_field_that_is_missing(answer: dict[str, int], has: str) -> None:
    """What is there instead is named."""
    with app(send=[Answered(answer, 202)]) as site:
        assert site.refused(JOB).sentence == f"the answer has no field for `/jobs/{{id}}`; it has {has}"


def test_a_job_that_is_never_done() -> None:
    """After its time the last thing seen is said, and where to look."""
    with app(follow=[Answered({"state": "queued", "error": "none yet", "other": 1})]) as site:
        error = site.refused(replace(JOB, within=0.3))
        assert error.sentence.startswith("the job was not done within 0.3 s; last seen at ")
        assert error.sentence.endswith('/jobs/7: {"state": "queued", "error": "none yet"}')
        assert error.hint == "towline logs"
        assert len(site.seen) > 2


def test_a_job_that_is_not_found() -> None:
    """Its status is the last thing seen; it may come yet, so the walk goes on until the end."""
    with app(follow=[Answered({"error": "x"}, 404)]) as site:
        assert site.refused(replace(JOB, within=0.2)).sentence.endswith("/jobs/7: status 404")
    with app(follow=[Answered({"state": "done"}, 404), Answered({}, 500), done("/made/7.png")]) as site:
        assert "object" in site.walk(JOB)


def test_a_failed_job_ends_at_once() -> None:
    """With what the app says of it, and long before its time is over."""
    with app(follow=[Answered({"state": "failed", "error": "no ink"})]) as site:
        error = site.refused(replace(JOB, within=600.0))
        assert error.sentence == 'the job failed: {"state": "failed", "error": "no ink"}'
        assert error.hint == "towline logs"
        assert len(site.seen) == 2


def test_without_a_word_for_failure_nothing_is_one() -> None:
    """An empty `failed` must not match every answer."""
    with app() as site:
        assert "done" in site.walk(replace(JOB, failed={}))


@pytest.mark.parametrize(
    ("until", "answer"),
    [
        ({"done": "true"}, {"done": True}),
        ({"count": "3"}, {"count": 3}),
        ({"a": "1", "b": "x"}, {"a": 1, "b": "x"}),
        ({"error": "null"}, {"error": None}),
    ],
)
def test_values_are_compared_as_a_page_writes_them(until: dict[str, str], answer: dict[str, object]) -> None:
    """`until: {done: true}` means the true of JSON; every field must be there."""
    with app(follow=[Answered(answer)]) as site:
        assert "done" in site.walk(replace(JOB, until=until, object=None))
    with app(follow=[Answered({name: answer[name] for name in list(answer)[1:]} | {"z": 1})]) as site:
        assert "not done" in site.refused(replace(JOB, until=until, object=None, within=0.1)).sentence


@pytest.mark.parametrize("answer", [{"state": "done"}, {"state": "done", "url": ""}, {"state": "done", "url": 5}])
def test_a_finished_job_without_an_address(answer: dict[str, object]) -> None:
    """The field is named."""
    with app(follow=[Answered(answer)]) as site:
        assert site.refused(JOB).sentence == "the finished job has no address in `url`"


@pytest.mark.parametrize(
    ("answered", "sentence"),
    [
        (Answered(b"<html>", 200, "text/html; charset=utf-8"), "has the content type text/html, not image/png"),
        (Answered(b"gone", 404, "image/png"), "answered 404"),
        (Answered(b"", 302, "image/png"), "answered 302"),
    ],
)
def test_an_object_that_does_not_load(answered: Answered, sentence: str) -> None:
    """A page of errors with status 200 is no picture, and a redirect is none either."""
    with app(load=[answered]) as site:
        assert site.refused(JOB).sentence == f"the object at {site.base}/made/7.png {sentence}"


def test_content_type_with_parameters_and_none_wanted() -> None:
    """`image/png; x=y` is image/png; without a wish any will do."""
    with app(load=[Answered(b"x", 200, "image/png; x=y")]) as site:
        assert site.walk(JOB)["object"].startswith("image/png, 1 bytes")
    with app(load=[Answered(b"x", 200, "text/plain")]) as site:
        assert site.walk(replace(JOB, content_type=None))["object"].startswith("text/plain, 1 bytes")


@pytest.mark.parametrize("url", ["http://[", "http://x:notaport/", "ftp://x/y", "http://a\x00b/"])
def test_an_address_that_is_none(url: str) -> None:
    """Whatever the app answers, it is its mistake and told as one."""
    with app(follow=[done(url)]) as site:
        assert "address" in site.refused(JOB).sentence or "got no answer" in site.refused(JOB).sentence


def test_braces_in_a_value_are_its_own() -> None:
    """The answer's values are put in once and not read as templates."""
    with app(send=[Answered({"id": "{n}", "n": 7}, 202)]) as site:
        site.answers["/jobs/%7Bn%7D"] = [done("/made/7.png")]
        assert "object" in site.walk(JOB)


def test_an_address_under_localhost_goes_to_this_machine() -> None:
    """With the name in the Host header, as a browser sends it, also for the object on another name."""
    with app() as site:
        port = site.base.rpartition(":")[2]
        site.answers["/jobs/7"] = [done(f"http://files.shop.localhost:{port}/made/7.png")]
        seen = site.walk(JOB, f"http://api.shop.localhost:{port}")
        assert seen["object"].endswith(f"at http://files.shop.localhost:{port}/made/7.png")
        hosts = [one.headers["host"] for one in site.seen]
        assert hosts == [f"api.shop.localhost:{port}"] * 2 + [f"files.shop.localhost:{port}"]


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("http://api.shop.localhost:8080/a?b=c", "http://127.0.0.1:8080/a?b=c", "api.shop.localhost:8080"),
        ("http://localhost/x", "http://127.0.0.1/x", "localhost"),
        ("http://API.LOCALHOST/x", "http://127.0.0.1/x", "API.LOCALHOST"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x", None),
        ("https://shop.example/x", "https://shop.example/x", None),
        ("http://notlocalhost/x", "http://notlocalhost/x", None),
        ("http://localhost.example/x", "http://localhost.example/x", None),
    ],
)
def test_only_localhost_names_are_this_machine(url: str, address: str, host: str | None) -> None:
    """A name that merely looks like it belongs to somebody else."""
    assert at_loopback(url) == (address, host)


def test_the_proxy_of_the_shell_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs here is reached here, whatever HTTP_PROXY says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with app() as site, Browser() as browser:
        assert browser.ask("GET", f"{site.base}/jobs").status_code == 202


def test_no_address_is_an_http_error() -> None:
    """One kind of error for whoever asks."""
    with Browser() as browser:
        for url in ("http://x.localhost:99999/", "http://[", "nothing"):
            with pytest.raises(httpx.HTTPError):
                browser.ask("GET", url)


def test_fields_inside_fields() -> None:
    """Dots lead into an object: in the placeholder, in what is waited for, and in the address of what was made."""
    nested = [Answered({"data": {"state": "done", "picture": {"url": "/made/7.png"}}})]
    job = replace(JOB, follow="/jobs/{data.id}", until={"data.state": "done"}, failed={}, object="data.picture.url")
    with app(send=[Answered({"success": True, "data": {"id": 7}}, 202)], follow=nested) as site:
        assert "object" in site.walk(job)
        missing = site.refused(replace(job, follow="/jobs/{data.number}"))
    assert "no field for `/jobs/{data.number}`" in missing.sentence


def test_token_is_for_the_app_alone() -> None:
    """The token goes with every request to the app, and with none to another address, such as a bucket's."""
    with app() as bucket:
        elsewhere = Answered({"state": "done", "url": f"{bucket.base}/made/7.png"})
        with app(follow=[elsewhere]) as site, Browser() as browser:
            walk(JOB, site.base, browser, token=Secret("only-for-the-app"), pause=lambda _: None)
            assert {one.headers.get("authorization") for one in site.seen} == {"Bearer only-for-the-app"}
        assert [one.headers.get("authorization") for one in bucket.seen] == [None]
