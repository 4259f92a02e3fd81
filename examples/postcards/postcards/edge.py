"""What every request passes through: an id, a log line, safe headers and a limit on its size."""

import logging
import re
import time
from collections.abc import Mapping
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postcards.logs import say

ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PROBES = frozenset({"/health", "/livez"})


def security_headers(image_origin: str) -> dict[str, str]:
    """Give the headers of every answer; images may also come from `image_origin`."""
    policy = f"default-src 'self'; img-src 'self' blob: {image_origin}; base-uri 'none'; frame-ancestors 'none'"
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], max_body: int) -> None:
        self.app = app
        self.headers = headers
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if ACCEPTABLE_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.monotonic()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({**self.headers, "X-Request-ID": request_id})
            await send(message)

        try:
            await self.app(scope, self._limited(receive), send_with_headers)
        finally:
            _log_request(request, status, time.monotonic() - began, request_id)

    def _limited(self, receive: Receive) -> Receive:
        """Count the body as it arrives, so that one without a declared length is bounded too."""
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body:
                raise HTTPException(413, "The upload is far too large.")
            return message

        return limited


def _log_request(request: Request, status: int, seconds: float, request_id: str) -> None:
    if request.url.path in PROBES and status < 400:
        return
    say(
        "request",
        level=logging.ERROR if status >= 500 else logging.INFO,
        method=request.method,
        path=request.url.path,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        request_id=request_id,
    )
