"""What a person may choose when a machine is hardened; loaded before anything is asked of the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from towline.core.errors import UsageError


@dataclass(frozen=True)
class Wishes:
    """What a person may choose: the deployer's name and public keys, bytes of swap, seconds until the way back."""

    user: str
    keys: tuple[str, ...]
    swap: int = 4_000_000_000
    revert_within: int = 120


def refuse_user(name: str) -> None:
    """Raise UsageError for what cannot be the deployer's name."""
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", name) or name == "root":
        raise UsageError(
            f"{name!r} cannot be the name of the user who deploys", hint="towline provision HOST --user deploy"
        )
