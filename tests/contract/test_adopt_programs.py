"""The survey of what else runs on a host, by the shell that makes it there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from towline.drivers.host.programs import part

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "du", "timeout")

ENGINE = """#!/bin/sh
shift 2
case "$*" in
  'ps '*) echo "$IDS" ;;
  *machine-door*) case $4 in ours) echo yes ;; esac ;;
  *other*) echo 'other {{"name":"/'"$4"'"}}' ;;
  *Mounts*) printf '%s\\n' {folders} ;;
esac
"""


def surveyed(folder: Path, ids: str, folders: list[Path], du: str = "") -> list[str]:
    tools = folder / "tools"
    tools.mkdir()
    (tools / "docker").write_text(ENGINE.format(folders=" ".join(f"'{one}'" for one in folders)))
    if du:
        (tools / "du").write_text(du)
    for one in tools.iterdir():
        one.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "IDS": ids, "patience": "1"}
    text = "fail() { exit 1; }\n" + part("docker.sh") + part("adopt.sh") + "others\n"
    ran = subprocess.run(["sh", "-c", text], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_what_is_ours_is_not_among_the_others(tmp_path: Path) -> None:
    """A container with a label of ours is left out; each folder of the others has its size."""
    data = tmp_path / "some data"
    data.mkdir()
    (data / "file").write_bytes(b"x" * 100_000)
    first, second = surveyed(tmp_path, "a1 ours", [data, tmp_path / "gone"])
    assert json.loads(first.removeprefix("other ")) == {"name": "/a1"}
    word, size, path = second.split(" ", 2)
    assert (word, path) == ("size", str(data))
    assert 100_000 <= int(size) < 200_000


def test_a_folder_that_takes_long_to_count_keeps_nobody(tmp_path: Path) -> None:
    """Its size is not known then; when it is copied there is time to count it."""
    folders = [tmp_path / name for name in "abcd"]
    for one in folders:
        one.mkdir()
    began = time.monotonic()
    lines = surveyed(tmp_path, "a1", folders, "#!/bin/sh\nexec sleep 30\n")
    assert sorted(lines[1:]) == [f"size  {one}" for one in folders]
    assert time.monotonic() - began < 20
