"""Where a local target keeps everything: one private folder in the project, and a short one for sockets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.core.files import hold_lock, write_atomic
from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Home:
    """The folders and files of one target; `path` is PROJECT/.towline/TARGET, `run` holds only sockets.

    Sockets lie apart because their paths are limited to 104 bytes on macOS and 107 on Linux.
    """

    path: Path
    run: Path

    @property
    def journal(self) -> Path:
        """The journal, one JSON object a line."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Who holds the target, and the highest fence ever given."""
        return self.path / "lock.json"

    @property
    def blobs(self) -> Path:
        """Stashed contents under their digests."""
        return self.path / "blobs"

    @property
    def data(self) -> Path:
        """The data of each store in a folder of its name."""
        return self.path / "data"

    @property
    def door(self) -> Path:
        """Slot files, routes and private state of the front door."""
        return self.path / "door"

    @property
    def static(self) -> Path:
        """Kept files of static services: SERVICE/NAME/."""
        return self.path / "static"

    @property
    def logs(self) -> Path:
        """NAME.log of each instance and task."""
        return self.path / "logs"

    @property
    def config(self) -> Path:
        """Configuration files of servers; they hold passwords, so that no command line does."""
        return self.path / "config"

    @property
    def ports(self) -> Path:
        """The ports that stay the same, by name."""
        return self.path / "ports.json"

    @property
    def tasks(self) -> Path:
        """The marker each task was last done with."""
        return self.path / "tasks.json"

    @property
    def instances(self) -> Path:
        """The last instances of each service, also those that have stopped."""
        return self.path / "instances.json"

    @property
    def supervisor_state(self) -> Path:
        """What the supervisor remembers to clean up after a SIGKILL of itself."""
        return self.path / "supervisor.json"

    @property
    def control(self) -> Path:
        """The control socket of the supervisor."""
        return self.run / "control"

    @property
    def door_admin(self) -> Path:
        """The socket by which the front door takes new routes."""
        return self.run / "door"

    def make(self) -> None:
        """Make the folder itself, private, and keep it out of version control."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = self.path.parent / ".gitignore"
        if self.path.parent.name == ".towline":
            self.path.parent.chmod(0o700)
            if not ignore.exists():
                write_atomic(ignore, "*\n", mode=0o644)
        self.path.chmod(0o700)

    def salt(self) -> Secret:
        """What keys every digest of a secret here: 32 random bytes in hexadecimal, made once."""
        path = self.path / "salt"
        with contextlib.suppress(FileNotFoundError):
            return Secret(path.read_text())
        self.make()
        with hold_lock(self.path / ".salt.lock"):
            if not path.exists():
                write_atomic(path, secrets.token_hex(32))
        return Secret(path.read_text())

    def make_run(self) -> Path:
        """The folder for sockets, made if need be. Raises Refused when it is not ours alone."""
        parent = self.run.parent
        if parent.name == "towline":
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            self.run.mkdir(mode=0o700)
        self.check_run()
        return self.run

    def drop_run(self) -> None:
        """Remove the folder for sockets, when nothing listens there any more."""
        self.check_run()
        shutil.rmtree(self.run, ignore_errors=True)

    def check_run(self) -> None:
        """Refuse a folder for sockets that somebody else could have made: they would be talked to with secrets."""
        try:
            found = self.run.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise Refused(
                f"{self.run} is not a folder that only you can use, so no socket is opened there",
                hint=f"ls -ld {self.run}",
            )


def home_of(path: Path, environ: Mapping[str, str]) -> Home:
    """The home at `path`, with a short folder for sockets whose name follows from it."""
    path = path.absolute()
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir() and len(os.fsencode(runtime)) < 60:
        return Home(path, Path(runtime) / "towline" / name)
    return Home(path, Path("/tmp") / f"towline-{os.getuid()}-{name}")  # noqa: S108 - owner and mode are checked
