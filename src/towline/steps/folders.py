"""Files of the project that services mount: brought to a site under the name of what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from towline.core.units import show_bytes

FOLDERS = "folders/"
"""What the way to such a folder begins with, in a container's mounts too: by that a release is seen to need it."""


@dataclass(frozen=True)
class PlaceFolder:
    """Unpack what was sent before: `folder` is `folders/` and 64 digits over what is in it, keyed.

    `source` is where it lies in the project, for people, `services` are those that mount it. Bytes, before compression.
    """

    folder: str
    source: str
    services: tuple[str, ...]
    files: int
    size: int
    kind: Literal["place-folder"] = "place-folder"

    @property
    def part(self) -> str:
        """The name under which it was sent."""
        return self.folder.removeprefix(FOLDERS)

    @property
    def title(self) -> str:
        """What a person reads."""
        count = f"{self.files} files, " if self.files != 1 else ""
        return f"bring {self.source} for {', '.join(self.services)} ({count}{show_bytes(self.size)})"
