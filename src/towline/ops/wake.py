"""Get up what a warm start needs while the files are still being read."""

from __future__ import annotations

import contextlib
import os
from threading import Thread
from typing import TYPE_CHECKING

from towline.core.errors import TowlineError
from towline.drivers import registry

if TYPE_CHECKING:
    from pathlib import Path


def wake(project: Path, target: str) -> None:
    """Wake the site of a target that ran on this machine before, in a thread; nothing of the app is touched.

    What is wrong there is said by whoever needs it next.
    """
    home = project.resolve() / ".towline" / target

    def up() -> None:
        with contextlib.suppress(TowlineError, OSError):
            registry.wake(home, os.environ)

    Thread(target=up, name="wake", daemon=True).start()
