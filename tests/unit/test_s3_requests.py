"""The one request at a time that a bucket is asked with, against the SDK's own signature."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from towline.core import s3

AT = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize("path", ["/lab-media/.towline-ready", "/b/große datei+1~.bin", "/b/a/%41"])
@pytest.mark.parametrize("body", [b"", b"ready"])
def test_signed_as_the_sdk_signs(monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: bytes) -> None:
    """The same headers for the same request at the same time, whatever is in the path."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None))
    mine = s3.signed(s3.Keys("AK", "s/e+c"), method, "127.0.0.1:8333", path, body=body, at=AT)
    headers = {"host": "127.0.0.1:8333"}
    request = AWSRequest(method, f"http://127.0.0.1:8333{quote(path)}", headers=headers, data=body)
    S3SigV4Auth(Credentials("AK", "s/e+c"), "s3", s3.REGION).add_auth(request)
    assert mine["Authorization"] == request.headers["Authorization"]
    assert mine["x-amz-date"] == request.headers["X-Amz-Date"]


def test_a_secret_key_is_not_shown() -> None:
    """Neither in what is printed of the keys nor in what is sent."""
    keys = s3.Keys("AK", "very-secret")
    assert "very-secret" not in repr(keys)
    assert "very-secret" not in str(s3.signed(keys, "GET", "h:1", "/b/k", body=b"", at=AT))
