"""Whether a server answers in its own protocol, with its own password."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING

from towline.drivers.local import bucket, postgres, valkey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.drivers.local.blobs import Blobs


def warm_up(runs: str) -> None:
    """Load what `why_not` will ask with, while the server is still starting: psycopg takes as long as that."""
    if runs == "postgres":
        threading.Thread(target=import_module, args=("psycopg",), daemon=True).start()


def why_not(runs: str, port: int | None, settings: Mapping[str, str], blobs: Blobs) -> str | None:
    """Why a server does not serve yet; None when it does, or when `runs` is nothing to ask in particular."""
    if port is None:
        return None
    match runs:
        case "postgres":
            return postgres.why_not(port, blobs.text(settings["admin_password"]))
        case "redis":
            return valkey.why_not(port, blobs.text(settings["password"]))
        case "bucket":
            return bucket.why_not(port, settings, blobs)
        case _:
            return None
