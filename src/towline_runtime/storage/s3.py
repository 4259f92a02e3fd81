"""Objects in a bucket of S3, or of anything that speaks like it: SeaweedFS, MinIO, R2, Spaces, Supabase."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import anyio

from towline_runtime.errors import ObjectMissing, RuntimeFault, StorageFailed
from towline_runtime.storage import OCTETS, Stored, checked, lifetime
from towline_runtime.storage.folder_door import disposition

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator

    from towline_runtime.settings import Settings

PART = 8 * 1024 * 1024  # bytes; S3 wants at least 5 MiB
PIECE = 256 * 1024
MISSING = {"NoSuchKey", "404", "NotFound"}


class S3Storage:
    """Objects in one bucket; open it with `async with S3Storage.open(settings) as storage`."""

    def __init__(self, client: Any, browser: Any, bucket: str, public_url: str) -> None:
        self._client = client
        self._browser = browser
        self._bucket = bucket
        self._public_url = public_url

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[S3Storage]:
        """Connects at the first call. One client speaks to the store, another only signs for the browser's host."""
        bucket = settings.s3_bucket or ""
        outside = settings.s3_public_endpoint or settings.s3_endpoint
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(_client(settings, settings.s3_endpoint))
            browser = await stack.enter_async_context(_client(settings, outside))
            public_url = settings.s3_public_url or _bucket_url(settings, outside)
            yield cls(client, browser, bucket, public_url)

    async def put(self, key: str, body: bytes | AsyncIterable[bytes], content_type: str = OCTETS) -> Stored:
        """Keep an object: in one request, or in parts of 8 MiB where the body is a longer stream."""
        checked(key)
        if isinstance(body, bytes):
            return await self._put_whole(key, body, content_type)
        return await self._put_stream(key, _parts(body), content_type)

    async def get(self, key: str) -> bytes:
        """All of an object."""
        return b"".join([piece async for piece in self.stream(key)])

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in pieces of up to 256 KiB."""
        with _told(key):
            answer = await self._client.get_object(Bucket=self._bucket, Key=checked(key))
            async with answer["Body"] as body:
                while piece := await body.read(PIECE):
                    yield piece

    async def delete(self, key: str) -> None:
        """Remove an object."""
        with _told(key):
            await self._client.delete_object(Bucket=self._bucket, Key=checked(key))

    async def stat(self, key: str) -> Stored | None:
        """What is known of an object."""
        try:
            with _told(key):
                found = await self._client.head_object(Bucket=self._bucket, Key=checked(key))
        except ObjectMissing:
            return None
        return Stored(key, found["ContentLength"], found["LastModified"], found.get("ContentType") or OCTETS)

    async def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Objects by prefix, asked for in pages of 1,000."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with _told(prefix):
            async for page in pages:
                for one in page.get("Contents", ()):
                    yield Stored(one["Key"], one["Size"], one["LastModified"])

    def url(self, key: str) -> str:
        """The address of an object whose bucket or prefix the store shows to everybody."""
        return f"{self._public_url}/{quote(checked(key))}"

    async def presign_get(self, key: str, seconds: float = 3600, *, download_as: str | None = None) -> str:
        """A signed address for reading, at the host that browsers reach."""
        asked = {"Bucket": self._bucket, "Key": checked(key)}
        if download_as is not None:
            asked["ResponseContentDisposition"] = disposition(download_as)
        return await self._sign("get_object", asked, seconds)

    async def presign_put(self, key: str, content_type: str, seconds: float = 900) -> str:
        """A signed address for writing; the bucket must let the page's origin in (CORS)."""
        asked = {"Bucket": self._bucket, "Key": checked(key), "ContentType": content_type}
        return await self._sign("put_object", asked, seconds)

    async def reach(self) -> None:
        """Ask for the bucket."""
        with _told(self._bucket):
            await self._client.head_bucket(Bucket=self._bucket)

    async def _sign(self, call: str, asked: dict[str, str], seconds: float) -> str:
        good_for = lifetime(seconds)
        with _told(asked["Key"]):
            return str(await self._browser.generate_presigned_url(call, Params=asked, ExpiresIn=good_for))

    async def _put_whole(self, key: str, body: bytes, content_type: str) -> Stored:
        with _told(key):
            put = await self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        return Stored(key, len(body), _moment(put), content_type)

    async def _put_stream(self, key: str, parts: AsyncIterator[bytes], content_type: str) -> Stored:
        first = await anext(parts, b"")
        second = await anext(parts, None)
        if second is None:
            return await self._put_whole(key, first, content_type)
        with _told(key):
            begun = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=content_type)
        where = {"Bucket": self._bucket, "Key": key, "UploadId": begun["UploadId"]}
        size = len(first) + len(second)
        try:
            sent = [await self._send_part(where, 1, first), await self._send_part(where, 2, second)]
            async for part in parts:
                sent.append(await self._send_part(where, len(sent) + 1, part))  # needs its number
                size += len(part)
            with _told(key):
                put = await self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": sent})
        except BaseException:
            # Parts that nobody completes are paid for and seen nowhere, so also a cancelled upload clears them.
            with anyio.move_on_after(10, shield=True), suppress(StorageFailed, ObjectMissing), _told(key):
                await self._client.abort_multipart_upload(**where)
            raise
        return Stored(key, size, _moment(put), content_type)

    async def _send_part(self, where: dict[str, str], number: int, part: bytes) -> dict[str, Any]:
        with _told(where["Key"]):
            answer = await self._client.upload_part(**where, PartNumber=number, Body=part)
        return {"PartNumber": number, "ETag": answer["ETag"]}


class _told:  # noqa: N801  # reads as a statement
    """Turns the client's failures within into the runtime's."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from aiohttp import ClientError as TransportError
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in MISSING:
                raise ObjectMissing(f"There is no object `{self._key}`") from error
            raise StorageFailed(f"The object store refused `{self._key}`: {code or error}") from error
        if isinstance(error, NoCredentialsError):
            raise StorageFailed(
                "There are no credentials for the object store", "set S3_ACCESS_KEY and S3_SECRET_KEY"
            ) from error
        if isinstance(error, BotoCoreError | TransportError | TimeoutError | OSError):
            raise StorageFailed(f"The object store does not answer: {type(error).__name__}") from error


def _client(settings: Settings, endpoint: str | None) -> Any:
    try:
        from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
        from aiobotocore.session import get_session  # type: ignore[import-untyped]
    except ImportError as error:
        raise RuntimeFault("S3 needs a package that is not installed", "pip install 'towline-runtime[s3]'") from error
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.s3_force_path_style else "virtual"},
        # Newer clients add checksums to every upload, which some stores that only speak like S3 refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=50,
    )
    return get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key,
        config=config,
    )


def _bucket_url(settings: Settings, endpoint: str | None) -> str:
    base = (endpoint or f"https://s3.{settings.s3_region}.amazonaws.com").rstrip("/")
    if settings.s3_force_path_style:
        return f"{base}/{settings.s3_bucket}"
    parts = urlsplit(base)
    return parts._replace(netloc=f"{settings.s3_bucket}.{parts.netloc}").geturl()


def _moment(answer: Any) -> datetime:
    # The server's clock, without another question; to the second, as it keeps times itself.
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(told) if told else datetime.now(UTC)


async def _parts(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into parts that grow, so that 10,000 of them, the most that S3 takes, hold 400 GB."""
    held = bytearray()
    size = _sizes()
    wanted = next(size)
    async for piece in body:
        held += piece
        while len(held) >= wanted:
            yield bytes(held[:wanted])
            del held[:wanted]
            wanted = next(size)
    if held:
        yield bytes(held)


def _sizes() -> Iterator[int]:
    number = 0
    while True:
        yield PART * (1 + number // 1000)
        number += 1
