"""Addresses that are good for one act on one object, for a while: what S3 calls presigned, for a folder."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from towline_runtime.storage import lifetime

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, repr=False)
class Signer:
    """Signs with HMAC-SHA256; `url` is the path or address under which the objects are served."""

    secret: bytes
    url: str

    def plain(self, key: str) -> str:
        """The address of an object, unsigned."""
        return f"{self.url.rstrip('/')}/{quote(key)}"

    def sign(self, method: str, key: str, seconds: float, detail: str | None = None) -> str:
        """The address for one method; `detail` is the type that a PUT must have, or the name that a GET gives."""
        # The wall clock, as S3 does: the address must outlive this process.
        until = int(time.time()) + lifetime(seconds)
        query = {"method": method, "until": str(until)} | ({"detail": detail} if detail else {})
        return f"{self.plain(key)}?{urlencode(query)}&signature={self._digest(key, query)}"

    def allows(self, method: str, key: str, query: Mapping[str, str]) -> bool:
        """Whether a query is a signature for this method and key that has not run out; HEAD goes with GET."""
        told = {name: query[name] for name in ("method", "until", "detail") if name in query}
        if not hmac.compare_digest(self._digest(key, told), query.get("signature", "")):
            return False
        return ("GET" if method == "HEAD" else method) == told["method"] and time.time() <= int(told["until"])

    def _digest(self, key: str, query: Mapping[str, str]) -> str:
        message = "\n".join((key, query.get("method", ""), query.get("until", ""), query.get("detail", "")))
        return hmac.new(self.secret, message.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
