"""A real sshd on loopback with a key of its own: a host, as far as the protocol goes."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real_servers import free_port, until

from towline.drivers.host.address import Address
from towline.drivers.host.ssh import Connection

if TYPE_CHECKING:
    from types import TracebackType

    from towline.core.events import Listener


class LoopbackSshd:
    """One sshd with its files in `folder`; may be frozen and stopped."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder, self.port, self.user = folder, free_port(), getpass.getuser()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LoopbackSshd:
        for name in ("host", "user", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        shutil.copy(self.folder / "user.pub", self.folder / "authorized")
        self.know(self.folder / "host.pub")
        (self.folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nAllowStreamLocalForwarding yes\n"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def know(self, public: Path, port: int | None = None) -> None:
        """Let those who connect expect this host key, at this port."""
        key = " ".join(public.read_text().split()[:2])
        with (self.folder / "known").open("a") as known:
            known.write(f"[127.0.0.1]:{port or self.port} {key}\n")

    def start(self) -> None:
        """Listen."""
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        argv = [program, "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "log")]
        self._process = subprocess.Popen(argv, start_new_session=True)
        until(self._listens, f"sshd, see {self.folder / 'log'}")

    def stop(self) -> None:
        """Listen no more; connections that stand are left alone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)

    def sessions(self) -> list[int]:
        """The processes of connections that stand."""
        assert self._process is not None
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def freeze(self) -> list[int]:
        """Let every connection hang, so that whoever waits hears nothing. The processes, to be continued."""
        frozen: list[int] = []
        waiting = self.sessions()
        while waiting:
            pid = waiting.pop()
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)
            found = subprocess.run(["pgrep", "-P", str(pid), "sshd"], capture_output=True, text=True, check=False)
            waiting += [int(one) for one in found.stdout.split()]
        return frozen

    def options(self, key: str = "user") -> tuple[str, ...]:
        """The ssh options that lead here and nowhere else, whatever the user's configuration says."""
        known = f"UserKnownHostsFile={self.folder / 'known'}"
        strict = ("-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none")
        return ("-F", "none", "-i", str(self.folder / key), "-o", "IdentitiesOnly=yes", "-o", known, *strict)

    def address(self, port: int | None = None) -> Address:
        """Where it listens, or where a link to it does."""
        return Address("127.0.0.1", self.user, port or self.port)

    def connection(self, port: int | None = None, *, key: str = "user", listener: Listener | None = None) -> Connection:
        """A connection that is not open yet."""
        heard = (listener,) if listener else ()
        return Connection(self.address(port), *heard, options=self.options(key), root=os.getuid() == 0)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
