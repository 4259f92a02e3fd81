"""The maintenance page of a front door: what it answers while a file is there, and the page that says so."""

from __future__ import annotations

from typing import Any

FILE = "/maintenance"
"""The file that the front door looks for in its folder at each request; beside it lies what Retry-After says."""

HEADER = "X-Towline-Maintenance"
"""Tells the answer from a 503 of the app's own."""

MOST = 1_000_000
"""Bytes of a page: what a front door reads of a file at most, and a little less."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Back in a moment</title>
<style>
body { font: 1.1rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center }
main { max-width: 32rem; padding: 2rem; text-align: center }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
</style>
<main>
<h1>Back in a moment</h1>
<p>We are working on it. Nothing is lost; please try again in a few minutes.</p>
</main>
</html>
"""
"""The page where the app brings none of its own."""


def unavailable(folder: str) -> dict[str, Any]:
    """The route, in Caddy's JSON, that comes before every other one of an app: it only counts while the file is there.

    A request of one service to another does not come this way, and workers go on.
    """
    headers = {
        "Content-Type": ["text/html; charset=utf-8"],
        "Retry-After": [f"{{file.{folder}{FILE}.retry}}"],
        "Cache-Control": ["no-store"],
        HEADER: ["on"],
    }
    answer = {
        "handler": "static_response",
        "status_code": 503,
        "headers": headers,
        "body": f"{{file.{folder}{FILE}}}",
    }
    return {"match": [{"file": {"root": folder, "try_files": [FILE]}}], "handle": [answer], "terminal": True}
