"""A stand-in for an image API of OpenAI's shape, with a ledger of what was paid."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections import Counter, deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "a-key-of-these-tests"


def picture(kind: str = "PNG") -> bytes:
    """A small real picture."""
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, kind)
    return out.getvalue()


class Provider:
    """Takes paid requests, one picture for each Idempotency-Key; what it does next can be told beforehand.

    `paid` counts by key what was really made; `asked` counts requests. `answers` are used up first: a status, or a
    status with headers and a body. While `hold` is clear, a paid request waits for it before it is answered.
    """

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.answers: deque[tuple[int, dict[str, str], dict[str, Any]]] = deque()
        self.hold = threading.Event()
        self.hold.set()
        self.by_url = False
        self.url = ""
        self._made: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def will_answer(self, status: int, message: str = "", **headers: str) -> None:
        """The next request that is not answered otherwise gets this."""
        self.answers.append((status, headers, {"error": {"message": message}}))

    def make(self, key: str) -> dict[str, str]:
        """Pay for a picture, or give the one that was paid for under this key."""
        with self._lock:
            if key not in self._made:
                self.paid[key] += 1
                coded = {"b64_json": base64.b64encode(picture()).decode()}
                self._made[key] = {"url": f"{self.url}/made/{key}.jpg"} if self.by_url else coded
            made = self._made[key]
        self.hold.wait(60)
        return made


class _Handler(BaseHTTPRequestHandler):
    """One request to the stand-in."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"] or ""
        made = self.server.provider
        made.asked[key] += 1
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.say(401, {"error": {"message": "wrong key"}})
        elif self.path != "/v1/images/generations" or not body.get("prompt") or not key:
            self.say(400, {"error": {"message": "not understood"}})
        elif made.answers:
            status, headers, answer = made.answers.popleft()
            self.say(status, answer, headers)
        else:
            self.say(200, {"created": 1, "data": [made.make(key)]})

    def do_GET(self) -> None:
        data = picture("JPEG")
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def say(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: the ledger says it all."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, provider: Provider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider

    def handle_error(self, *_: Any) -> None:
        """A killed worker hangs up in the middle: that is what these tests are about."""


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve one on a free port of this machine."""
    made = Provider()
    with _Server(made) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            made.hold.set()
            server.shutdown()
