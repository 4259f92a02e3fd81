"""Files on a real disk: whole or not at all, appended line by line, locked by one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from towline.core.files import append_synced, hold_lock, write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_mode_is_the_wanted_one_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    """A strict or a lax umask changes nothing, nor does the mode of the file before."""
    path = tmp_path / "file"
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            write_atomic(path, "x", mode=mode)
        finally:
            os.umask(before)
        assert mode_of(path) == mode


def test_only_the_owner_reads_unless_said(tmp_path: Path) -> None:
    """The file, and every folder made on the way to it."""
    before = os.umask(0)
    try:
        write_atomic(tmp_path / "a" / "b" / "file", b"x")
        append_synced(tmp_path / "c" / "d" / "journal", "x")
        with hold_lock(tmp_path / "e" / "f" / "lock"):
            pass
    finally:
        os.umask(before)
    assert [mode_of(tmp_path / name) for name in ("a/b/file", "c/d/journal", "e/f/lock")] == [0o600] * 3
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "c", "c/d", "e", "e/f")] == [0o700] * 6


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Only new folders are closed; the user's own stay as they are."""
    tmp_path.chmod(0o755)
    write_atomic(tmp_path / "file", "x")
    assert mode_of(tmp_path) == 0o755


@pytest.mark.parametrize("durable", [True, False])
def test_content_is_replaced(tmp_path: Path, *, durable: bool) -> None:
    """Bytes as they are, texts as UTF-8, the shorter after the longer."""
    path = tmp_path / "file"
    write_atomic(path, b"\x00\xff" * 100, durable=durable)
    assert path.read_bytes() == b"\x00\xff" * 100
    write_atomic(path, "kürzer\n", durable=durable)
    assert path.read_bytes() == "kürzer\n".encode()
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_reader_sees_the_old_or_the_new(tmp_path: Path) -> None:
    """While a writer replaces the file 300 times, every read is one whole content."""
    path = tmp_path / "file"
    contents = [letter * 50_000 for letter in ("a", "b")]
    write_atomic(path, contents[0])
    done, torn, reads = threading.Event(), [], []

    def read() -> None:
        while not done.is_set():
            seen = path.read_text()
            reads.append(seen[:1])
            if seen not in contents:
                torn.append(seen)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        write_atomic(path, contents[number % 2], durable=False)
    deadline = time.monotonic() + 20
    while len(set(reads)) < 2 and time.monotonic() < deadline:
        write_atomic(path, contents[len(reads) % 2], durable=False)
    done.set()
    reader.join()
    assert not torn
    assert set(reads) == {"a", "b"}


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """A name that cannot be replaced: the error is told, what was there stays, and no half file lies about."""
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_atomic(tmp_path / "taken", "x")
    assert [str(one.relative_to(tmp_path)) for one in sorted(tmp_path.rglob("*"))] == ["taken", "taken/inside"]


def test_a_disk_that_is_full_leaves_the_old_content(tmp_path: Path) -> None:
    """In a process that may write 4 kB a file, a longer content fails and the old one is still there."""
    program = (
        "import pathlib, resource, signal, sys\n"
        "from towline.core.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "write_atomic(path, 'old')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_atomic(path, 'n' * 100_000)\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    path = tmp_path / "file"
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "File too large"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_are_appended(tmp_path: Path) -> None:
    """In order, each with its end."""
    path = tmp_path / "journal"
    for line in ("one", "zwölf", "three"):
        append_synced(path, line)
    assert path.read_text() == "one\nzwölf\nthree\n"


def test_a_torn_line_is_mended(tmp_path: Path) -> None:
    """What a killed writer left is closed first, so the next line stands alone; whole lines get no empty one."""
    path = tmp_path / "journal"
    path.write_text('{"whole": 1}\n{"torn')
    append_synced(path, '{"next": 2}')
    append_synced(path, '{"next": 3}')
    assert path.read_text().splitlines() == ['{"whole": 1}', '{"torn', '{"next": 2}', '{"next": 3}']


def test_an_empty_file_is_not_torn(tmp_path: Path) -> None:
    """A writer killed between making the file and its first line leaves no empty line."""
    path = tmp_path / "journal"
    path.touch()
    append_synced(path, "first")
    assert path.read_text() == "first\n"


LOCKED = (
    "import pathlib, sys\n"
    "from towline.core.files import hold_lock\n"
    "with hold_lock(pathlib.Path(sys.argv[1])):\n"
    "    print('inside', flush=True)\n"
    "    sys.stdin.read()\n"
)


def locker(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_lock_excludes_another_process(tmp_path: Path) -> None:
    """While another process is inside, this one waits; once that is out, this one gets in."""
    path, inside = tmp_path / "lock", threading.Event()

    def enter() -> None:
        with hold_lock(path):
            inside.set()

    with locker(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "inside\n"
        waiter = threading.Thread(target=enter)
        waiter.start()
        assert not inside.wait(0.3)
        assert other.stdin is not None
        other.stdin.close()
        assert inside.wait(20)
        waiter.join()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    """The operating system frees the lock of a process that is gone."""
    path = tmp_path / "lock"
    with locker(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "inside\n"
        other.kill()
        with hold_lock(path):
            assert path.exists()


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    """The block may fail: the next one gets in, the error goes on."""
    path = tmp_path / "lock"
    with pytest.raises(RuntimeError, match="inside"), hold_lock(path):
        raise RuntimeError("inside")
    with locker(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "inside\n"
        assert other.stdin is not None
        other.stdin.close()
