"""Is this process alive, and can it serve: answered in less than 100 ms, whatever state its servers are in."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from towline_runtime.asgi import answer_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from towline_runtime.asgi import App, Receive, Scope, Send

log = logging.getLogger(__name__)

LIMIT = 0.080  # seconds that the checks have, so that the whole answer stays under 100 ms
FRESH = 2.0  # seconds that an answer is given again, so that probes cost the servers nothing
RECOVER = 0.25  # seconds that one is given again which says "not ready": its end should be seen soon
ABANDON = 5.0  # seconds after which a check that hangs is cancelled, and then begun anew

Word = Literal["healthy", "unhealthy", "degraded"]


@dataclass(frozen=True)
class Check:
    """One thing that is asked: `ask` returns when it is well and raises when it is not.

    A `hard` check decides whether the process is ready; a soft one shows as degraded and decides nothing. `close`
    lets go of what the check keeps open.
    """

    name: str
    ask: Callable[[], Awaitable[None]]
    hard: bool = True
    close: Callable[[], Awaitable[None]] | None = None

    def soft(self) -> Check:
        """The same check, deciding nothing."""
        return replace(self, hard=False)


class Unwell(Exception):
    """Raised by a check: its text is shown to whoever asks, so it must not tell addresses or secrets."""


@dataclass(frozen=True)
class Answer:
    """What one check gave; `latency_ms` is the time until it did, or until nobody waited any longer."""

    status: Word
    latency_ms: float
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the endpoint shows it."""
        shown: dict[str, Any] = {"status": self.status, "latency_ms": self.latency_ms}
        return shown | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Readiness:
    """All answers of one look; `moment` is UTC."""

    ready: bool
    version: str
    moment: datetime
    checks: dict[str, Answer]

    @property
    def status_code(self) -> int:
        """HTTP's word for it."""
        return 200 if self.ready else 503

    def as_json(self) -> dict[str, Any]:
        """As the endpoint shows it."""
        return {
            "status": "healthy" if self.ready else "unhealthy",
            "version": self.version,
            "timestamp": self.moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "checks": {name: found.as_json() for name, found in self.checks.items()},
        }


class Health:
    """Asks all checks side by side, one look at a time, and gives a good answer again for two seconds.

    A check that hangs costs one look its limit and no more: it is not begun again while it hangs, and shows as
    unhealthy until it ends or is abandoned.
    """

    def __init__(
        self, version: str, checks: Iterable[Check] = (), *, limit: float = LIMIT, fresh: float = FRESH
    ) -> None:
        self._version = version
        self._checks = tuple(checks)
        if len({check.name for check in self._checks}) < len(self._checks):
            raise ValueError("two checks have the same name")
        self._limit = limit
        self._fresh = fresh
        self._asked: dict[str, _Asked] = {}
        self._last: Readiness | None = None
        self._last_at = 0.0
        self._looking: asyncio.Task[Readiness] | None = None
        self._draining = False

    def live(self) -> dict[str, Any]:
        """That the process answers at all; nothing is asked, for restarting it would heal no server."""
        return {"status": "healthy", "version": self._version}

    def drain(self) -> None:
        """From now on not ready, so that no new requests are sent here while the last ones are served."""
        self._draining = True
        self._last = None

    async def ready(self) -> Readiness:
        """The answers of the last look, or of a new one when they are too old."""
        age = asyncio.get_running_loop().time() - self._last_at
        if self._last is not None and age < (self._fresh if self._last.ready else min(self._fresh, RECOVER)):
            return self._last
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Shielded: a probe that hangs up must not end the look for the others.
        return await asyncio.shield(self._looking)

    async def warm(self, seconds: float = ABANDON) -> Readiness:
        """Ask everything once with more time, at startup: the first connection takes longer than a look may."""
        found = await self._look(seconds)
        self._last = None
        return found

    async def close(self) -> None:
        """End what still hangs, and close the connections of the checks."""
        tasks = {asked.task for asked in self._asked.values()} | ({self._looking} if self._looking else set())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for check in self._checks:
            if check.close is not None:
                await check.close()

    def asgi(self, paths: Iterable[str] = ("/readyz", "/api/health")) -> App:
        """An ASGI app: `/livez` tells that the process lives, `paths` whether it is ready. Other paths are 404."""
        ready_paths = frozenset(paths)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            del receive
            if scope["type"] != "http":
                return
            path = scope["path"]
            if scope["method"] not in {"GET", "HEAD"}:
                await answer_json(send, 405, {"error": "method not allowed"}, {"allow": "GET, HEAD"})
            elif path == "/livez":
                await answer_json(send, 200, self.live())
            elif path in ready_paths:
                found = await self.ready()
                await answer_json(send, found.status_code, found.as_json())
            else:
                await answer_json(send, 404, {"error": "not found"})

        return serve

    async def _look(self, limit: float | None = None) -> Readiness:
        loop = asyncio.get_running_loop()
        for check in self._checks:
            asked = self._asked.get(check.name)
            if asked is None or asked.task.done():
                self._asked[check.name] = _Asked(check)
        if self._asked:
            await asyncio.wait([one.task for one in self._asked.values()], timeout=limit or self._limit)
        answers = {check.name: self._asked[check.name].answer() for check in self._checks}
        well = all(answers[check.name].status == "healthy" for check in self._checks if check.hard)
        found = Readiness(well and not self._draining, self._version, datetime.now(UTC), answers)
        if self._last is not None and self._last.ready != found.ready:
            log.warning("readiness changed", extra={"ready": found.ready, "checks": _unwell(answers)})
        self._last, self._last_at = found, loop.time()
        return found


class _Asked:
    """One check that was begun, and when."""

    def __init__(self, check: Check) -> None:
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._ended: float | None = None
        self._check = check
        self.task = asyncio.create_task(self._ask(), name=f"health of {check.name}")

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(ABANDON):
                await self._check.ask()
        except Unwell as error:
            return str(error)
        except TimeoutError:
            return "no answer"
        except Exception as error:  # whatever it is, this is what the check found
            log.debug("a check failed", extra={"check": self._check.name}, exc_info=True)
            return type(error).__name__
        finally:
            self._ended = self._clock()
        return None

    def answer(self) -> Answer:
        reason: str | None = "no answer yet"
        if self.task.done():
            reason = "cancelled" if self.task.cancelled() else self.task.result()
        latency = round(((self._ended or self._clock()) - self._started) * 1000, 1)
        if reason is None:
            return Answer("healthy", latency)
        return Answer("unhealthy" if self._check.hard else "degraded", latency, reason)


def _unwell(answers: dict[str, Answer]) -> dict[str, str]:
    return {name: answer.reason for name, answer in answers.items() if answer.reason}
