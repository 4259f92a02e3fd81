"""A number written into towline.yaml: everything else stays as its author wrote it."""

from __future__ import annotations

import pytest

from towline.core.errors import Refused
from towline.spec.edit import with_scale

CASES = {
    "block": (
        "app: shop # s\nservices:\n  # seen\n  api:\n    kind: web   # yes\n  gen: {kind: worker}\n",
        "app: shop # s\nservices:\n  # seen\n  api:\n    scale: 3\n    kind: web   # yes\n  gen: {kind: worker}\n",
    ),
    "flow": ("services:\n  api: {kind: web, ready: /}\n", "services:\n  api: {scale: 3, kind: web, ready: /}\n"),
    "empty flow": ("services: {api: {}}\n", "services: {api: {scale: 3}}\n"),
    "number": ("services:\n  api: {kind: web, scale: 2} # two\n", "services:\n  api: {kind: web, scale: 3} # two\n"),
    "range": (
        "services:\n  api:\n    scale: {min: 1, max: 8}\n",
        "services:\n  api:\n    scale: {min: 3, max: 8}\n",
    ),
    "no entry": ("services:\n  gen: {kind: worker}\n", "services:\n  api: {scale: 3}\n  gen: {kind: worker}\n"),
    "no services": ("app: shop\n", "app: shop\n\nservices:\n  api: {scale: 3}\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_number_is_another(name: str) -> None:
    """In every form in which a page may be written."""
    before, after = CASES[name]
    assert with_scale(before, "api", 3) == after
    assert with_scale(after, "api", 3) == after


@pytest.mark.parametrize(
    "text",
    ["services: {api: {kind: web", "services:\n  api:\n", "services:\n  api:\n    scale: {max: 8}\n", "- a list\n"],
    ids=["no-yaml", "nothing-behind-it", "only-most", "list"],
)
def test_where_no_place_can_be_told_nothing_is_written(text: str) -> None:
    """The line to write is the hint."""
    with pytest.raises(Refused) as refused:
        with_scale(text, "api", 3)
    assert refused.value.hint == "write it: services: {api: {scale: 3}}"
