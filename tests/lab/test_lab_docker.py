"""The lab's Docker daemon: what it says when there can be none, and that none is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real_servers import until

from towline.core.errors import SiteUnreachable
from towline.lab.docker import INSTALL, LabDocker

if TYPE_CHECKING:
    from collections.abc import Iterator


def users_own() -> bool:
    """Whether a Docker daemon runs here anyway: a second one would take its network from it."""
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


KEEPER = """
import os, sys
from pathlib import Path
from towline.lab.docker import LabDocker
with LabDocker(os.environ, folder=Path(sys.argv[1])) as docker:
    print(docker.run("info", "--format", "{{.ID}}"), flush=True)
    sys.stdin.read()
"""


@pytest.mark.needs("dockerd", "iptables")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon")
class TestDaemon:
    """A daemon of the lab's own."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        if users_own():
            pytest.skip("a Docker daemon runs here")
        made = Path(tempfile.mkdtemp(prefix="tl-"))  # short: the address of a socket has 107 letters
        yield made
        shutil.rmtree(made)

    def test_says_what_to_install(self, tmp_path: Path) -> None:
        """Without Docker the error is one line to type."""
        with (
            pytest.raises(SiteUnreachable, match="docker not installed") as missing,
            LabDocker({"PATH": str(tmp_path)}),
        ):
            pass
        assert missing.value.hint == INSTALL

    def test_says_why_it_did_not_start(self, folder: Path) -> None:
        """The daemon's own reason is in the error, and its log in the hint."""
        (folder / "data").write_text("not a folder")
        with (
            pytest.raises(SiteUnreachable, match=r"did not start: .*data") as failed,
            LabDocker(os.environ, folder=folder),
        ):
            pass
        assert failed.value.hint == f"tail {folder}/log"

    def test_one_that_was_left_behind_is_taken_over_and_ended(self, folder: Path) -> None:
        """After a kill the daemon goes on; the next block takes it over and stops it by its own number."""
        argv = [sys.executable, "-c", KEEPER, str(folder)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
            assert keeper.stdout is not None
            name = keeper.stdout.readline().strip()
            keeper.send_signal(signal.SIGKILL)
        pid = int((folder / "pid").read_text())
        with LabDocker(os.environ, folder=folder) as docker:
            assert docker.own
            assert name
            assert docker.run("info", "--format", "{{.ID}}").strip() == name
        until(lambda: not Path(f"/proc/{pid}").exists(), "the daemon has ended")
        assert not (folder / "docker.sock").exists()

    def test_all_blocks_share_it_and_the_last_one_ends_it(self, folder: Path) -> None:
        """A block within another one uses the same daemon, and something kept on it outlives both."""
        with LabDocker(os.environ, folder=folder) as first:
            name = first.run("info", "--format", "{{.ID}}")
            with LabDocker(os.environ, folder=folder) as second:
                assert second.run("info", "--format", "{{.ID}}") == name
            assert first.run("info", "--format", "{{.ID}}") == name
            first.keep("something")
        pid = int((folder / "pid").read_text())
        assert Path(f"/proc/{pid}/cmdline").read_bytes()
        with LabDocker(os.environ, folder=folder) as third:
            assert third.run("info", "--format", "{{.ID}}") == name
            third.keep_no_longer("something")
        until(lambda: not Path(f"/proc/{pid}").exists(), "the daemon has ended")
