"""A call of the webhook: who signed it, when, and what it asks for. Judged from its bytes alone (pure)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret

WINDOW: Final = 300
"""Seconds that the time of a call may differ from ours, either way."""

MOST: Final = 64 * 1024
"""Bytes of a body."""

PATH: Final = "/deploy"

_PART = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_IMAGE = re.compile(rf"{_PART}(?::[0-9]+(?=/))?(?:/{_PART})*@sha256:[0-9a-f]{{64}}")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")
_SOURCE = re.compile(r"[ -~]{1,200}")
_KEYS: Final = frozenset({"images", "image", "source", "at"})


@dataclass(frozen=True)
class Call:
    """What somebody with the secret asks for: images by service, each by its digest.

    `signature` is unlike that of every other call. `at` is when it was signed, in seconds since 1970. `delivery` and
    `source` are what its sender says of itself, for people.
    """

    images: Mapping[str, str]
    signature: str
    at: int
    delivery: str
    source: str

    @property
    def trigger(self) -> str:
        """Who asked, as the journal says it."""
        return f"webhook {self.delivery}{f' from {self.source}' if self.source else ''}"


@dataclass(frozen=True)
class Turned:
    """A call that is turned away: an http status, and why. Without a signature nobody is told more than that."""

    status: int
    why: str


def judge(path: str, headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> Call | Turned:
    """The call, or why it is none. `headers` have names in small letters; `now` is in seconds since 1970.

    Signed is `TIMESTAMP.BODY`, with the timestamp in a header; or, as GitHub does it, the body alone, which then has
    the time in `at`. Who replays a call within the window has the same signature again; after it, the wrong time.
    """
    own = "x-towline-signature" in headers
    stamp = headers.get("x-towline-timestamp", "")
    given = headers.get("x-towline-signature" if own else "x-hub-signature-256", "").removeprefix("sha256=").lower()
    text = stamp.encode() + b"." + body if own else body
    right = hmac.new(secret.reveal().encode(), text, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given.encode(), right.encode()):
        return Turned(401, "no signature, or not the right one")
    plain = _object(body)
    if isinstance(plain, str):
        return Turned(400, plain)
    at = _seconds(stamp if own else plain.get("at"))
    if at is None:
        where = "the header X-Towline-Timestamp" if own else "`at` in the body"
        return Turned(400, f"{where} is to be the time, in seconds since 1970")
    if abs(now - at) > WINDOW:
        return Turned(401, f"it was signed {abs(now - at):.0f} s {'ago' if now > at else 'ahead'}")
    return _call(path, headers, plain, right, at)


def _call(path: str, headers: Mapping[str, str], plain: dict[str, Any], signature: str, at: int) -> Call | Turned:
    """What somebody asks for who has the secret."""
    images = _images(path, plain)
    if isinstance(images, str):
        return Turned(400, images)
    source = plain.get("source", "")
    if source and not (isinstance(source, str) and _SOURCE.fullmatch(source)):
        return Turned(400, "`source` is to be a text of at most 200 plain characters")
    delivery = headers.get("x-towline-delivery") or headers.get("x-github-delivery") or ""
    return Call(images, signature, at, delivery if _DELIVERY.fullmatch(delivery) else signature[:12], source)


def repository_of(image: str) -> str:
    """An image without its tag or digest; `nginx`, `library/nginx` and `docker.io/library/nginx` are one."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    whole = f"{head}{slash}{last.partition(':')[0]}"
    return whole.removeprefix("docker.io/").removeprefix("library/")


def _object(body: bytes) -> dict[str, Any] | str:
    try:
        plain = json.loads(body)
    except ValueError:
        return "the body is no JSON"
    if not isinstance(plain, dict):
        return "the body is to be an object"
    if unknown := sorted(plain.keys() - _KEYS):
        return f"there is no `{unknown[0]}`; there are {', '.join(sorted(_KEYS))}"
    return plain


def _seconds(value: object) -> int | None:
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _images(path: str, plain: dict[str, Any]) -> dict[str, str] | str:
    """By service: `images` of the body, or for the address of one service its `image`."""
    service = path.removeprefix(PATH).strip("/")
    found = {service: plain.get("image")} if service else plain.get("images")
    if ("images" if service else "image") in plain or not isinstance(found, dict) or not found:
        return f"`{'image' if service else 'images'}` is wanted: " + (
            "REPOSITORY@sha256:DIGEST" if service else "an object of services, each with REPOSITORY@sha256:DIGEST"
        )
    for name, image in found.items():
        if not _SERVICE.fullmatch(name):
            return "that is no name of a service"
        if not (isinstance(image, str) and len(image) < 400 and _IMAGE.fullmatch(image)):
            return f"the image of `{name}` is to be REPOSITORY@sha256:DIGEST: a tag may mean another image tomorrow"
    return found
