"""A relay with one fault: killed after it published, or frozen before it does, at its first batch."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from towline_runtime.database import Database
from towline_runtime.doorbell import open_doorbell
from towline_runtime.relay import Relay, RelayOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline_runtime.doorbell import Ring

LEASE = 3.0


class Faulty:
    """A doorbell that rings as the one within, with the fault on the way."""

    def __init__(self, bell: Any, fault: str) -> None:
        self.scheme = bell.scheme
        self._bell = bell
        self._fault = fault

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        if self._fault == "frozen before":
            self._fault = "none"
            os.kill(os.getpid(), signal.SIGSTOP)
        refused: list[Ring] = await self._bell.ring(rings)
        if self._fault == "killed after":
            os.kill(os.getpid(), signal.SIGKILL)
        return refused


async def main(fault: str) -> None:
    queues = ["marks"]
    async with (
        Database.open(os.environ["DATABASE_URL"]) as database,
        open_doorbell(os.environ["DOORBELL_URL"], database, queues) as bell,
    ):
        await Relay(database, Faulty(bell, fault), queues, RelayOptions(lease=LEASE)).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
