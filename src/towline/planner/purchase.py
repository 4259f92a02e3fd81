"""What is bought for an app: offers, where they are, and which services and stores are on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from towline.catalog.offers import Offer, Region

Intake = Literal["outbox", "queue"]
"""How a job gets from the API to the queue: through the database and a relay, or straight."""


@dataclass(frozen=True)
class Purchase:
    """So many copies of an offer, with the services and stores on it. `region` is None where nobody says the place.

    `panel` is the offer of a panel that runs on a server. `inside` are the copies of each of `holds` on one machine or
    in one container, where the purchase itself is one.
    """

    name: str
    offer: Offer | None
    region: Region | None
    holds: tuple[str, ...]
    copies: int = 1
    panel: Offer | None = None
    inside: tuple[int, ...] = ()

    def copies_of(self, name: str) -> int:
        """Copies of one of `holds`."""
        return self.inside[self.holds.index(name)] if self.inside else self.copies

    @property
    def provider(self) -> str:
        """Who sells it; `you` for the laptop."""
        return self.offer.provider if self.offer is not None else "you"

    @property
    def is_server(self) -> bool:
        """Whether it is a machine of one's own."""
        return self.offer is not None and "server" in self.offer.serves

    @property
    def place(self) -> str:
        """`render/frankfurt`, or the provider alone."""
        return self.region.name if self.region is not None else self.provider


@dataclass(frozen=True)
class Machine:
    """The machine that Towline runs on, for a target that is placed there: bytes of memory for the app, processors."""

    memory: int
    cpus: int


@dataclass(frozen=True)
class Choice:
    """Everything that an app needs, bought; the purchases are in the order of the app."""

    purchases: tuple[Purchase, ...]
    intake: Intake = "queue"

    def of(self, name: str) -> Purchase | None:
        """The purchase that holds a service or store; None for one that is nowhere."""
        return next((one for one in self.purchases if name in one.holds), None)
