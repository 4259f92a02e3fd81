"""Objects as plain files in a folder: for a laptop, or one server with a disk."""

from __future__ import annotations

import json
import mimetypes
import os
import secrets
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio.to_thread

from towline_runtime.errors import KeyRefused, ObjectMissing, StorageFailed
from towline_runtime.storage import OCTETS, Stored, checked
from towline_runtime.storage.signature import Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator

PIECE = 256 * 1024
FORGOTTEN = 86_400.0  # seconds without a write after which nobody writes to an unfinished file any more

# Without the system's own tables, so that an ending means the same on every machine.
_TYPES = mimetypes.MimeTypes(filenames=())


class FolderStorage:
    """Files under `folder/objects`, each written beside and then renamed, so that nobody sees a half one.

    A content type that the key's ending does not tell anyway is kept in a small file under `folder/types`. Signed
    addresses begin with `url`; serve them with `folder_door`.
    """

    def __init__(self, folder: str | Path, url: str = "/storage") -> None:
        self._objects = Path(folder).resolve() / "objects"
        self._types = self._objects.parent / "types"
        self._unfinished = self._objects.parent / "unfinished"
        for path in (self._objects, self._types, self._unfinished):
            path.mkdir(parents=True, exist_ok=True)
        _clear(self._unfinished)
        self.signer = Signer(_own_secret(self._objects.parent / "signing-key"), url)

    async def put(self, key: str, body: bytes | AsyncIterable[bytes], content_type: str = OCTETS) -> Stored:
        """Keep an object, on the disk before this returns."""
        path = self._path(key)
        part = self._unfinished / secrets.token_hex(16)
        try:
            await _fill(part, body)
            with _writing(key):
                await anyio.to_thread.run_sync(self._settle, part, path, key, content_type)
        finally:
            part.unlink(missing_ok=True)
            part.with_suffix(".type").unlink(missing_ok=True)
        found = await self.stat(key)
        if found is None:
            raise StorageFailed(f"`{key}` was removed by another as soon as it was there")
        return found

    async def get(self, key: str) -> bytes:
        """All of an object."""
        path = self._path(key)
        with _reading(key):
            return await anyio.to_thread.run_sync(path.read_bytes)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in pieces of 256 KiB."""
        path = self._path(key)
        with _reading(key):
            file = await anyio.to_thread.run_sync(path.open, "rb")
        with file:
            while piece := await anyio.to_thread.run_sync(_piece, file, key):
                yield piece

    async def delete(self, key: str) -> None:
        """Remove an object, and the folders that it leaves empty."""
        await anyio.to_thread.run_sync(self._delete, key)

    async def stat(self, key: str) -> Stored | None:
        """What is known of an object."""
        return await anyio.to_thread.run_sync(self._stat, key)

    async def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Objects by prefix, in the order of the bytes of their key."""
        walk = self._walk(self._objects, "", prefix)
        while some := await anyio.to_thread.run_sync(lambda: tuple(islice(walk, 200))):
            for found in some:
                yield found

    def url(self, key: str) -> str:
        """The address of an object under a prefix that `folder_door` shows to everybody."""
        return self.signer.plain(checked(key))

    async def presign_get(self, key: str, seconds: float = 3600, *, download_as: str | None = None) -> str:
        """A signed address for reading."""
        return self.signer.sign("GET", checked(key), seconds, download_as)

    async def presign_put(self, key: str, content_type: str, seconds: float = 900) -> str:
        """A signed address for writing."""
        return self.signer.sign("PUT", checked(key), seconds, content_type)

    async def reach(self) -> None:
        """Whether the folder is there and may be written to."""
        if not await anyio.to_thread.run_sync(os.access, self._objects, os.R_OK | os.W_OK | os.X_OK):
            raise StorageFailed("The folder for objects is gone or may not be written to", "look at STORAGE_FOLDER")

    def _path(self, key: str) -> Path:
        path = self._objects / checked(key)
        # A link within the folder must not lead out of it either.
        if not path.resolve().is_relative_to(self._objects):
            raise KeyRefused(f"`{key}` leads out of the folder")
        return path

    def _settle(self, part: Path, path: Path, key: str, content_type: str) -> None:
        kept = self._types / key
        if content_type == _told_by_ending(key):
            kept.unlink(missing_ok=True)
        else:
            told = part.with_suffix(".type")
            told.write_text(json.dumps(content_type))
            _move(told, kept)
        _move(part, path)
        _sync(path.parent)

    def _delete(self, key: str) -> None:
        path = self._path(key)
        for one, top in ((path, self._objects), (self._types / key, self._types)):
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
                one.unlink()
            with suppress(OSError):
                while (one := one.parent) != top:
                    one.rmdir()

    def _stat(self, key: str) -> Stored | None:
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageFailed(f"`{key}` cannot be read: {error.strerror}") from error
        if path.is_dir():
            return None
        try:
            content_type = json.loads((self._types / key).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            content_type = _told_by_ending(key)
        return Stored(key, found.st_size, _moment(found), content_type)

    def _walk(self, folder: Path, above: str, prefix: str) -> Iterator[Stored]:
        # With its slash a folder sorts among files just as the keys in it do.
        with suppress(FileNotFoundError):
            names = [one.name + ("/" if one.is_dir() else "") for one in os.scandir(folder)]
            for name in sorted(names, key=os.fsencode):
                key = above + name
                if not (key.startswith(prefix) or (name.endswith("/") and prefix.startswith(key))):
                    continue
                if name.endswith("/"):
                    yield from self._walk(folder / name, key, prefix)
                else:
                    with suppress(FileNotFoundError):
                        found = (folder / name).stat()
                        yield Stored(key, found.st_size, _moment(found))


@contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ObjectMissing(f"There is no object `{key}`") from error
    except OSError as error:
        raise StorageFailed(f"`{key}` cannot be read: {error.strerror}") from error


@contextmanager
def _writing(key: str) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError as error:
        raise KeyRefused(f"`{key}` is a folder of other objects") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise KeyRefused(f"A part of `{key}` is an object itself") from error
    except OSError as error:
        raise StorageFailed(f"`{key}` cannot be written: {error.strerror}") from error


async def _fill(part: Path, body: bytes | AsyncIterable[bytes]) -> None:
    # Failures of the body itself are the caller's and go through as they are.
    with _writing(part.name):
        file = await anyio.to_thread.run_sync(part.open, "xb")
    with file:
        if isinstance(body, bytes):
            with _writing(part.name):
                await anyio.to_thread.run_sync(file.write, body)
        else:
            async for piece in body:
                with _writing(part.name):
                    await anyio.to_thread.run_sync(file.write, piece)
        with _writing(part.name):
            await anyio.to_thread.run_sync(_flush, file)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _piece(file: IO[bytes], key: str) -> bytes:
    with _reading(key):
        return file.read(PIECE)


def _move(part: Path, path: Path) -> None:
    # A folder that another just left empty may be removed between the two steps.
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            part.replace(path)
            return
    raise StorageFailed(f"`{path.name}` cannot be written: its folder is removed again and again")


def _clear(unfinished: Path) -> None:
    # What a killed process left half-written; younger files may be another process's, at work.
    for path in unfinished.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _told_by_ending(key: str) -> str:
    return _TYPES.guess_type(key, strict=True)[0] or OCTETS


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _own_secret(path: Path) -> bytes:
    # Made once, and shared by all processes that share the folder.
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return bytes.fromhex(path.read_text())
