"""Whether the kernel killed something for want of memory since we last looked."""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOUNT = Path("/sys/fs/cgroup")


def places(cgroups: str, mount: Path = _MOUNT) -> list[Path]:
    """Files that may count the kills, for what /proc/self/cgroup says; the nearest first.

    Inside a container the path may be the host's, so the top of the mount is tried as well. Control group v2 counts
    in memory.events, v1 in memory.oom_control, a machine without either in /proc/vmstat.
    """
    found = []
    for line in cgroups.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found += [mount / path.lstrip("/") / "memory.events", mount / "memory.events"]
        elif "memory" in controllers.split(","):
            files = (mount / "memory" / path.lstrip("/"), mount / "memory")
            found += [folder / "memory.oom_control" for folder in files]
    return found


def count(files: Sequence[Path]) -> int | None:
    """The `oom_kill` figure of the first file that has one."""
    for file in files:
        try:
            words = (line.split() for line in file.read_text().splitlines())
        except OSError:
            continue
        for word in words:
            if len(word) == 2 and word[0] == "oom_kill":
                return int(word[1])
    return None


class OomCounter:
    """Remembers the last figure; `rose` tells whether there is a higher one now."""

    def __init__(self, files: Sequence[Path] | None = None) -> None:
        self._files = _default_files() if files is None else files
        self._seen = count(self._files)

    def rose(self) -> bool:
        """Whether the figure rose since the last call (or since the beginning)."""
        before, self._seen = self._seen, count(self._files)
        return before is not None and self._seen is not None and self._seen > before


def _default_files() -> list[Path]:
    try:
        cgroups = Path("/proc/self/cgroup").read_text()
    except OSError:
        return []
    return [*places(cgroups), Path("/proc/vmstat")]
