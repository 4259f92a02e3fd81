"""Passwords as argon2id hashes; checking one takes the same time whether the account exists or not."""

from __future__ import annotations

from functools import cache

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

# Memory 19 MiB, 2 passes, 1 lane: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
AT_ONCE = 2  # a crowd that logs in waits in line rather than taking all memory


class Passwords:
    """Hashes and checks, a few at once, off the event loop."""

    def __init__(self) -> None:
        self._places = anyio.CapacityLimiter(AT_ONCE)

    async def hash(self, password: str) -> str:
        """What to keep of a password."""
        return await anyio.to_thread.run_sync(HASHER.hash, password, limiter=self._places)

    async def fits(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; `kept` is None when there is no such account."""
        return await anyio.to_thread.run_sync(_fits, kept, password, limiter=self._places)


def _fits(kept: str | None, password: str) -> bool:
    try:
        good = HASHER.verify(kept or _nobody(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return good and kept is not None


@cache
def _nobody() -> str:
    """A hash that no password of a person fits: checking against it takes as long as any other."""
    return HASHER.hash("no account has this hash")
