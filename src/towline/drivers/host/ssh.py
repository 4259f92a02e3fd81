"""One connection to a host over the system's own ssh: run, stream, put, forward."""

from __future__ import annotations

import contextlib
import shlex
import threading
from typing import TYPE_CHECKING, Final

from towline.core.errors import SiteUnreachable, StepFailed, Where
from towline.core.events import Noted, ignore
from towline.drivers.host.master import Master
from towline.drivers.host.programs import part, quote
from towline.drivers.host.refusals import unreachable
from towline.drivers.host.shell import Answer, Gone, Shell, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from towline.core.events import Listener
    from towline.drivers.host.address import Address

OPENED_WITHIN: Final = 30.0
"""Seconds until the connection is up and its shell answers."""

_AS_ROOT: Final = 'if [ "$(id -u)" = 0 ]; then exec sh -c "$0"; else exec sudo -n sh -c "$0"; fi'


class Connection:
    """Opened by the first call, and again by the next one after it broke; every call raises SiteUnreachable.

    Programs run as root: as the login itself, or by `sudo -n`, unless `root` is False. `options` are ssh options that
    say how to get there, before the user's own configuration does. Several threads may use it.
    """

    def __init__(
        self, address: Address, listener: Listener = ignore, *, options: Sequence[str] = (), root: bool = True
    ) -> None:
        self._address = address
        self._listener = listener
        self._options = tuple(options)
        self._root = root
        self._changing = threading.RLock()
        self._calling = threading.Lock()
        self._master: Master | None = None
        self._begun: Master | None = None
        self._calls: Shell | None = None
        self._idle: list[Shell] = []
        self._opened = 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Begin to connect, while the caller has other things to do; the first call waits for it, and tells errors."""
        with self._changing:
            if self._master is None and self._begun is None:
                self._begun = Master(self._address, self._options)

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        """Run a shell program there, at most `within` seconds, with `data` as its input; any status is an answer.

        One at a time: while a long one runs, no lease is renewed. What takes its time goes through `lines`.
        """
        with self._calling:
            master, shell = self._up()
            try:
                return shell.run(program, within=within, data=data)
            except (Gone, Silent) as error:
                raise self._broken(master, error) from error

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        """The lines that a program prints, as they come. Raises StepFailed when it ends with another status than 0.

        Whoever stops reading ends the program, but for what has made a session of its own.
        """
        master, shell, answer = *self._spare(), None
        try:
            for line in shell.lines(program, within=within, data=data):
                if isinstance(line, Answer):
                    answer = line
                else:
                    yield line.decode("utf-8", "replace")
        except (Gone, Silent) as error:
            raise self._broken(master, error) from error
        finally:
            self._given_back(master, shell, whole=answer is not None)
        if answer is not None and answer.status != 0:
            raise self._ended_badly(answer, within)

    def put(self, contents: Mapping[str, bytes], *, within: float = 60.0) -> None:
        """Write files there, each 0600 and whole or not at all; their folders must be there. Raises StepFailed."""
        calls = "".join(f"keep {quote(path)} {len(content)} || exit 74\n" for path, content in contents.items())
        program = f"umask 077\n{part('files.sh')}{calls}"
        answer = self.run(program, within=within, data=b"".join(contents.values()))
        if answer.status != 0:
            raise self._ended_badly(answer, within)

    def forward(self, remote_socket: str) -> Path:
        """A socket here that leads to one there, for as long as the connection lasts; as the user who logs in."""
        with self._calling:
            master, _ = self._up()
            found = master.forward(remote_socket, OPENED_WITHIN)
        if isinstance(found, str):
            raise unreachable(self._address, f"{remote_socket} cannot be reached: {found}", "")
        return found

    def argv(self, program: str, *, terminal: bool) -> tuple[str, ...]:
        """What to start here so that a shell program runs there, as root, with the caller's terminal."""
        with self._calling:
            master, _ = self._up()
        words = ("sh", "-c", _AS_ROOT, program) if self._root else ("sh", "-c", program)
        ssh, *rest = master.call("exec " + shlex.join(words))
        # Before the options that say that nobody needs a terminal: the first word counts.
        return (ssh, "-tt", *rest) if terminal else (ssh, *rest)

    def close(self) -> None:
        """End it; nothing of it is left here."""
        with self._changing:
            shells = [*self._idle, *([self._calls] if self._calls else [])]
            masters = [one for one in (self._master, self._begun) if one is not None]
            self._master, self._begun, self._calls, self._idle = None, None, None, []
        for master in masters:
            master.close()
        for shell in shells:
            shell.close()

    def _up(self) -> tuple[Master, Shell]:
        with self._changing:
            if self._master is None or self._calls is None:
                self._open()
            assert self._master is not None  # noqa: S101 - just opened
            assert self._calls is not None  # noqa: S101
            return self._master, self._calls

    def _open(self) -> None:
        if self._opened:
            self._listener(Noted(f"connecting to {self._address} again"))
        master, self._begun = self._begun or Master(self._address, self._options), None
        try:
            ready = master.ready(OPENED_WITHIN)
        except BaseException:
            master.close()
            raise
        if not ready:
            said = master.said() or "timed out"
            master.close()
            raise unreachable(self._address, said, "")
        self._opened += 1
        self._master = master
        # The second one is for the first batch, which need not wait for it then.
        self._calls, self._idle = self._shell(master), [self._shell(master)]

    def _shell(self, master: Master) -> Shell:
        def argv(serving: str) -> tuple[str, ...]:
            words = ("sh", "-c", _AS_ROOT, serving) if self._root else ("sh", "-c", serving)
            return master.call("exec " + shlex.join(words))

        return Shell(argv, OPENED_WITHIN)

    def _spare(self) -> tuple[Master, Shell]:
        with self._changing:
            master, _ = self._up()
            return master, self._idle.pop() if self._idle else self._shell(master)

    def _given_back(self, master: Master, shell: Shell, *, whole: bool) -> None:
        """Keep a shell that has answered for the next one; one that was left in the middle is of no use."""
        with self._changing:
            if whole and master is self._master:
                self._idle.append(shell)
                return
            up = master is self._master
        shell.close()
        if up and shell.folder:
            # It would hold one of the ten sessions that sshd lets a connection have.
            with contextlib.suppress(SiteUnreachable):
                self.run(f'kill -s KILL -- "-$(cat {quote(shell.folder)}/group)"', within=10)

    def _broken(self, master: Master, error: Gone | Silent) -> SiteUnreachable:
        """Let go of a connection that broke: what ssh said about it, as an error."""
        reason = error.reason if isinstance(error, Gone) else ""
        said = f"{master.said()}\n{reason}"
        with self._changing:
            if master is self._master:
                self.close()
        silent = "timed out" if isinstance(error, Silent) else "it was cut"
        return unreachable(self._address, said, silent)

    def _ended_badly(self, answer: Answer, within: float) -> StepFailed:
        lines = answer.last_lines
        reason = lines[-1] if lines else f"status {answer.status}"
        sentence = f"a program was not done within {within:g} s" if answer.timed_out else f"a program failed: {reason}"
        return StepFailed(sentence, where=Where(str(self._address)), hint=self._address.command(), evidence=lines)
