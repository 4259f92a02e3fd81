"""What the API says about a card."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass

from postcards.database import Card
from postcards.parts import Parts


@dataclass(frozen=True)
class CardView:
    """A card as clients see it."""

    id: str
    state: str
    greeting: str
    image_url: str | None
    error: str | None


def view(card: Card, parts: Parts) -> CardView:
    """Describe a card, its image by public address."""
    image = parts.bucket.card_url(card.card_key) if card.card_key else None
    return CardView(str(card.id), card.state, card.greeting, image, card.error)


async def follow(card: Card, parts: Parts, closing: Callable[[], bool]) -> AsyncIterator[str]:
    """Give a server-sent event per change until the card is settled or the server closes.

    The announcement only makes it quick: the row is read every second anyway, which also keeps proxies
    from closing a quiet stream and lets the server stop within a second.
    """
    seen = ""
    async with parts.queue.changes(card.id) as wait:
        while not closing():
            current = await parts.cards.find(card.id)
            if current is None:
                return
            yield ": waiting\n\n" if current.state == seen else _event(view(current, parts))
            if current.settled:
                return
            seen = current.state
            await wait(1.0)


def _event(card: CardView) -> str:
    return f"data: {json.dumps(asdict(card), ensure_ascii=False)}\n\n"
