"""Bills: lines that sum to the total, shared hosts once, links counted where they leave, unknown never zero."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner_scenes import catalog, shop, usage

from towline.planner.cost import Link, Metered, bill_of, metered
from towline.planner.purchase import Choice, Purchase
from towline.planner.traffic import flows

if TYPE_CHECKING:
    from towline.planner.purchase import Intake

FRANKFURT, NUREMBERG = "render/frankfurt", "hetzner/nbg1"


def bought(name: str, offer: str, *holds: str, place: str | None = FRANKFURT, copies: int = 1) -> Purchase:
    known = catalog()
    return Purchase(name, known.offer(offer), known.regions[place] if place else None, holds or (name,), copies)


def hybrid(intake: Intake = "outbox") -> Choice:
    return Choice(
        (
            bought("server", "hetzner/server/cx33", "gen", "queue", "media", place=NUREMBERG),
            bought("page", "render/static/free"),
            bought("api", "render/service/starter"),
            bought("db", "render/postgres/basic-256mb"),
        ),
        intake,
    )


def month(text: str, choice: Choice) -> tuple[list[Metered], tuple[Link, ...]]:
    """What a month of the shop asks of a choice."""
    asked = usage(text)
    return metered(shop(), asked, choice, catalog(), flows(shop(), asked, choice.intake))


def test_a_shared_server_is_counted_once() -> None:
    """Worker, queue and bucket are on one server: one machine on the bill, one address, one backup."""
    bill = bill_of(shop(), usage(), hybrid(), catalog())
    of_server = [one.line.meter for one in bill.lines if one.owner == "server"]
    assert sorted(of_server) == sorted(["instance", "ipv4", "backup", "egress"])


def test_two_purchases_of_one_offer_are_told_apart() -> None:
    """API and worker on the same plan are two lines with their own names."""
    choice = Choice((bought("api", "render/service/starter"), bought("gen", "render/service/starter", copies=3)))
    bill = bill_of(shop(), usage(), choice, catalog())
    lines = {one.owner: one.line.counted.amount for one in bill.lines if one.line.meter == "instance"}
    assert lines == {"api": Decimal(7), "gen": Decimal(21)}


def test_every_link_out_is_billed_to_whom_it_leaves() -> None:
    """The sum of the links that an account pays is the traffic on its bill."""
    asked, links = month("jobs: {in: 3MB}", hybrid())
    account = next(one for one in asked if one.owner == "render account")
    server = next(one for one in asked if one.owner == "server")
    at_render = sum((one.flow.gb for one in links if one.paid in {"page", "api", "db"}), Decimal(0))
    assert account.month["egress"] == at_render
    assert server.month["egress"] == sum((one.flow.gb for one in links if one.paid == "server"), Decimal(0))
    uploads = next(one for one in links if one.flow.what == "uploads to the bucket")
    assert (uploads.start, uploads.end, uploads.paid) == (FRANKFURT, NUREMBERG, "api")
    assert uploads.flow.gb == usage().jobs_a_month * Decimal("0.003")


def test_private_networks_are_free_and_places_apart_are_not() -> None:
    """API and database in one region cost no traffic; in two regions both directions do."""
    near = Choice((bought("api", "render/service/starter"), bought("db", "render/postgres/basic-256mb")))
    far = Choice(
        (
            bought("api", "render/service/starter"),
            bought("db", "render/postgres/basic-256mb", place="render/oregon"),
        )
    )
    _, close = month("", near)
    _, apart = month("", far)
    assert [one.paid for one in close if one.flow.what == "replies to requests"] == [""]
    assert [one.paid for one in apart if one.flow.what == "replies to requests"] == ["db"]


def test_the_relay_looks_at_the_database_also_while_nothing_happens() -> None:
    """In a hybrid with an outbox the looks cross the link: a month of them is billed; an exposed queue has none."""
    outbox = {one.what: one.gb for one in flows(shop(), usage("users: 0"), "outbox")}
    assert outbox["looks of the relay"] == Decimal(730 * 3600 * 10) * Decimal("0.0000002")
    assert "looks of the relay" not in {one.what for one in flows(shop(), usage(), "queue")}


def test_idle_workers_pay_by_the_command() -> None:
    """A worker that only waits asks Upstash 525,600 times a month, each copy of it, and its sweeper 262,800 times."""
    choice = Choice(
        (bought("gen", "render/service/starter", copies=2), bought("queue", "upstash/redis/payg", place=None))
    )
    asked, _ = month("users: 0", choice)
    queue = next(one for one in asked if one.owner == "queue")
    assert queue.month["commands"] == 2 * 525_600 + 262_800
    line = next(
        one for one in bill_of(shop(), usage("users: 0"), choice, catalog()).lines if one.line.meter == "commands"
    )
    assert line.line.counted.amount == Decimal("2.63")


def test_a_counted_meter_without_a_price_makes_a_lower_bound() -> None:
    """Traffic out of an offer whose price nobody gives is a line without an amount, never nothing."""
    choice = Choice(
        (
            bought("db", "digitalocean/postgres/entry", place="digitalocean/fra1"),
            bought("api", "render/service/starter"),
        )
    )
    bill = bill_of(shop(), usage(), choice, catalog())
    assert bill.lower_bound
    assert [one.owner for one in bill.lines if one.line.money is None] == ["db"]
    assert bill.high is None


def test_tax_is_apart() -> None:
    """VAT is a percentage of the total, beside it and not in it."""
    plain, taxed = (bill_of(shop(), usage(text), hybrid(), catalog()) for text in ("", "vat: 19"))
    assert plain.total == taxed.total
    assert taxed.vat.amount == (taxed.total.amount * 19 / 100).quantize(Decimal("0.01"))


def test_a_shared_account_is_paid_once() -> None:
    """Three services of one provider need one account, and its allowance is there once."""
    bill = bill_of(shop(), usage("users: 0\njobs: {look: 0, doorbell: bullmq}"), hybrid(), catalog())
    assert [one.line.meter for one in bill.lines if one.owner == "render account"] == ["fee"]


SIZES = st.integers(min_value=0, max_value=5000)


@settings(max_examples=60, deadline=None)
@given(
    SIZES,
    st.integers(0, 300),
    st.integers(0, 20),
    st.sampled_from(["outbox", "queue"]),
    st.sampled_from(["USD", "EUR"]),
)
def test_the_total_is_the_sum_of_its_lines(users: int, kb: int, vat: int, intake: Intake, currency: str) -> None:
    """For any use: the total is the sum of what the lines print, in cents, and nothing is negative but a credit."""
    text = f"users: {users}\ncurrency: {currency}\nvat: {vat}\njobs: {{in: {kb}kB}}"
    bill = bill_of(shop(), usage(text), hybrid(intake), catalog())
    assert bill.total.amount == sum((one.line.counted.amount for one in bill.lines), Decimal(0))
    assert all(one.line.counted == one.line.counted.cents() for one in bill.lines)
    assert all(one.line.counted.amount >= 0 or one.line.meter == "credit" for one in bill.lines)
    assert bill.low.amount <= bill.total.amount


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES)
def test_more_users_never_cost_less(a: int, b: int) -> None:
    """The bill of the same purchases only grows with the load."""
    few, many = sorted((a, b))
    less = bill_of(shop(), usage(f"users: {few}"), hybrid(), catalog())
    more = bill_of(shop(), usage(f"users: {many}"), hybrid(), catalog())
    assert less.total.amount <= more.total.amount


@pytest.mark.parametrize("meter", ["instance", "egress"])
def test_lines_can_be_done_again(meter: str) -> None:
    """Each line says the sum that it is: quantity, price and rate are in its words."""
    bill = bill_of(shop(), usage(), hybrid(), catalog())
    line = next(one.line for one in bill.lines if one.owner == "server" and one.line.meter == meter)
    assert " x " in line.how
    assert "USD for a EUR" in line.how
