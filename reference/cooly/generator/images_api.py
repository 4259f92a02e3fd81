"""The generator behind an HTTP API of OpenAI's shape: POST /v1/images/generations.

The request carries an Idempotency-Key that stays the same over all attempts at one picture, so that an attempt which
died while it waited does not pay again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import httpx

from cooly.generator.port import Order, Picture, Refused, Tell, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = "1024x1024"
MOST_BYTES = 24 * 1024 * 1024
MOST_PIXELS = 4096 * 4096
USUALLY = 20.0  # seconds: only for how fast the bar moves
LATER = frozenset({408, 409, 425, 429})  # and all 5xx: the same request may succeed later
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class ImagesApi:
    """Asks the API at `url`; `timeout` is how long one answer may take, in seconds."""

    name = "http"

    def __init__(self, client: httpx.AsyncClient, url: str, key: str, model: str, timeout: float) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/v1/images/generations"
        self._key = key
        self._model = model
        self._timeout = timeout

    async def make(self, order: Order, tell: Tell) -> Picture:
        """Ask, load what the answer names, and make sure that it is a picture."""
        telling = asyncio.create_task(_tell_of_time(tell))
        try:
            async with asyncio.timeout(self._timeout):
                data = await self._load(await self._ask(order))
        except TimeoutError as error:
            raise Unavailable(f"The image API did not answer within {self._timeout:g} s.") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"The image API is out of reach ({type(error).__name__}).") from error
        finally:
            telling.cancel()
        tell(0.95, "Unwrapping", None)
        return await anyio.to_thread.run_sync(_checked, data)

    async def _ask(self, order: Order) -> dict[str, Any]:
        response = await self._client.post(
            self._url,
            json={"model": self._model, "prompt": order.prompt, "n": 1, "size": SIZE},
            headers={"Authorization": f"Bearer {self._key}", "Idempotency-Key": order.request_id},
        )
        if response.status_code in LATER or response.status_code >= 500:
            raise Unavailable(f"The image API answered {response.status_code}.", _retry_after(response))
        if response.status_code in {401, 403}:
            # The person who asked can do nothing about the key: a person who runs the app can.
            raise Unavailable(f"The image API does not accept the key ({response.status_code}).", 30.0)
        if response.status_code != httpx.codes.OK:
            raise Refused(_reason(response))
        return _first(response)

    async def _load(self, made: dict[str, Any]) -> bytes:
        if isinstance(made.get("b64_json"), str):
            try:
                return base64.b64decode(made["b64_json"], validate=True)
            except binascii.Error as error:
                raise Unavailable("The image API sent text that is not base64.") from error
        if not isinstance(made.get("url"), str) or not made["url"].startswith(("http://", "https://")):
            raise Unavailable("The image API sent neither a picture nor its address.")
        async with self._client.stream("GET", made["url"]) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(f"The picture's address answered {response.status_code}.")
            return await _bounded(response.aiter_bytes())


async def _bounded(parts: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for part in parts:
        data += part
        if len(data) > MOST_BYTES:
            raise Unavailable("The picture is far too large.")
    return bytes(data)


async def _tell_of_time(tell: Tell) -> None:
    """The API says nothing on the way, so the bar shows how much of the usual time has passed."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        passed = clock() - began
        tell(round(0.9 * passed / (passed + USUALLY / 2), 3), "Imagining", None)
        await asyncio.sleep(0.5)


def _checked(data: bytes) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            width, height, content_type = image.width, image.height, FORMATS[str(image.format)]
            if width * height > MOST_PIXELS:
                raise Unavailable("The picture has far too many pixels.")
            image.load()
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise Unavailable("The image API sent something that is no picture.") from error
    return Picture(data, content_type, width, height)


def _first(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
        made = answer["data"][0]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Unavailable("The image API sent an answer without a picture.") from error
    if not isinstance(made, dict):
        raise Unavailable("The image API sent an answer without a picture.")
    return made


def _reason(response: httpx.Response) -> str:
    try:
        said = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = f"status {response.status_code}"
    return f"The image API refused this prompt: {said[:200]}"


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), 300.0) if text.isdecimal() else None
