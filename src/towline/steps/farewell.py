"""Old copies whose traffic has left: what they have is finished by themselves, and nobody waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SeeOff:
    """Hand the end of an old copy to its site, and go on at once.

    It has `drain` seconds until its last connection must be gone, then `stop_within` to end after the signal. What came
    of it is written down there, as a second `done` of this step.
    """

    name: str
    service: str
    drain: float
    stop_within: float
    kind: Literal["see-off"] = "see-off"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"let {self.name} finish by itself and stop (at most {self.drain + self.stop_within:g} s)"


@dataclass(frozen=True)
class AwaitFarewell:
    """Wait until no copy of a service is finishing by itself any more; after `within` seconds the rest is ended."""

    service: str
    within: float
    kind: Literal["await-farewell"] = "await-farewell"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"wait until the old copies of {self.service} are gone (at most {self.within:g} s)"
