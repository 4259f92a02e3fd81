"""A light app for benchmarks: a project folder with one web service that answers GET, POST and WebSockets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import os
import uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event.get("text") or ""})
        return
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    answer = body or os.environ["VERSION"].encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})

uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning", ws="websockets-sansio")
"""


def write(folder: Path, version: str, *, drain: str = "10s") -> None:
    """Write the project; another `version` is a change of one variable."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "server.py").write_text(SERVER)
    (folder / "code" / "Dockerfile").write_text("FROM python:3.11-slim\nRUN pip install uvicorn websockets\nCOPY . .\n")
    (folder / "compose.yaml").write_text(
        f"""name: light
services:
  web:
    build: ./code
    command: ["{sys.executable}", "server.py"]
    environment: {{PORT: "8000", VERSION: "{version}"}}
    ports: ["8000:8000"]
"""
    )
    (folder / "towline.yaml").write_text(f"app: light\nservices:\n  web: {{ready: /, max_job: {drain}}}\n")
