"""What the tests of storage share: settings of a real bucket, a prefix of a test's own in it, and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.real_servers import PASSWORD

from towline_runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.real_servers import Bucket

    from towline_runtime.storage import Storage

URL = "postgresql://a@b/c"


def s3_settings(bucket: Bucket, **more: str) -> Settings:
    keys = {"S3_ACCESS_KEY": bucket.name, "S3_SECRET_KEY": PASSWORD, "S3_BUCKET": bucket.name}
    return Settings.read({"DATABASE_URL": URL, "S3_ENDPOINT": bucket.url} | keys | more)


class Under:
    """A storage that sees only what lies under a prefix of the test's own, as tests share the bucket."""

    def __init__(self, inner: Storage, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        return call if name == "reach" else lambda key="", *args, **more: call(f"{self._prefix}/{key}", *args, **more)


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def keys(storage: Storage, prefix: str = "") -> list[str]:
    return [one.key async for one in storage.list(prefix)]
