"""The one ssh connection to a host that all calls share, and the process that keeps it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.drivers.host.address import Address

ALIVE_EVERY, ALIVE_MOST = 5, 3
"""ssh asks after 5 s of silence whether the host is there, and gives it up after three questions: 20 s at most."""

_LOOK = 0.004

# ssh is a child of this shell, which ends it when its own input ends: so it goes when whoever started it is gone, also
# by SIGKILL, and the folder with the control socket goes with it.
_KEEPER = """
folder=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
ssh=$!
{ cat <&3 >/dev/null; kill "$ssh"; } 2>/dev/null &
wait "$ssh"
status=$?
rm -rf "$folder"
exit "$status"
"""


class Master:
    """A connection that is up as soon as `ready` says so. `options` are ssh options that say how to get there."""

    def __init__(self, address: Address, options: Sequence[str]) -> None:
        # A control socket takes at most about 90 characters: the folder of temporary files of macOS is too long.
        self.folder = Path(tempfile.mkdtemp(prefix="towline-", dir="/tmp"))
        self._socket = self.folder / "ssh"
        self._options = tuple(options)
        self._at = ("-o", f"ControlPath={self._socket}")
        self._end = address.arguments()
        self._forwards = 0
        self._heard = ""
        self._process = subprocess.Popen(
            ("sh", "-c", _KEEPER, "sh", str(self.folder), "ssh", *self._at, *_MASTER, *options, *_PATIENCE, *self._end),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def ready(self, within: float) -> bool:
        """Wait until calls can be made; False when the time is over or ssh has given up."""
        deadline = time.monotonic() + within
        while not self._socket.exists():
            if time.monotonic() > deadline:
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_LOOK)
                return False
        return True

    def said(self) -> str:
        """What ssh has said on stderr so far."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - it is a pipe
        if not stream.closed:
            os.set_blocking(stream.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._heard += os.read(stream.fileno(), 65536).decode("utf-8", "replace")
        return self._heard

    def call(self, *command: str) -> tuple[str, ...]:
        """The argv of a call of its own over this connection."""
        return ("ssh", *self._at, *_CLIENT, *self._options, *self._end, *command)

    def forward(self, remote: str, within: float) -> Path | str:
        """Lead a socket in a private folder here to `remote`, a socket there; a text says why not."""
        self._forwards += 1
        local = self.folder / f"forward-{self._forwards}"
        argv = (*self.call()[: -len(self._end)], "-O", "forward", "-L", f"{local}:{remote}", *self._end)
        try:
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=within, check=False)
        except subprocess.TimeoutExpired:
            return f"not done within {within:g} s"
        return local if ran.returncode == 0 and local.exists() else ran.stderr.strip() or f"status {ran.returncode}"

    def close(self) -> None:
        """End the connection and whatever still goes over it."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        self.said()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _options(**values: str | int) -> tuple[str, ...]:
    return tuple(word for name, value in values.items() for word in ("-o", f"{name}={value}"))


_MASTER: Final = (
    "-N",
    *_options(
        BatchMode="yes",
        ControlMaster="yes",
        ControlPersist="no",
        # Nothing of the user's own ways of using this host: it would fail where they are logged in already.
        ClearAllForwardings="yes",
        ForwardAgent="no",
        ForwardX11="no",
        PermitLocalCommand="no",
        RemoteCommand="none",
        RequestTTY="no",
        # It says of a frozen host that it does not respond, which is no error to it.
        LogLevel="INFO",
    ),
)
_PATIENCE: Final = _options(ConnectTimeout=10, ServerAliveInterval=ALIVE_EVERY, ServerAliveCountMax=ALIVE_MOST)
# A call that finds no connection would make one of its own: `false` lets that fail.
_CLIENT: Final = _options(
    BatchMode="yes",
    ControlMaster="no",
    ProxyCommand="false",
    ForwardAgent="no",
    ForwardX11="no",
    RemoteCommand="none",
    RequestTTY="no",
    LogLevel="ERROR",
    EscapeChar="none",
)
