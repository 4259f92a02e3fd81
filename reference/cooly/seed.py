"""`python -m cooly.seed`: in development, an account to try with some credits and three finished pictures.

With APP_ENV other than `development` it does nothing, so that a release may always run it.
`python -m cooly.seed account EMAIL` makes an account anywhere, with a password from the terminal or stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from cooly import accounts, ledger, settlement
from cooly.generator.landscape import Landscape
from cooly.generator.port import Order
from cooly.jobs import Made, store
from cooly.models import Generation
from cooly.parts import open_parts
from cooly.settings import Settings
from towline_runtime.errors import RuntimeFault, SettingsInvalid

if TYPE_CHECKING:
    from uuid import UUID

    from cooly.parts import Parts

EMAIL, PASSWORD, GIFT = "demo@cooly.test", "a-walk-in-the-hills", 25  # an account for development only
PROMPTS = (
    "northern lights over a quiet fjord",
    "misty pine forest at dawn",
    "sunset by the sea, birds in the air",
)
LEAST = 10  # characters of a password


async def seed(parts: Parts) -> int:
    """The account and its pictures, where they are not there yet; gives how many pictures were made."""
    await accounts.make(parts, EMAIL, PASSWORD, GIFT)
    account = await accounts.log_in(parts, EMAIL, PASSWORD)
    if account is None:
        return 0  # somebody has changed its password: it is theirs now
    async with parts.sessions_of_tables() as session:
        has = await session.scalar(select(func.count()).where(Generation.account_id == account.id))
    for prompt in PROMPTS if not has else ():
        await _picture(parts, account.id, prompt)
    return 0 if has else len(PROMPTS)


async def _picture(parts: Parts, account_id: UUID, prompt: str) -> None:
    """One that never was a job, but cost what every other costs."""
    picture = Generation(id=uuid4(), account_id=account_id, prompt=prompt, cost=1, state="queued")
    made = await Landscape(0).make(Order(prompt, str(picture.id)), lambda *_: None)
    kept: Made = await store(parts.tools, f"generations/{account_id}/{picture.id}", made)
    async with parts.sessions_of_tables.begin() as session:
        await ledger.lock(session, account_id)
        session.add(picture)
        await session.flush()
        await ledger.reserve(session, picture)
    async with parts.database.transaction() as transaction:
        values = (kept.object_key, kept.small_key, kept.width, kept.height)
        await transaction.execute(settlement.MADE, picture.id, *values)
        await settlement.settle(transaction, picture.id)


async def add_account(parts: Parts, email: str, gift: int) -> int:
    """An account for a person; gives the exit code."""
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < LEAST or "@" not in email:
        sys.stderr.write(f"An address with an @ and a password of {LEAST} characters are wanted.\n")
        return 2
    if await accounts.make(parts, email, password, gift) is None:
        sys.stderr.write(f"There is an account for {email} already.\n")
        return 1
    sys.stdout.write(f"{accounts.tidy(email)} has {gift} credits.\n")
    return 0


async def _main(settings: Settings, given: argparse.Namespace) -> int:
    async with open_parts(replace(settings, generator="landscape")) as parts:
        if given.what == "account":
            return await add_account(parts, given.email, given.credits)
        if not settings.development:
            sys.stderr.write("Nothing to do: APP_ENV is not development.\n")
            return 0
        sys.stderr.write(f"{EMAIL} is there; {await seed(parts)} pictures were made.\n")
        return 0


def main() -> int:
    """Read arguments and settings, and do it."""
    parser = argparse.ArgumentParser(prog="python -m cooly.seed", description="Accounts and pictures to begin with.")
    what = parser.add_subparsers(dest="what")
    account = what.add_parser("account", help="make an account; its password comes from the terminal or stdin")
    account.add_argument("email")
    account.add_argument("--credits", type=int, default=GIFT)
    given = parser.parse_args()
    try:
        return asyncio.run(_main(Settings.read(os.environ), given))
    except SettingsInvalid as error:
        sys.stderr.write(f"The settings are not complete:\n{error}\n")
        return 2
    except (RuntimeFault, OSError, DBAPIError) as error:
        sys.stderr.write(f"{error}\n\nhint: is everything in the environment up? `python -m cooly api` tells more\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
