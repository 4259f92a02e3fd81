"""Cases as files: so much of these offers in, a bill out, every line of it.

`TOWLINE_REGENERATE=1` writes what is found into the files, to be reviewed as a diff.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest

from towline.catalog.pricing import Item, Quote, price_all, vat
from towline.catalog.read import Catalog, read_catalog

CASES = sorted((Path(__file__).resolve().parent.parent / "cases" / "catalog").glob("*.txt"))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The built-in catalogue."""
    return read_catalog()


def sections(text: str) -> dict[str, str]:
    """The parts of a case file by their divider; what stands above the first is its title."""
    parts = re.split(r"^--- (.+)$", text, flags=re.MULTILINE)
    return {"title": parts[0], **dict(zip(parts[1::2], [part.strip("\n") for part in parts[2::2]], strict=True))}


def bill(catalog: Catalog, buy: str, currency: str) -> Quote:
    """The bill of a case."""
    items = []
    for line in buy.splitlines():
        name, *amounts = line.split()
        quantities = {meter: Decimal(number) for meter, number in (one.split("=") for one in amounts)}
        items.append(Item(catalog.offer(name), quantities))
    return price_all(items, currency, catalog.rates)


def printed(quote: Quote) -> str:
    """A bill as the case files hold it."""
    rows = [
        f"{'unknown' if line.money is None else line.money!s:>16}  {line.offer} {line.meter}: {line.how}"
        for line in quote.lines
    ]
    known = "at least " if quote.lower_bound else ""
    total = f"total {known}{quote.total}"
    if quote.high is None or (quote.low, quote.high) != (quote.total, quote.total):
        total += f" ({quote.low} to {'unknown' if quote.high is None else quote.high})"
    return "\n".join([*rows, total])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_bill(catalog: Catalog, path: Path) -> None:
    """The bill is the one in the file, line by line, and its lines sum to its total."""
    parts = sections(path.read_text())
    heading = next(name for name in parts if name.startswith("bill in "))
    quote = bill(catalog, parts["buy"], heading.removeprefix("bill in "))
    counted = sum((line.counted.amount for line in quote.lines), Decimal(0))
    found = {**parts, heading: printed(quote)}
    for name in parts:
        if name.startswith("vat "):
            found[name] = f"{vat(quote, Decimal(name.removeprefix('vat ')))}, apart from the total"
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{text}\n" for name, text in found.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert counted == quote.total.amount
    assert found == parts


def test_there_are_cases() -> None:
    """A folder that was moved does not pass in silence."""
    assert len(CASES) >= 9
