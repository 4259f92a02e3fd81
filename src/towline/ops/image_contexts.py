"""The folder that an image is built from, packed for a server that builds it itself."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from typing import TYPE_CHECKING, Final

from towline.artifacts.source import context_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.ops.image_builds import Order

_AS_GZIP: Final = 31
_CHUNK: Final = 256 * 1024


def part_name(source: str) -> str:
    """The name of a packed context among the parts of images."""
    return hashlib.sha256(source.encode()).hexdigest()


def packed_context(order: Order) -> Iterator[bytes]:
    """`Dockerfile`, and under `context/` what is code: no `.env`, nothing that `.dockerignore` names; gzip packs it."""
    packing = zlib.compressobj(6, zlib.DEFLATED, _AS_GZIP)
    for chunk in _tar(order):
        yield packing.compress(chunk)
    yield packing.flush()


def _tar(order: Order) -> Iterator[bytes]:
    """One file after the other, so that no context has to fit into memory."""
    yield from _member(order.dockerfile, "Dockerfile")
    for relative in context_files(order.context):
        yield from _member(order.context / relative, f"context/{relative}")
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(path: Path, name: str) -> Iterator[bytes]:
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as tar:
        info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    yield info.tobuf(tarfile.PAX_FORMAT)
    if not info.isreg():
        return
    left = info.size
    with path.open("rb") as stream:
        while left:
            # A file that shrinks meanwhile is filled up: its header is on its way already.
            chunk = stream.read(min(_CHUNK, left)) or bytes(min(_CHUNK, left))
            left -= len(chunk)
            yield chunk
    yield bytes(-info.size % tarfile.BLOCKSIZE)
