"""Sizes and spans: what people write is read, what is wrong is said, what is printed is short."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.core.units import byte_count, many, seconds, show_bytes, show_seconds


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("120s", 120.0),
        ("2m", 120.0),
        ("2min", 120.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1d", 86400.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("  7 s ", 7.0),
        ("90", 90.0),
        ("1m0.5s", 60.5),
        ("0s", 0.0),
        (45, 45.0),
        (0.25, 0.25),
    ],
)
def test_spans_are_read(text: str | float, span: float) -> None:
    """Every form that the reference names, alone and together."""
    assert seconds(text) == pytest.approx(span)


@pytest.mark.parametrize(
    "text", ["", "   ", "soon", "5 parsecs", "1M", "-5s", "5s!", "1h30", "1 30", "h", "1,5h", "s5", "1e3s"]
)
def test_other_spans_are_refused_with_an_example(text: str) -> None:
    """The message quotes what was written and shows what to write."""
    with pytest.raises(ValueError, match="is not a span of time: write for example 90s, 2m or 1h30m") as refused:
        seconds(text)
    assert str(refused.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512MB", 512_000_000),
        ("512MiB", 536_870_912),
        ("512m", 512_000_000),
        ("1 GiB", 2**30),
        ("1g", 10**9),
        ("1.5kb", 1500),
        ("2kib", 2048),
        ("1TB", 10**12),
        ("1tib", 2**40),
        ("10b", 10),
        ("4096", 4096),
        (4096, 4096),
        (" 1k ", 1000),
    ],
)
def test_sizes_are_read(text: str | int, count: int) -> None:
    """Decimal and binary units, in either case."""
    assert byte_count(text) == count


@pytest.mark.parametrize("text", ["", "much", "12XB", "-1MB", "1MB2", "1 2MB", "MB", "1.5.2g", "1,5GB"])
def test_other_sizes_are_refused_with_an_example(text: str) -> None:
    """The message quotes what was written and shows what to write."""
    with pytest.raises(ValueError, match="is not a size: write for example 512MB or 1GiB") as refused:
        byte_count(text)
    assert str(refused.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.9, "9.9 s"),
        (9.96, "10 s"),
        (10.0, "10 s"),
        (12.3, "12 s"),
        (119.4, "119 s"),
        (119.9, "2 min 0 s"),
        (120.0, "2 min 0 s"),
        (125.0, "2 min 5 s"),
        (3723.0, "62 min 3 s"),
    ],
)
def test_spans_are_printed(span: float, shown: str) -> None:
    """One figure after the point where it matters, none where it does not, minutes from two on."""
    assert show_seconds(span) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (900, "900 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1500, "1.5 kB"),
        (9_960, "10 kB"),
        (36_000_000, "36 MB"),
        (999_960, "1.0 MB"),
        (4_200_000_000, "4.2 GB"),
        (7_000_000_000_000, "7.0 TB"),
        (1_234_000_000_000_000, "1234 TB"),
    ],
)
def test_sizes_are_printed(count: int, shown: str) -> None:
    """Decimal units, two or three figures."""
    assert show_bytes(count) == shown


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**15 - 10**12))
def test_printed_sizes_read_back_nearly(count: int) -> None:
    """What is printed is within a twentieth of the truth, and no longer than three figures and a point."""
    shown = show_bytes(count)
    assert abs(byte_count(shown) - count) <= count / 20
    assert len(shown.split()[0].replace(".", "")) <= 3


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=10**6))
def test_printed_spans_read_back_nearly(span: float) -> None:
    """What is printed is at most a second off, and seconds stay below sixty beside minutes."""
    shown = show_seconds(span)
    assert abs(seconds(shown) - span) <= 1
    if "min" in shown:
        assert int(shown.split()[2]) < 60


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error than ValueError, and nothing negative."""
    for read in (seconds, byte_count):
        try:
            assert read(text) >= 0
        except ValueError as refused:
            assert "write for example" in str(refused)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(("count", "told"), [(0, "0 mistakes"), (1, "1 mistake"), (12, "12 mistakes")])
def test_a_number_and_its_noun(count: int, told: str) -> None:
    """One of something has no s."""
    assert many(count, "mistake") == told
