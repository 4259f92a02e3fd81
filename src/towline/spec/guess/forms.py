"""In which form a variable holds an address: told without ever repeating what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_URL = re.compile(r"^(?P<jdbc>jdbc:)?(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://(?P<rest>.*)$", re.DOTALL)

_PLAIN = {
    "postgres": frozenset({"postgres", "postgresql", "ecto", "postgis", "psql", "pgsql"}),
    "redis": frozenset({"redis", "valkey"}),
    "bucket": frozenset({"http", "https"}),
    "sqs": frozenset({"http", "https", "sqs"}),
}
"""The schemes that mean the very URL which a reference gives."""


_OF_SERVICES = frozenset({"http", "https", "ws", "wss"})


@dataclass(frozen=True)
class Form:
    """How an address is written. `path` and `options` tell that more follows it; `database` is its last part."""

    shape: Literal["url", "host", "host-and-port", "several", "text"]
    scheme: str = ""
    jdbc: bool = False
    path: bool = False
    options: bool = False
    database: str = ""

    def __repr__(self) -> str:
        return f"Form({self.shape}, {self.scheme})"


def form_of(value: str, names: tuple[str, ...]) -> Form:
    """The Form of a value that holds an address of something called one of `names`."""
    text = value.strip()
    match = _URL.match(text)
    if match is None:
        return _bare(text, names)
    rest, _, options = match["rest"].partition("?")
    if "," in rest and "://" in rest:
        return Form("several")
    path = rest.rsplit("@", 1)[-1].partition("/")[2].strip("/")
    return Form("url", match["scheme"].lower(), bool(match["jdbc"]), bool(path), bool(options), path)


def _bare(text: str, names: tuple[str, ...]) -> Form:
    if text in names:
        return Form("host")
    if "," in text:
        return Form("several")
    if re.fullmatch(r"[^\s/@=]+:\d{1,5}/?", text):
        return Form("host-and-port")
    return Form("text")


def why_not(form: Form, kind: str) -> str | None:
    """Why no reference has this form; None when one has."""
    url = form.shape == "url"
    foreign = url and kind in {"web", "private"} and form.scheme not in _OF_SERVICES
    reasons = (
        (form.shape == "several", "holds several addresses"),
        (form.shape == "text", "holds an address among other text"),
        (form.jdbc, "holds a JDBC URL, which no reference gives"),
        (form.shape == "host-and-port" and kind != "bucket", "holds `host:port` in one, which no reference gives"),
        (foreign, f"holds a URL that begins with `{form.scheme}://`, and a service is asked by http"),
        (url and kind == "stateful", "holds a whole URL, and only host and port can be asked of a stateful service"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def differs(form: Form, kind: str) -> str | None:
    """In what the value that a reference gives will differ from this one; None when in nothing that matters."""
    if form.shape == "host-and-port" and kind == "bucket":
        return "there without `http://`, which the reference has"
    if form.shape != "url":
        return None
    plain = _PLAIN.get(kind, frozenset({"http", "https"}))
    if form.scheme not in plain:
        begins = {"postgres": "postgresql://", "redis": "redis://"}.get(kind, "http://")
        return f"there it begins with `{form.scheme}://`, the reference with `{begins}`"
    if kind == "redis" and form.path and form.database != "0":
        return "there with a database number, which the reference has not"
    if kind in {"web", "private", "static"} and form.path:
        return "there a path follows the address, which the reference has not"
    return "there with options after `?`, which the reference has not" if form.options else None
