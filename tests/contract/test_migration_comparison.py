"""What a change of a database takes away from the version that runs, as the shell of a host tells it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from towline.drivers.host.programs import part

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "awk")

BEFORE = """
table orders
column orders.id integer required default orders
column orders.note text optional - orders
column orders.name character_varying(20) required - orders
column orders.state order_state required default orders
value order_state.new
value order_state.paid
view open_orders
function total(integer) 0a
extension citext
index orders_pkey CREATE_INDEX
"""


def lines(text: str) -> list[str]:
    """A catalogue, from a notation without tabs: `-` is nothing, `_` a space."""
    rows = [line.split(" ") for line in text.strip().splitlines()]
    return sorted(
        "\t".join("" if word == "-" else word.replace("character_", "character ") for word in row) for row in rows
    )


def changed(text: str, *changes: tuple[str, str]) -> str:
    """A catalogue with some of its text replaced; what is not there cannot be."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def taken_away(folder: Path, before: str, after: str) -> dict[str, str]:
    """What is told, by change."""
    (folder / "before").write_text("".join(f"{line}\n" for line in lines(before)))
    (folder / "after").write_text("".join(f"{line}\n" for line in lines(after)))
    ran = subprocess.run(
        ["sh", "-c", part("catalogue.sh") + f"taken_away {folder}/before {folder}/after"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stderr == ""
    return dict(line.split("\t") for line in ran.stdout.splitlines())


TAKEN = {
    "a column": (
        ("column orders.note text optional - orders\n", ""),
        {"drop-column orders.note": "column note of orders is gone"},
    ),
    "a renamed column": (
        ("orders.note", "orders.remark"),
        {"drop-column orders.note": "column note of orders is gone, or is called remark now"},
    ),
    "a renamed column that may not be empty": (
        ("orders.name", "orders.title"),
        {"drop-column orders.name": "column name of orders is gone, or is called title now"},
    ),
    "a type": (
        ("orders.note text", "orders.note integer"),
        {"change-type orders.note": "column note of orders was text and is integer"},
    ),
    "room in a text": (
        ("character_varying(20)", "character_varying(10)"),
        {"change-type orders.name": "column name of orders was character varying(20) and is character varying(10)"},
    ),
    "the right to be empty": (
        ("orders.note text optional", "orders.note text required"),
        {"require-column orders.note": "column note of orders may not be empty any more, and has no default"},
    ),
    "a default": (
        ("order_state required default", "order_state required -"),
        {"drop-default orders.state": "column state of orders may not be empty, and has lost its default"},
    ),
    "an insert without the new column": (
        ("index ", "column orders.total integer required - orders\nindex "),
        {"require-column orders.total": "column total of orders is new, may not be empty and has no default"},
    ),
    "a value": (("value order_state.paid\n", ""), {"drop-value order_state.paid": "value order_state.paid is gone"}),
    "a view": (("view open_orders\n", ""), {"drop-view open_orders": "view open_orders is gone"}),
    "a function": (
        ("function total(integer) 0a\n", ""),
        {"drop-function total(integer)": "function total(integer) is gone"},
    ),
    "an extension": (("extension citext\n", ""), {"drop-extension citext": "extension citext is gone"}),
}


@pytest.mark.parametrize("case", TAKEN, ids=list(TAKEN))
def test_what_the_running_version_may_use_is_missed(tmp_path: Path, case: str) -> None:
    """Each has a name that can be allowed, and words for a person."""
    change, told = TAKEN[case]
    assert taken_away(tmp_path, BEFORE, changed(BEFORE, change)) == told


def test_a_table_is_missed_as_a_whole(tmp_path: Path) -> None:
    """Its columns are not told one by one; one of the same shape is most likely the same with another name."""
    gone = "\n".join(line for line in BEFORE.splitlines() if "orders" not in line or "view" in line)
    assert taken_away(tmp_path, BEFORE, gone) == {"drop-table orders": "table orders is gone"}
    renamed = changed(
        BEFORE, ("table orders", "table purchases"), (" orders.", " purchases."), (" orders\n", " purchases\n")
    )
    told = taken_away(tmp_path, BEFORE, renamed)
    assert told == {"drop-table orders": "table orders is gone, or is called purchases now"}


ADDED = {
    "a table": ("index ", "table parts\ncolumn parts.id integer required - parts\nindex "),
    "a column that may be empty": ("index ", "column orders.total integer optional - orders\nindex "),
    "a column with a default": ("index ", "column orders.total integer required default orders\nindex "),
    "a longer text": ("character_varying(20)", "character_varying(200)"),
    "a text without an end": ("character_varying(20)", "text"),
    "a value": ("value order_state.new", "value order_state.new\nvalue order_state.sent"),
    "an index": ("index ", "index orders_note CREATE_INDEX\nindex "),
    "an index less": ("index orders_pkey CREATE_INDEX\n", ""),
    "another body of a function": ("total(integer) 0a", "total(integer) 0b"),
    "a column that may be empty now": ("(20) required", "(20) optional"),
}


@pytest.mark.parametrize("case", ADDED, ids=list(ADDED))
def test_what_is_only_added_is_not_told(tmp_path: Path, case: str) -> None:
    """The running version does not notice."""
    assert taken_away(tmp_path, BEFORE, changed(BEFORE, ADDED[case])) == {}


def test_an_empty_database_has_nothing_to_lose(tmp_path: Path) -> None:
    """Everything is new, columns that may not be empty among it."""
    assert taken_away(tmp_path, "", BEFORE) == {}
    assert len(taken_away(tmp_path, BEFORE, "")) == 6


def test_names_with_dots_and_schemas(tmp_path: Path) -> None:
    """A table of another schema is called with it."""
    before = "table shop.orders\ncolumn shop.orders.a.b text optional - shop.orders"
    told = taken_away(tmp_path, before, "table shop.orders")
    assert told == {"drop-column shop.orders.a.b": "column a.b of shop.orders is gone"}
