"""The page that a front door shows instead of an app, as a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SetMaintenance:
    """Answer every request from outside with 503 and a page, or with `page` None no longer.

    `page` is the digest of stashed contents, `retry_after` what a client is told to wait, in seconds. Whoever runs the
    app decides when it ends: no rollback takes it back.
    """

    page: str | None
    retry_after: int = 120
    kind: Literal["set-maintenance"] = "set-maintenance"

    @property
    def title(self) -> str:
        """What a person reads."""
        return "answer with the maintenance page" if self.page else "let requests through again"
