"""What every no-op job does, so that a bystander can count: it adds one byte to a file. Standard library only."""

from __future__ import annotations

import os

_FILE = os.open(os.environ["RAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def ran() -> None:
    """One job was executed."""
    os.write(_FILE, b".")
