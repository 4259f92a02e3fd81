"""Rules of free offers as predicates: each is met by the use that it forbids, and by no other."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from towline.catalog.read import Catalog, read_catalog
from towline.catalog.rules import Use, breaches

QUIET = Use(commercial=False)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The built-in catalogue."""
    return read_catalog()


def said(catalog: Catalog, name: str, use: Use) -> list[str]:
    """The sentences about a use of an offer."""
    return [one.sentence for one in breaches(catalog.offer(name), use)]


def test_a_worker_beside_a_sleeping_web_service(catalog: Catalog) -> None:
    """A free web service that also works without requests is told that jobs wait until a request comes."""
    assert said(catalog, "render/service/free", QUIET) == []
    (sentence,) = said(catalog, "render/service/free", Use(background=True))
    assert sentence.startswith("work without requests stops after 15 min 0 s: jobs wait until a request comes")
    assert len(said(catalog, "render/service/free", Use(quiet=900))) == 1
    assert said(catalog, "render/service/free", Use(quiet=899)) == []
    assert len(said(catalog, "render/service/free", Use(reached_privately=True))) == 1


def test_hours_of_a_month(catalog: Catalog) -> None:
    """One service that never sleeps fits 750 hours also in a month of 31 days, and two do not."""
    assert said(catalog, "render/service/free", Use(month={"instance": 1})) == []
    (sentence,) = said(catalog, "render/service/free", Use(month={"instance": 2}))
    assert "1,488 hour of instance" in sentence
    assert "spent on day 16" in sentence


def test_polling_spends_the_commands(catalog: Catalog) -> None:
    """One command every five seconds is 518,400 in 30 days, more than the free commands."""
    assert said(catalog, "upstash/redis/free", Use(month={"commands": 500_000})) == []
    (sentence,) = said(catalog, "upstash/redis/free", Use(month={"commands": 518_400}))
    assert "518,400 of commands a month, and 500,000 are allowed (spent on day 30)" in sentence


def test_a_database_that_is_polled_never_sleeps(catalog: Catalog) -> None:
    """A quarter CU awake for 744 hours is 186 CU-hours, and 100 are free."""
    awake = Decimal("0.25") * 744
    (sentence,) = said(catalog, "neon/plan/free", Use(month={"compute": awake}))
    assert "186 CU-hour of compute a month, and 100 are allowed" in sentence
    (slow,) = said(catalog, "neon/plan/free", Use(quiet=300))
    assert "wake" in slow


def test_the_day_on_which_data_is_gone(catalog: Catalog) -> None:
    """A free database says on which day it ends and on which its data is gone."""
    (found, backups) = breaches(catalog.offer("render/postgres/free"), Use(keeps_data=True, began=date(2026, 11, 22)))
    assert found.on == date(2027, 1, 5)
    assert "ends on 2026-12-22, and its data is gone on 2027-01-05" in found.sentence
    assert backups.sentence.startswith("no backups")
    assert breaches(catalog.offer("render/postgres/free"), QUIET)[0].on is None


def test_paused_after_a_quiet_week(catalog: Catalog) -> None:
    """A free project is paused after 7 days without use, not after 6."""
    assert said(catalog, "supabase/plan/free", Use(idle=6.9)) == []
    (sentence,) = said(catalog, "supabase/plan/free", Use(idle=7))
    assert sentence.startswith("paused after 7 days without use")


@pytest.mark.parametrize("name", ["vercel/plan/hobby", "uptimerobot/plan/free"])
def test_not_for_business(catalog: Catalog, name: str) -> None:
    """Commercial use of a plan that forbids it is told, a hobby is not."""
    assert said(catalog, name, QUIET) == []
    assert said(catalog, name, Use(commercial=True))[0].startswith("not for commercial use")


def test_every_kind_of_rule_can_be_judged(catalog: Catalog) -> None:
    """No rule of the catalogue is of a kind that the predicates do not know."""
    use = Use(background=True, quiet=1e9, idle=1e9, keeps_data=True, reached_privately=True, began=date(2026, 1, 1))
    for offer in catalog.offers.values():
        met = breaches(offer, use)
        assert len(met) == sum(rule.kind != "quota" for rule in offer.rules)
