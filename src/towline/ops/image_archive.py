"""An image as `docker save` writes it, in each form it has had: its configuration, and its layers one by one."""

from __future__ import annotations

import json
import posixpath
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from towline.core.errors import SiteUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK: Final = 256 * 1024
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_AS_GZIP: Final = 31
"""What zlib calls a stream with the header and the sum of gzip."""


@dataclass(frozen=True)
class Archive:
    """One image in a file. `layers`: member and bytes there by the layer's digest, lowest first."""

    file: Path
    config: bytes
    layers: dict[str, tuple[str, int]]

    def packed(self, layer: str) -> Iterator[bytes]:
        """A layer as gzip packs it, in pieces; one that is packed already goes as it is."""
        with tarfile.open(self.file) as tar:
            stream = tar.extractfile(self.layers[layer][0])
            if stream is None:
                raise SiteUnreachable(f"{self.file} has no layer {layer}", hint="docker version")
            first = stream.read(_CHUNK)
            if first.startswith(_ZSTD):
                sentence = "the local Docker keeps a layer packed by zstd, which not every server can unpack"
                raise SiteUnreachable(sentence, hint="docker buildx build --output type=docker,compression=gzip")
            packing = None if first.startswith(_GZIP) else zlib.compressobj(6, zlib.DEFLATED, _AS_GZIP)
            chunk = first
            while chunk:
                yield packing.compress(chunk) if packing else chunk
                chunk = stream.read(_CHUNK)
            if packing:
                yield packing.flush()


def read_archive(file: Path) -> Archive:
    """What is in a file of `docker save`. Raises SiteUnreachable for one that is none of one image."""
    try:
        with tarfile.open(file) as tar:
            return _read(tar, file)
    except (tarfile.TarError, KeyError, ValueError, IndexError) as error:
        raise SiteUnreachable(
            f"the local Docker saves images in an unknown form ({error})", hint="docker version"
        ) from error


def _read(tar: tarfile.TarFile, file: Path) -> Archive:
    told = json.loads(_content(tar, "manifest.json"))[0]
    config = _content(tar, str(told["Config"]))
    digests = [str(one) for one in json.loads(config)["rootfs"]["diff_ids"]]
    members = [_member(tar, str(one)) for one in told["Layers"]]
    layers = dict(zip(digests, ((one.name, one.size) for one in members), strict=True))
    return Archive(file, config, layers)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    stream: Any = tar.extractfile(name)
    content: bytes = stream.read()
    return content


def _member(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """A member; a layer that is in an image twice is a link to itself the second time."""
    found = tar.getmember(name)
    if found.issym():
        return tar.getmember(posixpath.normpath(posixpath.join(posixpath.dirname(name), found.linkname)))
    return found
