"""The lab from the command line: its guide works as written, its answers can be read by programs, its errors help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.test_docs import run_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]


def lab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `towline lab WORDS` in a folder."""
    argv = [sys.executable, "-m", "towline.cli.main", "lab", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose lab is down afterwards."""
    yield tmp_path
    done = lab(tmp_path, "down")
    assert done.returncode == 0, done.stderr


def test_the_guide_is_true(checkout: Path, folder: Path) -> None:
    """Every command of the guide, in order, in an empty folder."""
    said = run_blocks(checkout / "docs" / "guides" / "lab.md", folder)
    assert "1 packets transmitted, 1 received" in said
    assert "\nhost2\n" in said
    assert "no space left, as it should be" in said
    assert "host2 is 100 ms further away" in said
    assert "and 2 hosts with it" in said


def test_answers_can_be_read_by_programs(folder: Path) -> None:
    """`status --json` is one document, `ssh` ends as the command there did, and what there is none of is refused."""
    assert lab(folder, "up", "--memory", "1GiB", "--disk", "4GiB").returncode == 0
    told = json.loads(lab(folder, "status", "--json").stdout)
    (host,) = told["hosts"]
    assert (host["name"], host["state"], host["memory"], host["disk"]) == ("host1", "running", 2**30, 2**32)
    assert Path(told["ssh_config"]).read_text().startswith("Host host1\n")
    ran = lab(folder, "ssh", "1", "--", "echo out; echo err >&2; exit 7")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "out\n", "err\n")
    refused = lab(folder, "freeze", "2")
    assert refused.returncode == 3
    assert "no host 2; there are: 1" in refused.stderr
    assert "hint: towline lab up --hosts 2" in refused.stderr


def test_mistakes_are_said_before_anything_is_done(tmp_path: Path) -> None:
    """Without a lab, with an unknown part or a size that is none: one sentence and what to type, and no traceback."""
    for words, status, sentence in (
        (("status",), 3, "has no lab"),
        (("ssh", "1", "true"), 3, "has no lab"),
        (("up", "--with", "podman"), 2, "comes with `docker` or without, not with `podman`"),
        (("up", "--disk", "much"), 2, "'much' is not a size"),
        (("up", "--disk", "2MB"), 2, "at least 128 MB of memory and 2.1 GB of disk"),
        (("up", "--hosts", "12"), 2, "1 to 9 hosts, not 12"),
    ):
        done = lab(tmp_path, *words)
        assert done.returncode == status, done
        assert sentence in " ".join(done.stderr.split())
        assert "hint: " in done.stderr
        assert "Traceback" not in done.stderr
    answer = json.loads(lab(tmp_path, "status", "--json").stdout)
    assert answer["error"]["code"] == "refused"
