"""Which uploads count as photos."""

import io
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 25_000_000  # decoded, that is 100 MB of memory in the worker

# Opening reads only the header; the limit above is checked before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class NotAPhotoError(Exception):
    """The bytes are no image that the app can read; the message is for the person who sent it."""


class PhotoTooLargeError(Exception):
    """The image has too many pixels; the message is for the person who sent it."""


def open_photo(file: BinaryIO | bytes) -> Image.Image:
    """Open an image without decoding it; raise NotAPhotoError or PhotoTooLargeError."""
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        image = Image.open(source, formats=list(FORMATS))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise NotAPhotoError("This file is not a JPEG, PNG or WebP image.") from error
    if image.width * image.height > MAX_PIXELS:
        raise PhotoTooLargeError(
            f"The photo has {image.width} by {image.height} pixels; at most {MAX_PIXELS // 10**6} megapixels work."
        )
    return image
