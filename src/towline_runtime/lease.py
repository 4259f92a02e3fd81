"""One active copy of a role however many run: a row with an owner and an expiry by the database's clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from typing import TYPE_CHECKING

from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from towline_runtime.database import Database

log = logging.getLogger(__name__)


def owner() -> str:
    """A name for this process that no other has, also after a restart with the same process id."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """The right to act as `name`, for `seconds` at a time."""

    def __init__(self, database: Database, name: str, owner: str, seconds: float = 10.0) -> None:
        self._database = database
        self._name = name
        self._owner = owner
        self._seconds = seconds

    async def take(self) -> int | None:
        """Take or renew; gives the fencing token, or None while another owner holds it."""
        rows = await self._database.fetch("take_lease", self._name, self._owner, self._seconds)
        return rows[0]["token"] if rows else None

    async def drop(self) -> None:
        """Let another owner have it at once."""
        await self._database.fetch("drop_lease", self._name, self._owner)

    async def work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whenever the lease is ours run `work`, ended as soon as the lease cannot be renewed; for ever.

        The renewal comes three times a lease; a holder that cannot reach the database stops before its lease has run
        out for others, by its own monotonic clock.
        """
        while True:
            with contextlib.suppress(*AWAY):
                if await self.take() is not None:
                    log.info("took the lease", extra={"lease": self._name})
                    await self._while_held(work)
            await asyncio.sleep(self._seconds / 3)

    async def _while_held(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(work())
        try:
            await self._keep(task)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, *AWAY):
                await task
            with contextlib.suppress(*AWAY):
                await self.drop()

    async def _keep(self, task: asyncio.Future[None]) -> None:
        clock = asyncio.get_running_loop().time
        held_until = clock() + self._seconds
        while not task.done():
            await asyncio.wait({task}, timeout=self._seconds / 3)
            asked = clock()
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(max(0.0, held_until - asked)):
                    if await self.take() is None:
                        log.warning("lost the lease", extra={"lease": self._name})
                        return
                    held_until = asked + self._seconds
            if clock() >= held_until:
                log.warning("could not renew the lease", extra={"lease": self._name})
                return
