"""Which port everything of a site listens on: remembered ones stay, new ones come from what is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable

if TYPE_CHECKING:
    from towline.steps.model import Facts


class Ports:
    """Hands out ports of one site, for one plan, in the order asked; the same questions get the same answers."""

    def __init__(self, facts: Facts) -> None:
        self._running = {instance.name: instance.port for instance in facts.instances if instance.port}
        self._kept = dict(facts.ports)
        taken = {*self._running.values(), *self._kept.values()}
        self._free = [port for port in facts.room.ports if port not in taken]
        self._site = facts.site

    def reserve(self, port: int) -> None:
        """Keep a port that somebody chose by number from being handed out as a new one."""
        self._free = [free for free in self._free if free != port]

    def kept(self, name: str) -> int:
        """The port that stays the same from release to release."""
        if name not in self._kept:
            self._kept[name] = self._next()
        return self._kept[name]

    def of_instance(self, name: str) -> int:
        """The port of an instance: its own when it runs already, else a new one."""
        port = self._running.get(name)
        if port is None:
            port = self._running[name] = self._next()
        return port

    def _next(self) -> int:
        if not self._free:
            raise SiteUnreachable(
                f"site `{self._site}` has no free port left between 20000 and 29999", hint="towline status"
            )
        return self._free.pop(0)
