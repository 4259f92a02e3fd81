"""usage.yaml: every default, every unit, and every mistake at once with its line."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner_scenes import usage

from towline.core.errors import Findings
from towline.core.units import Money
from towline.planner.usage import FIELDS, SECTIONS
from towline.planner.usage_file import usage_manual, usage_schema


def refusals(text: str) -> list[tuple[str, int | None]]:
    """The codes and lines of what is wrong with a file."""
    with pytest.raises(Findings) as refused:
        usage(text)
    return [(one.code, one.where.line if one.where else None) for one in refused.value.findings]


def test_nothing_written() -> None:
    """An empty file is a use, with the defaults that the manual shows."""
    assert usage("") == usage("users: 100\njobs: {seconds: 10s}\n")
    assert usage("").requests_a_month == 100 * 60 * 200


def test_units() -> None:
    """Sizes are GB, spans seconds, percent parts, money exact."""
    found = usage(
        "users: 2.5\nvat: 19%\njobs: {seconds: 32.5, in: 2MB, part: 90, within: 1m}\nwishes: {budget: $40/month}\n"
        "storage: {db: 512MiB}\naccept: sleeps\nwishes2:\n".replace("wishes2:\n", "")
    )
    assert (found.users, found.vat) == (Decimal("2.5"), Decimal(19))
    assert found.jobs.seconds == Decimal("32.5")
    assert (found.jobs.size_in, found.jobs.part, found.jobs.within) == (Decimal("0.002"), Decimal("0.9"), Decimal(60))
    assert found.wishes.budget == Money(Decimal(40), "USD")
    assert found.storage == {"db": Decimal("0.536870912")}
    assert found.accept == ("sleeps",)


def test_all_mistakes_at_once() -> None:
    """Unknown names, wrong values and impossible ones are told together, each on its line."""
    text = """usrs: 3
jobs:
  seconds: -1
  slots: 2.5
  worker: nobody
wishes: {budget: 40 EUR}
storage: {dbb: 1GB}
near: mars/base
accept: [slep]
offers: {db: render/postgres/gone}
users: -5
"""
    found = refusals(text)
    assert ("unknown-key", 1) in found
    assert ("wrong-value", 3) in found
    assert ("wrong-value", 4) in found
    assert ("unknown-key", 5) in found
    assert ("wrong-value", 6) in found
    assert ("unknown-key", 7) in found
    assert ("unknown-region", 8) in found
    assert ("wrong-value", 9) in found
    assert ("unknown-offer", 10) in found
    assert ("wrong-value", 11) in found


@pytest.mark.parametrize(
    "text",
    ["- a\n", "users: [1]\n", "jobs: 3\n", "jobs: {seconds: 0}\n", "jobs: {part: 100}\n", "currency: XYZ\n", "a: [\n"],
)
def test_refused(text: str) -> None:
    """Whatever the shape of a mistake, it is a finding."""
    assert refusals(text)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([one.name for one in FIELDS]), st.one_of(st.text(), st.integers(), st.floats())))
def test_never_a_traceback(values: dict[str, object]) -> None:
    """Any value in any field is read or refused in words."""
    tree: dict[str, object] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        inner = tree.setdefault(section, {}) if section else tree
        inner[key] = value  # type: ignore[index]  # a section is a dict
    with contextlib.suppress(Findings):
        usage(json.dumps(tree))


def test_schema_and_manual_have_every_field() -> None:
    """What the reader knows is what the schema and the manual say."""
    schema, manual = usage_schema(), usage_manual()
    for one in FIELDS:
        section, _, key = one.name.rpartition(".")
        place = schema["properties"][section] if section else schema
        assert key in place["properties"]
        assert f"`{one.name}`" in manual
    assert set(SECTIONS) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
