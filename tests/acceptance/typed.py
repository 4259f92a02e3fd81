"""A command as a person types it in a folder."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def typed(folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`towline WORDS` in a folder; it ends with `status` and never with a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "towline.cli.main", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
