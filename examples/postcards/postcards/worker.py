"""Make the postcards that are wanted, one at a time: `python -m postcards.worker`."""

import asyncio
import logging
import os
import signal
import time

import psycopg
from obstore.exceptions import BaseError
from redis.exceptions import RedisError

from postcards import logs, settings
from postcards.card import draw_card
from postcards.database import Card
from postcards.logs import say
from postcards.parts import Parts, open_parts
from postcards.photo import NotAPhotoError, PhotoTooLargeError
from postcards.settings import Settings

TAKE_SECONDS = 1  # how long a stop may have to wait for the queue
SWEEP_SECONDS = 10.0
TROUBLE = (psycopg.OperationalError, RedisError, BaseError, OSError, TimeoutError)


async def make(card: Card, parts: Parts) -> str:
    """Draw and store one claimed card and give the state it ended in."""
    try:
        photo = await parts.bucket.get(card.photo_key)
        # Blocks the loop, and may: this process makes one card at a time and has nothing else to do.
        image = draw_card(photo, card.greeting, card.created_at)
    except (NotAPhotoError, PhotoTooLargeError) as error:
        return "failed" if await parts.cards.fail(card, str(error)) else "lost"
    except FileNotFoundError:
        return "failed" if await parts.cards.fail(card, "The photo is no longer there.") else "lost"
    card_key = f"cards/{card.id}.jpg"
    await parts.bucket.put_card(card_key, image)
    return "done" if await parts.cards.finish(card, card_key) else "lost"


async def work_once(parts: Parts) -> None:
    """Take the next card and make it; one that another worker has, or has made, is only dropped."""
    card_id = await parts.queue.take(TAKE_SECONDS)
    if card_id is None:
        return
    card = await parts.cards.claim(card_id)
    if card is not None:
        await parts.queue.announce(card_id)
        began = time.monotonic()
        try:
            state = await make(card, parts)
        except TROUBLE:
            await parts.cards.release(card)
            raise
        await parts.queue.announce(card_id)
        say(
            f"card {state}",
            card_id=card_id,
            request_id=card.request_id,
            attempt=card.attempts,
            duration_ms=round((time.monotonic() - began) * 1000),
        )
    await parts.queue.drop(card_id)


async def sweep(parts: Parts) -> None:
    """Bring back what dead workers and lost messages left behind."""
    for card in await parts.cards.reclaim():
        again = not card.settled and await parts.queue.put_back(card.id)
        if again or card.settled:
            say("card reclaimed", card_id=card.id, request_id=card.request_id, state=card.state)
            await parts.queue.announce(card.id)
    for card in await parts.cards.settled(await parts.queue.in_work()):
        await parts.queue.drop(card.id)


async def keep_sweeping(parts: Parts) -> None:
    """Sweep at the start and then at a fixed rhythm, for as long as the worker lives."""
    while True:
        try:
            await sweep(parts)
        except TROUBLE as error:
            say("sweep put off", level=logging.WARNING, reason=type(error).__name__)
        await asyncio.sleep(SWEEP_SECONDS)


async def keep_working(parts: Parts, stop: asyncio.Event) -> None:
    """Make cards until told to stop; the card in hand is always finished first.

    A card that meets a server in trouble is left to the sweep, which brings it back when its lease has run out.
    """
    while not stop.is_set():
        try:
            await work_once(parts)
        except TROUBLE as error:
            say("work put off", level=logging.WARNING, reason=type(error).__name__)
            await asyncio.sleep(TAKE_SECONDS)


async def run(config: Settings) -> None:
    """Work and sweep until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_parts(config, connections=2) as parts:
        say("worker ready")
        sweeper = asyncio.create_task(keep_sweeping(parts))
        work = asyncio.create_task(keep_working(parts, stop))
        # An error that nobody foresaw in either of the two ends the process, so that it is restarted.
        done, _ = await asyncio.wait((sweeper, work), return_when=asyncio.FIRST_COMPLETED)
        sweeper.cancel()
        for task in done:
            task.result()
    say("worker stopped")


def main() -> int:
    """Run the worker."""
    try:
        config = settings.read(os.environ)
    except settings.SettingsError as error:
        settings.refuse(error)
    logs.set_up("worker")
    asyncio.run(run(config))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
