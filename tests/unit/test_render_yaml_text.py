"""The YAML writer: whatever goes in is read back the same, and comments change nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from towline.artifacts.yaml_text import Inline, Noted, comment, spaced, yaml_text

_WORDS = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30),
    st.sampled_from(
        ["yes", "on", "3000", "1e3", "0x1f", "1:30", "2026-11-22", "a: b", "a #b", "- a", "*", "~", "", " a "]
    ),
    st.sampled_from(
        ["null", "True", ".5", "1_000", "@x", "`x`", "%x", "!x", "&x", "a:", "'q'", '"q"', "{a}", "[a]", "|", ">"]
    ),
    st.sampled_from(
        ["${{ secrets.X }}", "ghcr.io/a/b@sha256:11", "17 3 * * *", "npm ci && npm run build", "$X", "=x", "<x"]
    ),
)
_KEYS = st.one_of(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,12}", fullmatch=True), _WORDS.filter(bool))
_LINES = st.lists(st.from_regex(r"[a-z$#:{}' -]{0,12}", fullmatch=True), min_size=2, max_size=4)
_TEXTS = _LINES.map("\n".join).filter(lambda text: text.strip("\n") == text and not text.startswith(" "))
_SCALARS = st.one_of(_WORDS, st.booleans(), st.integers(-(10**6), 10**6))
_VALUES = st.recursive(
    st.one_of(_SCALARS, _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=12,
)


def loaded(text: str) -> Any:
    """As YAML 1.2 reads it."""
    return YAML(typ="safe", pure=True).load(text)


def plain(value: Any) -> Any:
    """A text of several lines comes back with the end of its last one."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return f"{value}\n" if isinstance(value, str) and "\n" in value else value


@settings(max_examples=60, deadline=None)
@example({"0": "=", "1": ["<<", "="]})
@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_whatever_is_written_is_read_back(value: dict[str, Any]) -> None:
    """Words that look like numbers, dates, tags and comments included; and the same bytes come twice."""
    text = yaml_text(value)
    assert (loaded(text) or {}) == plain(value)
    assert yaml_text(value) == text


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(_KEYS, _SCALARS, min_size=1, max_size=4), st.text(alphabet="abc #:\n", max_size=40))
def test_comments_change_nothing(value: dict[str, Any], words: str) -> None:
    """Above or behind, in mappings and lists, and with empty lines put between."""
    behind = " ".join(words.split())
    noted = {key: Noted(one, above=words.strip(), behind=behind) for key, one in value.items()}
    listed = [{key: Noted(one, behind=behind)} for key, one in value.items()]
    text = yaml_text({"first": noted, "second": listed, "third": Noted([], behind=behind)})
    expected = {"first": value, "second": [{key: one} for key, one in value.items()], "third": []}
    assert loaded(text) == expected
    assert loaded(spaced(text, r"\w|  - ")) == expected


def test_how_it_looks() -> None:
    """Lists indented, short ones on a line, long comments broken between words."""
    text = yaml_text({"on": {"push": {"branches": Inline(("main", "a b", "*"))}}, "jobs": [{"a": 1, "b": {}}]})
    assert text == 'on:\n  push:\n    branches: [main, "a b", "*"]\njobs:\n  - a: 1\n    b: {}\n'
    lines = comment("word " * 60)
    assert len(lines) == 3
    assert all(line.startswith("# word") and len(line) <= 120 for line in lines)
