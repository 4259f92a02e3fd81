"""The little of ASGI that the runtime needs to answer requests itself, without a web framework."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: str) -> str | None:
    """The first value of a header, by its name in small letters."""
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in scope.get("headers", ()) if key.lower() == wanted), None)


async def answer(
    send: Send, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
) -> None:
    """Send a whole answer."""
    pairs = {"content-type": content_type, "content-length": str(len(body))} | (headers or {})
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    """Send a whole answer as JSON, which nobody keeps."""
    body = json.dumps(value, ensure_ascii=False).encode()
    await answer(send, status, body, "application/json", {"cache-control": "no-store"} | (headers or {}))
