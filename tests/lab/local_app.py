"""A small http service for tests: health, slow answers, a stream, a WebSocket echo; told by PORT and NAME."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAME = os.environ.get("NAME", "app")


class Answer(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Every path."""
        address = urlsplit(self.path)
        seconds = float(parse_qs(address.query).get("for", ["0"])[0])
        if address.path == "/ws":
            self.echo()
        elif address.path == "/stream":
            self.stream(seconds)
        else:
            time.sleep(seconds if address.path == "/slow" else 0)
            self.text(f"{NAME} {self.headers['Host']}")

    def do_POST(self) -> None:
        """The size of what came."""
        size = int(self.headers.get("Content-Length", "0"))
        self.text(f"{NAME} {len(self.rfile.read(size))}")

    def text(self, text: str) -> None:
        """One short answer."""
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, seconds: float) -> None:
        """Server-sent events, one each 0.1 s, until the client has gone."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wfile.write(f"data: {time.monotonic()}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.1)

    def echo(self) -> None:
        """A WebSocket that gives each text frame back with the name before it."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(head[1] & 127)))
            body = NAME.encode() + b" " + text
            self.wfile.write(bytes([0x81, len(body)]) + body)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: tests print what they need."""


def main() -> None:
    """Serve until told to stop; open requests are finished."""
    if os.environ.get("FAIL"):
        sys.exit(f"cannot start: token {os.environ.get('TOKEN')}")
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    sys.stdout.write(f"{NAME} listens with token {os.environ.get('TOKEN', 'none')}\n")
    sys.stdout.flush()
    server.serve_forever(0.05)


main()
