"""The bucket: photos and cards by key, and the addresses a browser loads them from."""

from datetime import timedelta

import obstore
from obstore.store import S3Store

from postcards.settings import Settings

CARD_CACHE = "public, max-age=31536000, immutable"  # a card never changes once it is made


class Bucket:
    """An S3 bucket, addressed path-style."""

    def __init__(self, settings: Settings) -> None:
        self.public_url = settings.s3_public_url
        self.store = _store(settings, settings.s3_endpoint)
        self.browser_store = _store(settings, settings.s3_public_endpoint)

    async def ping(self) -> None:
        """Prove that the bucket exists and the keys open it."""
        await obstore.list_with_delimiter_async(self.store, "health/")

    async def get(self, key: str) -> bytes:
        """Read an object; FileNotFoundError when there is none."""
        answer = await obstore.get_async(self.store, key)
        return bytes(await answer.bytes_async())

    async def put_photo(self, key: str, data: bytes, media_type: str) -> None:
        """Store an original."""
        attributes = {"Content-Type": media_type, "Content-Disposition": "inline", "Cache-Control": "private"}
        await obstore.put_async(self.store, key, data, attributes=attributes, use_multipart=False)

    async def put_card(self, key: str, data: bytes) -> None:
        """Store a finished card; the same key again replaces it by the same card."""
        attributes = {"Content-Type": "image/jpeg", "Cache-Control": CARD_CACHE}
        await obstore.put_async(self.store, key, data, attributes=attributes, use_multipart=False)

    def card_url(self, key: str) -> str:
        """Give the address that anyone may load a card from."""
        return f"{self.public_url}/{key}"

    async def signed_url(self, key: str) -> str:
        """Give an address that opens one private object for ten minutes."""
        return await obstore.sign_async(self.browser_store, "GET", key, timedelta(minutes=10))


def _store(settings: Settings, endpoint: str) -> S3Store:
    return S3Store(
        settings.s3_bucket,
        endpoint=endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key,
        secret_access_key=settings.s3_secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": "15s", "connect_timeout": "5s"},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=15)},
    )
