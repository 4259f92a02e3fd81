"""The slot files of the front door: which addresses a service's requests go to, each change one rename."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.core.errors import StepFailed
from towline.core.files import write_atomic
from towline.drivers.local.caddy import HOLD, root, slot

if TYPE_CHECKING:
    from pathlib import Path

    from towline.drivers.local.routes import Route, Routes

_SLOT = re.compile(r"(?P<service>.+)\.(?:\d+|root)")
_ADDRESS = re.compile(r"127\.0\.0\.1:\d{1,5}")


class Slots:
    """The folder of slot files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def upstreams(self, service: str) -> tuple[str, ...]:
        """Where the requests of a service go, each address once, in order; none when they wait."""
        kept = self._read(root(service))
        if kept is not None:
            return (kept,) if kept != HOLD else ()
        found = [self._read(path.name) for path in self._of(service)]
        return tuple(dict.fromkeys(address for address in found if address is not None and address != HOLD))

    def all(self) -> dict[str, tuple[str, ...]]:
        """The upstreams of each service that has any."""
        names = [_SLOT.fullmatch(path.name) for path in self._folder.glob("[!.]*")] if self._folder.is_dir() else []
        services = sorted({match["service"] for match in names if match is not None})
        return {service: found for service in services if (found := self.upstreams(service))}

    def send(self, route: Route, upstreams: tuple[str, ...]) -> None:
        """Send the requests of a service to these addresses in turn; with none, let them wait.

        No slot is ever left on an address that refuses while another is live: each request that met it would wait.
        """
        if route.kind == "files":
            self._write(root(route.name), upstreams[0] if upstreams else HOLD)
            self._drop(self._of(route.name))
            return
        wrong = [address for address in upstreams if not _ADDRESS.fullmatch(address)]
        if wrong:
            raise StepFailed(f"{wrong[0]} is no address that the front door can send requests to")
        if len(upstreams) > route.slots:
            raise StepFailed(f"{route.name} has {len(upstreams)} copies and {route.slots} slots at the front door")
        cycle = upstreams or (HOLD,)
        for number in range(1, route.slots + 1):
            self._write(slot(route.name, number), cycle[(number - 1) % len(cycle)])
        self._drop([self._folder / root(route.name), *self._of(route.name)[route.slots :]])

    def fit(self, routes: Routes) -> None:
        """Make the files that these routes name, each service with the addresses that it has now."""
        for route in routes.routes:
            now = self.upstreams(route.name)
            if route.kind == "proxy":
                self.send(route, tuple(one for one in now if _ADDRESS.fullmatch(one)))
            elif route.kind == "files":
                self.send(route, tuple(one for one in now if not _ADDRESS.fullmatch(one)))

    def forget(self, service: str) -> None:
        """Drop the files of a service that the door does not lead to."""
        self._drop([*self._of(service), self._folder / root(service)])

    def _of(self, service: str) -> list[Path]:
        numbered = re.compile(re.escape(service) + r"\.(\d+)")
        found = [(match, path) for path in self._folder.glob("[!.]*") if (match := numbered.fullmatch(path.name))]
        return [path for match, path in sorted(found, key=lambda pair: int(pair[0][1]))]

    def _drop(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def _read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text().strip()
        except FileNotFoundError:
            return None

    def _write(self, name: str, address: str) -> None:
        if self._read(name) != address:
            write_atomic(self._folder / name, address, durable=False)
