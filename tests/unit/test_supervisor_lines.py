"""Bytes become lines, lines become text or JSON, and the control group of a process is found."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from towline_supervisor.lines import HELD, LineSplitter, LogLine, to_json, to_text, utc
from towline_supervisor.memory import show
from towline_supervisor.oom import places


def test_partial_lines_are_held() -> None:
    """A line comes out when it is whole, the rest at the end."""
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\r\nthree") == ["two"]
    assert splitter.finish() == ["three"]
    assert splitter.finish() == []


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Invalid UTF-8 shows as replacement characters, and a character cut in two by the pipe stays whole."""
    assert LineSplitter().feed(b"\xff\n") == ["\ufffd"]
    splitter = LineSplitter()
    assert splitter.feed("ä".encode()[:1]) == []
    assert splitter.feed("ä".encode()[1:] + b"\n") == ["ä"]


def test_endless_line_is_given_out_in_pieces() -> None:
    """A program that never ends its line holds no more than 64 KB of memory."""
    splitter = LineSplitter()
    pieces = splitter.feed(b"x" * (2 * HELD + 5))
    assert [len(piece) for piece in pieces] == [HELD, HELD]
    assert splitter.finish() == ["xxxxx"]


@given(st.lists(st.binary(max_size=40)))
def test_cutting_does_not_matter(chunks: list[bytes]) -> None:
    """However the pipe cuts the stream, the lines are those of the whole stream."""
    splitter, whole = LineSplitter(), LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()
    assert lines == whole.feed(b"".join(chunks)) + whole.finish()


def test_line_as_json() -> None:
    """A JSON line has exactly the documented fields, and the time in UTC with milliseconds."""
    line = LogLine(0.0015, "api", 7, "stderr", 'say "ä"')
    assert json.loads(to_json(line)) == {
        "at": "1970-01-01T00:00:00.002Z",
        "name": "api",
        "pid": 7,
        "stream": "stderr",
        "text": 'say "ä"',
    }
    assert to_json(line).count(b"\n") == 1
    assert utc(1_700_000_000.9999) == "2023-11-14T22:13:21.000Z"


def test_line_as_text() -> None:
    """Names are padded to one width; colour is only there when asked for, and only around the prefix."""
    line = LogLine(0.0, "api", 7, "stdout", "hello")
    plain = to_text(line, 6).decode()
    assert plain[8:] == " api    | hello\n"
    painted = to_text(line, 6, 1).decode()
    assert painted.startswith("\x1b[33m")
    assert painted.endswith("|\x1b[0m hello\n")


def test_memory_as_people_read_it() -> None:
    """Small figures keep a digit."""
    assert (show(1_500_000), show(512_000_000)) == ("1.5 MB", "512 MB")


def test_counter_files_of_both_control_groups() -> None:
    """Version 1 and 2 are found by their lines, the host's path first, the top of the mount behind it."""
    mount = Path("/cg")
    assert places("0::/pod/x\n", mount) == [mount / "pod/x/memory.events", mount / "memory.events"]
    assert places("5:cpu:/a\n4:memory:/a/b\n", mount) == [
        mount / "memory/a/b/memory.oom_control",
        mount / "memory/memory.oom_control",
    ]
