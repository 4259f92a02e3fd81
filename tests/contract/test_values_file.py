"""The file with the passwords of the stores: closed, whole, and never made anew over what is there."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import SiteUnreachable
from towline.core.secret import Secret
from towline.secrets.values import read_values, with_missing, write_values

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-of-the-file"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Any text, by name; the file is JSON that a person can put back."""
    values = {"db.password": Secret('a"b\\c\n'), "b.secret_key": Secret("źdź"), "a": Secret(CANARY)}
    write_values(tmp_path / "secrets.json", values)
    assert read_values(tmp_path / "secrets.json") == values
    text = (tmp_path / "secrets.json").read_text()
    assert list(json.loads(text)) == ["a", "b.secret_key", "db.password"]
    assert text.endswith("}\n")


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """Under any umask, in a new folder of its own, and also when a wider one was there before."""
    path = tmp_path / "home" / "secrets.json"
    before = os.umask(0)
    try:
        write_values(path, {"a": Secret("x")})
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.chmod(0o644)
        write_values(path, {"a": Secret("y")})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secrets.json"]


def test_no_file_is_no_values(tmp_path: Path) -> None:
    """Before the first deploy; looking makes none."""
    assert read_values(tmp_path / "home" / "secrets.json") == {}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"db.password": "' + CANARY.encode(),
        b"[]",
        b'"' + CANARY.encode() + b'"',
        b"null",
        b"\xff\xfe" + CANARY.encode(),
        b'{"db.password": null}',
        b'{"db.password": ""}',
        b'{"db.password": {"x": "' + CANARY.encode() + b'"}}',
    ],
)
def test_a_damaged_file_is_said_and_left(tmp_path: Path, content: bytes) -> None:
    """New passwords would lock the data up: nothing is made, and the message says what to do, not what it read."""
    path = tmp_path / "secrets.json"
    path.write_bytes(content)
    with pytest.raises(SiteUnreachable, match="is damaged") as caught:
        read_values(path)
    assert str(caught.value.where) == str(path)
    assert "towline down --purge" in str(caught.value.hint)
    assert CANARY not in json.dumps(caught.value.as_json())
    assert path.read_bytes() == content


def test_missing_ones_are_made_and_old_ones_kept() -> None:
    """A new store gets its own; what stands is never replaced, and what nobody wants now is not thrown away."""
    old = {"db.password": Secret("old"), "gone.password": Secret("kept")}
    both = with_missing(old, ("db.password", "q.password", "b.secret_key"))
    assert set(both) == {"db.password", "gone.password", "q.password", "b.secret_key"}
    assert both["db.password"] == Secret("old")
    assert both["gone.password"] == Secret("kept")
    assert both["q.password"] != both["b.secret_key"]
    assert len(both["q.password"].reveal()) == 32
    assert set(old) == {"db.password", "gone.password"}
    assert with_missing(both, ("q.password",)) == both
