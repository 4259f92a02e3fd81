"""A small synchronous client of the control socket."""

from __future__ import annotations

import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType


class Refused(Exception):
    """The supervisor said no; `answer` is its whole answer, `code` the code of its error."""

    def __init__(self, answer: dict[str, object]) -> None:
        error = answer.get("error")
        fields = error if isinstance(error, dict) else {}
        super().__init__(str(fields.get("sentence", "no reason given")))
        self.code = str(fields.get("code", "unknown"))
        self.answer = answer


class Client:
    """One connection; requests are answered in the order they are sent."""

    def __init__(self, path: Path, timeout: float | None = 60.0) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def ask(self, do: str, **fields: object) -> dict[str, object]:
        """One request and its answer. Raises Refused, or ConnectionError when the supervisor hangs up."""
        self.send({"do": do, **fields})
        answer = self.receive()
        if answer.get("ok") is not True:
            raise Refused(answer)
        return answer

    def process(self, do: str, **fields: object) -> dict[str, object]:
        """The `process` of the answer to a request."""
        found = self.ask(do, **fields)["process"]
        return found if isinstance(found, dict) else {}

    def follow(self, names: list[str] | None = None, lines: int = 100) -> Iterator[dict[str, object]]:
        """Log lines, the last ones first, then every new one until this client is closed."""
        self.ask("logs", names=names, lines=lines, follow=True)
        return self._lines()

    def tail(self, names: list[str] | None = None, lines: int = 100) -> list[dict[str, object]]:
        """The last log lines; the supervisor hangs up behind them."""
        self.ask("logs", names=names, lines=lines, follow=False)
        return list(self._lines())

    def send(self, request: Mapping[str, object]) -> None:
        """Send one request."""
        self._socket.sendall(json.dumps(request).encode() + b"\n")

    def receive(self) -> dict[str, object]:
        """One answer. Raises ConnectionError at the end of the connection."""
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the supervisor hung up")
        answer: dict[str, object] = json.loads(line)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lines(self) -> Iterator[dict[str, object]]:
        for line in self._file:
            if line.endswith(b"\n"):  # a follower that fell behind is hung up on in the middle of a line
                yield json.loads(line)
