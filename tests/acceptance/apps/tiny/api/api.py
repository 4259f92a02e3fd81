"""The API of a very small app: takes jobs as files, answers slowly when asked to, and can be made to fail."""

import http.server
import json
import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NOTES = Path(os.environ["NOTES"])
JOBS = NOTES / "jobs"
STATES = {".todo": "waiting", ".doing": "working", ".done": "done"}


class Api(http.server.BaseHTTPRequestHandler):
    """Keeps connections open, as a real server does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Who serves, whether it is well, how a job is, and an answer that takes a while."""
        parts = urlsplit(self.path)
        if parts.path == "/health":
            well = os.environ.get("READY") != "never" and not (NOTES / "sick").exists()
            return self.answer(200 if well else 503, {"ok": well})
        if parts.path == "/slow":
            time.sleep(float(parse_qs(parts.query)["s"][0]))
        if parts.path.startswith("/jobs/"):
            return self.job(parts.path.removeprefix("/jobs/"))
        return self.answer(200, {"version": os.environ["VERSION"], "code": CODE, "pid": os.getpid()})

    def do_POST(self):
        """Take a job."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = uuid.uuid4().hex
        (JOBS / f"{name}.todo").touch()
        self.answer(202, {"id": name})

    def job(self, name):
        """How a job is."""
        for ending, state in STATES.items():
            if (JOBS / f"{name}{ending}").exists():
                return self.answer(200, {"id": name, "state": state})
        return self.answer(404, {"error": "no such job"})

    def answer(self, status, document):
        """Send a JSON document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing of each request."""


class Server(http.server.ThreadingHTTPServer):
    """Waits for open requests when it ends, and not for idle connections."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """A visitor who has gone is no news."""


CODE = "first"


def say(line):
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    """Serve until SIGTERM."""
    if (NOTES / "crash-api").exists() or os.environ.get("CRASH") == "yes":
        say("api cannot live: its switch says so")
        sys.exit(3)
    JOBS.mkdir(parents=True, exist_ok=True)
    server = Server((os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"])), Api)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    say(f"api {os.environ['VERSION']} listens")
    server.serve_forever(poll_interval=0.05)
    say(f"api {os.environ['VERSION']} ends")


main()
