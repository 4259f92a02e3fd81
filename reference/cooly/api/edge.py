"""What every answer passes through: safe headers, and a limit on the size of what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 64 * 1024  # bytes: a prompt and a password are far shorter
HSTS = "max-age=31536000; includeSubDomains"


class Edge:
    """ASGI middleware around the app; browsers load pictures from `pictures`, an origin, besides the app itself."""

    def __init__(self, app: ASGIApp, pictures: str) -> None:
        self._app = app
        self._pictures = pictures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a WebSocket passes as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._headers(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, _bounded(receive), send_with_headers)

    def _headers(self, scope: Scope) -> dict[str, str]:
        secure = scope["scheme"] == "https"
        # Some browsers do not count ws: as 'self'; the host is named for them.
        live = f"{'wss' if secure else 'ws'}://{_host(scope)}"
        policy = (
            f"default-src 'self'; img-src 'self' blob: {self._pictures}; connect-src 'self' {live}; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }
        return headers | ({"Strict-Transport-Security": HSTS} if secure else {})


def _bounded(receive: Receive) -> Receive:
    """Count the body as it arrives, so that one without a declared length is bounded too."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MOST_BODY:
            raise HTTPException(413, "That is far too much to send.")
        return message

    return bounded


def _host(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "")
    # What is no host must not get into a header.
    return host if host and all(letter.isalnum() or letter in "-.:[]_" for letter in host) else "localhost"


def is_local(host: str) -> bool:
    """Whether a Host header names this machine, where there is no https and none is needed."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in {"localhost", "127.0.0.1", "::1"} or name.endswith(".localhost")
