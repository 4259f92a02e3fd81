"""A YAML file as plain values with their lines."""

from __future__ import annotations

import pytest

from towline.spec.source import read_source


def test_values_by_the_core_schema() -> None:
    """YAML 1.2: `yes` is a word, a version is no number of ours to round, and what is quoted is text."""
    text = "[1, -2, 007, 0o17, 1_000, yes, on, true, False, ~, 1.5, 1e3, .inf, 2001-01-01, '1', \"true\", 18.10x]"
    expected = [
        1,
        -2,
        7,
        "0o17",
        "1_000",
        "yes",
        "on",
        True,
        False,
        None,
        1.5,
        1000.0,
        ".inf",
        "2001-01-01",
        "1",
        "true",
    ]
    assert read_source(text, "x").value == [*expected, "18.10x"]
    assert read_source("%YAML 1.1\n---\na: yes\n", "x").value == {"a": "yes"}
    assert read_source("", "x").value is None


def test_lines_of_everything() -> None:
    """Keys, items, and what is merged in have the line where they are written; the rest that of what is around it."""
    source = read_source("base: &base\n  a: 1\n  b: 2\nown:\n  <<: *base\n  b: 3\n  list:\n    - x\n    - y\n", "x")
    assert source.value["own"] == {"a": 1, "b": 3, "list": ["x", "y"]}
    asked = [("own", "a"), ("own", "b"), ("own", "list", 1), ("own", "list", 9), ("own",), ("none",)]
    assert [source.line(*path) for path in asked] == [2, 6, 9, 7, 4, None]
    assert str(source.where("none")) == "x"


@pytest.mark.parametrize(
    "text", ["? [a]\n: b\n", "a: b: c", "a\n: [", "\x00", "a: 'b", "--- a\n--- b\n", "<<: 1\n? {}\n"]
)
def test_broken_documents_are_findings(text: str) -> None:
    """Whatever is no YAML is told as such."""
    assert {finding.code for finding in read_source(text, "x").findings} == {"yaml-syntax"}


def test_tags_execute_nothing() -> None:
    """A tag is refused on the page and passed over in a Compose file; in neither is anything constructed."""
    text = "a: !!python/object/apply:os.system ['exit 1']\nb: !reset null\n"
    assert [finding.code for finding in read_source(text, "x").findings] == ["yaml-tag", "yaml-tag"]
    relaxed = read_source(text, "x", strict=False)
    assert (relaxed.findings, relaxed.value["a"]) == ((), ["exit 1"])
