"""One log line a request, and the id that goes with the request into every other line and job."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from typing import TYPE_CHECKING

from towline_runtime.asgi import header
from towline_runtime.logs import correlated

if TYPE_CHECKING:
    from collections.abc import Collection

    from towline_runtime.asgi import App, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

HEADER = "x-request-id"
GOOD = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")  # what may stand in a log line and in a header as it is


class RequestLog:
    """ASGI middleware: takes a good X-Request-ID or makes one, binds it, answers with it, and logs how it went.

    The line has method, path, status and milliseconds until the end of the answer, never a query or a body.
    Requests for the `quiet` paths are logged at debug as long as they are answered well.
    """

    def __init__(self, app: App, quiet: Collection[str] = ("/livez", "/readyz", "/metrics", "/api/health")) -> None:
        self._app = app
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket; other scopes pass as they are."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        with correlated(request_id):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        status = 101 if scope["type"] == "websocket" else 499  # 499: the client left before there was an answer

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
                status = message.get("status", 101)
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != HEADER.encode()]
                message = {**message, "headers": [*kept, (HEADER.encode(), request_id.encode())]}
            await send(message)

        failed = False
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            failed = True
            status = 500
            raise
        finally:
            self._tell(scope, status, (clock() - started) * 1000, request_id, failed=failed)

    def _tell(self, scope: Scope, status: int, milliseconds: float, request_id: str, *, failed: bool) -> None:
        level = logging.ERROR if status >= 500 else logging.INFO
        if level == logging.INFO and scope["path"] in self._quiet:
            level = logging.DEBUG
        fields = {
            "method": scope.get("method", "WEBSOCKET"),
            "path": scope["path"][:2000],
            "status": status,
            "ms": round(milliseconds, 1),
            "request_id": request_id,
        }
        log.log(level, "%s %s %d", fields["method"], fields["path"], status, extra=fields, exc_info=failed)


def _request_id(scope: Scope) -> str:
    given = header(scope, HEADER)
    return given if given is not None and GOOD.match(given) else uuid.uuid4().hex
