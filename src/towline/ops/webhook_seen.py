"""The signatures of calls that were taken, kept until their time is over: also over a restart of the receiver."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.core.errors import UsageError
from towline.core.files import write_atomic
from towline.ops.webhook_calls import WINDOW

if TYPE_CHECKING:
    from pathlib import Path

    from towline.ops.webhook_calls import Call


class Seen:
    """Which calls were taken before; a file holds their signatures, which open nothing. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._until: dict[str, float] = self._read()

    def knows(self, call: Call) -> bool:
        """Whether the call was taken before."""
        return call.signature in self._until

    def take(self, call: Call, now: float) -> None:
        """Write a new call down before anything is done with it, so that no crash lets it through twice."""
        kept = {signature: until for signature, until in self._until.items() if until > now}
        self._until = {**kept, call.signature: call.at + 2.0 * WINDOW}
        write_atomic(self._path, json.dumps(self._until))

    def _read(self) -> dict[str, float]:
        try:
            plain = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            raise self._unreadable() from error
        if not isinstance(plain, dict) or not all(isinstance(until, (int, float)) for until in plain.values()):
            raise self._unreadable()
        return {str(signature): float(until) for signature, until in plain.items()}

    def _unreadable(self) -> UsageError:
        hint = f"rm {self._path}, five minutes after the last call: until then it keeps replays out"
        return UsageError(f"{self._path} is no list of the calls that were taken", hint=hint)
