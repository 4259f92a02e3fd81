"""Single requests to an S3 server, signed as AWS describes (Signature Version 4), for questions asked at every start.

An SDK takes longer to load than the server takes to start; whoever needs more than one object at a time uses that.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import http.client
    from datetime import datetime

REGION = "us-east-1"

_CODE = re.compile(r"<Code>([^<]*)</Code>")


@dataclass(frozen=True)
class Keys:
    """Who asks, and the region that the server signs with."""

    access: str
    secret: str = field(repr=False)
    region: str = REGION


@dataclass(frozen=True)
class Answer:
    """A status, the body, and the code of an error ("" without one)."""

    status: int
    body: bytes
    code: str


def ask(
    connection: http.client.HTTPConnection, keys: Keys, method: str, path: str, *, body: bytes, at: datetime
) -> Answer:
    """One request over an open connection. Raises OSError and HTTPException as that does."""
    host = f"{connection.host}:{connection.port}"
    connection.request(method, quote(path), body=body, headers=signed(keys, method, host, path, body=body, at=at))
    answer = connection.getresponse()
    content = answer.read()
    code = _CODE.search(content.decode("utf-8", "replace")) if answer.status >= 400 else None
    return Answer(answer.status, content, code[1] if code else "")


def signed(keys: Keys, method: str, host: str, path: str, *, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of a request without query: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    stamp, content = at.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": content, "x-amz-date": stamp}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{method}\n{quote(path)}\n\n{lines}\n{names}\n{content}"
    scope = f"{stamp[:8]}/{keys.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    credential = f"Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}
