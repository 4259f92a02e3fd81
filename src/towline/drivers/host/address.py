"""Where a host is reached: what a person writes after `ssh`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from towline.core.errors import UsageError

# What starts with a dash would be an option to ssh; nothing else here may hold a space or a quote.
_USER = r"[A-Za-z_][A-Za-z0-9_.-]*\$?"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?"
_ADDRESS = re.compile(
    rf"(?:ssh://)?(?:(?P<user>{_USER})@)?"
    rf"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)\]|(?P<host>{_NAME}))(?::(?P<port>[0-9]{{1,5}}))?/?"
)
_BARE_SIX = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<six>[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)")


@dataclass(frozen=True)
class Address:
    """A host, and the user and port where they are not left to the user's ssh configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in `deploy@203.0.113.7:2222`, `box`, `root@[2001:db8::1]:22` or `ssh://...`; else UsageError."""
        found = _ADDRESS.fullmatch(text) or _BARE_SIX.fullmatch(text)
        port = found.groupdict().get("port") if found else None
        if found is None or (port is not None and not 0 < int(port) < 65536):
            raise UsageError(f"{text!r} is no address of a host", hint="write USER@HOST or USER@HOST:PORT")
        parts = found.groupdict()
        return cls(parts["six"] or parts["host"], parts["user"], None if port is None else int(port))

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        if self.port is None:
            return f"{user}{self.host}"
        return f"{user}[{self.host}]:{self.port}" if ":" in self.host else f"{user}{self.host}:{self.port}"

    def arguments(self) -> tuple[str, ...]:
        """The end of an ssh command line that leads there."""
        user = () if self.user is None else ("-l", self.user)
        port = () if self.port is None else ("-p", str(self.port))
        return (*user, *port, "--", self.host)

    def command(self) -> str:
        """What a person types to get there."""
        port = "" if self.port is None else f"-p {self.port} "
        user = "" if self.user is None else f"{self.user}@"
        return f"ssh {port}{user}{self.host}"
