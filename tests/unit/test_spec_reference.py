"""The reference is printed from the models and is the one in the repository."""

from __future__ import annotations

from pathlib import Path

from towline.cli.reference import pages
from towline.spec.page import Page, ServiceEntry
from towline.spec.reference import page_reference, schema

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "reference"


def test_the_committed_files_are_the_printed_ones() -> None:
    """`make docs` would change nothing, and no page lies there that is not printed."""
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == pages()


def test_every_field_is_described() -> None:
    """No row of the reference is without a type and a meaning."""
    rows = [line for line in page_reference().splitlines() if line.startswith("| `")]
    cells = [row.replace("\\|", "").strip("| ").split(" | ") for row in rows]
    assert len(rows) > len(Page.model_fields) + len(ServiceEntry.model_fields)
    assert all(len(cell) == 4 and all(cell) for cell in cells)


def test_the_schema_is_closed_and_complete() -> None:
    """Editors refuse unknown keys and know the short forms."""
    made = schema()
    assert made["additionalProperties"] is False
    assert set(made["properties"]) == set(Page.model_fields)
    short = {name: [form.get("type") for form in made["$defs"][name]["anyOf"]] for name in ("ReadyEntry", "ScaleEntry")}
    assert short == {"ReadyEntry": ["string", "object"], "ScaleEntry": ["integer", "object"]}
