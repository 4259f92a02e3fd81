"""What all rooms of tests share: the rule for missing servers, and names that no other checkout uses."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A missing program skips on a laptop and fails where CI=true."""
    for mark in item.iter_markers("needs"):
        missing = [name for name in mark.args if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
        if missing and os.environ.get("CI") == "true":
            pytest.fail(f"missing here, and CI must have it: {', '.join(missing)}", pytrace=False)
        if missing:
            pytest.skip(f"missing here: {', '.join(missing)}")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def checkout_name() -> str:
    """A short name that differs between two checkouts on one machine."""
    return hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
