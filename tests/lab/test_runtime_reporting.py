"""Error reports, sent by a process to a small real server that takes Sentry's envelopes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.real_servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START = """
import asyncio, logging, os, sys
from towline_runtime.logs import correlated, install
from towline_runtime.reporting import flush_reports, install_reporting
from towline_runtime.settings import Settings
settings = Settings.read(os.environ)
install(settings.service_name, secrets=settings.secrets)
print("reporting", install_reporting(settings), flush=True)
log = logging.getLogger("app")
"""
JOB = """
def fail(password):
    local_secret = "hush-local"
    raise ConnectionError("postgresql://app:hush-password@db/x is away")
with correlated("request-7"):
    log.info("before", extra={"token": "hush-token"})
    log.warning("only a warning")
    try:
        fail("hush-argument")
    except ConnectionError:
        log.exception("a dead letter", extra={"job": 12, "kind": "resize", "attempt": 5, "api_key": "hush-key"})
flush_reports()
"""


class Reports:
    """What arrived: the events of all envelopes."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        reports = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                packed = self.headers.get("content-encoding") == "gzip"
                reports.raw.append(gzip.decompress(body) if packed else body)
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.dsn = f"http://hushdsnkey@127.0.0.1:{self._server.server_port}/1"

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for envelope in self.raw for line in envelope.splitlines() if line.startswith(b"{")]
        return [line for line in lines if "level" in line]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def reports() -> Iterator[Reports]:
    found = Reports()
    yield found
    found.close()


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    given = {"DATABASE_URL": "postgresql://a:b@c/d", "APP_VERSION": "1.2.3", "APP_ENV": "staging"} | environ
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SENTRY")}
    return subprocess.run(
        [sys.executable, "-c", START + program],
        env=clean | given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_error_is_reported_with_its_job(reports: Reports) -> None:
    """One event: environment, release, the job's tags, the correlation id, the traceback."""
    done = run(JOB, SENTRY_DSN=reports.dsn)
    assert done.returncode == 0, done.stderr
    assert len(reports.events) == 1
    event = reports.events[0]
    assert (event["environment"], event["release"], event["level"]) == ("staging", "1.2.3", "error")
    assert event["tags"] == {"job": "12", "kind": "resize", "attempt": "5", "correlation_id": "request-7"}
    error = event["exception"]["values"][-1]
    assert error["type"] == "ConnectionError"
    assert [frame["function"] for frame in error["stacktrace"]["frames"]][-1] == "fail"
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]][-2:] == ["before", "only a warning"]


def test_no_secret_is_reported(reports: Reports) -> None:
    """Not in the message, the fields, earlier lines, local variables or arguments."""
    run(JOB, SENTRY_DSN=reports.dsn)
    event = json.dumps(reports.events[0])
    assert "[redacted]" in event
    for secret in ("hush-password", "hush-key", "hush-token", "hushdsnkey", "hush-local", "hush-argument"):
        assert secret not in event
    frames = reports.events[0]["exception"]["values"][-1]["stacktrace"]["frames"]
    assert not any("vars" in frame for frame in frames)


def test_a_crash_and_a_forgotten_task_are_reported(reports: Reports) -> None:
    """The last words of a process, and a task whose error nobody asked for."""
    run(
        "async def lost(): raise KeyError('x')\n"
        "async def main():\n    asyncio.create_task(lost())\n    await asyncio.sleep(0.05)\n"
        "asyncio.run(main())\nraise SystemError('the end')",
        SENTRY_DSN=reports.dsn,
    )
    kinds = {event["exception"]["values"][-1]["type"] for event in reports.events}
    assert kinds == {"KeyError", "SystemError"}


def test_without_a_dsn_it_is_off() -> None:
    """With one line in the log, and nothing else."""
    done = run(JOB)
    assert "reporting False" in done.stdout
    assert done.stdout.count("SENTRY_DSN is not set") == 1


def test_without_the_package_it_is_off() -> None:
    """With one line that says what to install."""
    done = run("", SENTRY_DSN="http://key@127.0.0.1:1/1", PYTHONPATH="")
    assert "reporting True" in done.stdout
    program = "import sys; sys.modules['sentry_sdk'] = None\n" + START
    given = {"DATABASE_URL": "postgresql://a:b@c/d", "SENTRY_DSN": "http://key@127.0.0.1:1/1"}
    off = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | given, capture_output=True, text=True, timeout=60, check=False
    )
    assert "reporting False" in off.stdout
    assert "pip install 'towline-runtime[sentry]'" in off.stdout


def test_nobody_waits_for_a_reporter_that_is_away() -> None:
    """The process goes on and ends; its log has everything."""
    done = run(JOB, SENTRY_DSN=f"http://key@127.0.0.1:{free_port()}/1")
    assert done.returncode == 0
    assert "a dead letter" in done.stdout
