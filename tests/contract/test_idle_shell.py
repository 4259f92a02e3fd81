"""A shell on a host that lies idle until it is needed: an image was sent meanwhile, or a person thought it over."""

from __future__ import annotations

import select
import time

import pytest

from towline.drivers.host.shell import Shell

WITHIN = 0.5


@pytest.mark.needs("sh", "timeout")
def test_a_shell_that_lay_idle_for_long_is_good() -> None:
    """What it has to answer in counts from its first request, not from when it was started."""
    shell = Shell(lambda serving: ("sh", "-c", serving), WITHIN)
    over = time.monotonic() + WITHIN
    try:
        stream = shell._process.stdout
        assert stream is not None
        assert select.select([stream], [], [], 30)[0], "it never answered"
        while time.monotonic() < over:
            pass
        assert shell.run("echo there", within=20).text == "there\n"
    finally:
        shell.close()
