"""One persistent shell at the other end of a pipe: programs go in, how they ended comes out, in one round trip."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.drivers.host.programs import part, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST = 16 * 1024 * 1024
"""Bytes of each stream of a program that are kept; what comes after is dropped and said to be."""

GRACE = 25.0
"""Seconds beyond a program's own limit: 2 until it is killed, 20 until ssh has noticed a frozen link, and the way."""

_CHUNK = 65536


class Gone(Exception):
    """The other end is no longer there; `reason` is what the program that led there said last."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Silent(Exception):
    """The other end is there but has not answered in time."""


@dataclass(frozen=True)
class Answer:
    """How a program ended, with its exact bytes.

    `cut`: there was more than MOST of a stream. `timed_out`: its limit ended it, and `status` is -1.
    """

    status: int
    out: bytes
    err: bytes
    timed_out: bool = False
    cut: bool = False

    @property
    def text(self) -> str:
        """Standard output as text; what is no UTF-8 is replaced."""
        return self.out.decode("utf-8", "replace")

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last 20 lines of both streams, errors last."""
        return tuple((self.text.splitlines() + self.err.decode("utf-8", "replace").splitlines())[-20:])


def whole(program: str) -> str:
    """A program that does nothing at all when its end is missing: the connection may break while it is sent."""
    return f"{{ :\n{program}\n}}\n"


def serving(nonce: str) -> str:
    """The program of the other end, which says `nonce` when it is there: whatever a login prints comes before."""
    return settings(nonce=nonce, most=MOST + 1) + part("shell.sh")


class Shell:
    """One request at a time. Not for two threads; after Gone or Silent it is of no use any more."""

    def __init__(self, argv: Callable[[str], Sequence[str]], opened_within: float) -> None:
        nonce = secrets.token_hex(8)
        self._ready = f"towline-ready {nonce} ".encode()
        self.folder = ""
        """Where it keeps its files at the other end, once it has answered; `group` is the process group at work."""
        self._opens_within: float | None = opened_within
        self._count = 0
        self._read = b""
        self._process = subprocess.Popen(
            list(argv(serving(nonce))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None  # noqa: S101 - they are pipes
            os.set_blocking(stream.fileno(), False)

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        """Run a program to its end. Raises Gone, or Silent when even its limit has not ended it."""
        deadline = time.monotonic() + within + GRACE
        self._ask("call", program, data, within, deadline)
        self._wait_until_open()
        while not (line := self._line(deadline)).startswith(b"="):
            pass
        return self._answer(line, deadline)

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[bytes | Answer]:
        """Each line of standard output as it comes, then how the program ended, without them. Raises as `run`."""
        deadline = time.monotonic() + within + GRACE
        self._ask("lines", program, data, within, deadline)
        self._wait_until_open()
        while not (line := self._line(deadline)).startswith(b"="):
            if line.startswith(b"+"):
                yield line[1:]
        yield self._answer(line, deadline)

    def close(self) -> None:
        """Let go: the other end finds its input ended."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, how: str, program: str, data: bytes, within: float, deadline: float) -> None:
        # Not after the other end has said that it is there: the first question travels with the opening.
        self._count += 1
        text = whole(program).encode()
        self._write(f"{self._count} {how} {within:.3f} {len(text)} {len(data)}\n".encode() + text + data, deadline)

    def _wait_until_open(self) -> None:
        if self._opens_within is not None:
            # Counted from here: it may have lain idle for long, and its answer with it.
            deadline = time.monotonic() + self._opens_within
            while not (line := self._line(deadline)).startswith(self._ready):
                pass
            self.folder, self._opens_within = line.removeprefix(self._ready).decode(), None

    def _answer(self, line: bytes, deadline: float) -> Answer:
        number, status, out, err = (int(word) for word in line[1:].split())
        if number != self._count:
            raise Gone(f"an answer to request {number} came instead of {self._count}")
        both = self._exactly(out + err, deadline)
        cut = max(out, err) > MOST
        return Answer(status, both[:out][:MOST], both[out:][:MOST], timed_out=status < 0, cut=cut)

    def _line(self, deadline: float) -> bytes:
        start = 0
        while (end := self._read.find(b"\n", start)) < 0:
            start = len(self._read)
            self._read += self._more(deadline)
        line, self._read = self._read[:end], self._read[end + 1 :]
        return line

    def _exactly(self, size: int, deadline: float) -> bytes:
        chunks, had = [self._read], len(self._read)
        while had < size:
            chunks.append(self._more(deadline))
            had += len(chunks[-1])
        whole = b"".join(chunks)
        self._read = whole[size:]
        return whole[:size]

    def _more(self, deadline: float) -> bytes:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - it is a pipe
        self._wait(stream.fileno(), select.POLLIN, deadline)
        if chunk := os.read(stream.fileno(), _CHUNK):
            return chunk
        raise Gone(self._last_words())

    def _write(self, content: bytes, deadline: float) -> None:
        stream, left = self._process.stdin, memoryview(content)
        assert stream is not None  # noqa: S101 - it is a pipe
        while left:
            self._wait(stream.fileno(), select.POLLOUT, deadline)
            try:
                left = left[os.write(stream.fileno(), left[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(self._last_words()) from error

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Silent

    def _last_words(self) -> str:
        """What the program that led there said on stderr, once it has ended."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        with contextlib.suppress(BlockingIOError):
            return os.read(stream.fileno(), _CHUNK).decode("utf-8", "replace").strip()
        return ""
