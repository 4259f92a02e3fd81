"""An app whose import fails, and whose variable is no Jobs: mistakes that the command line names."""

from __future__ import annotations

jobs = 7 if __name__ == "__main__" else undefined_name  # type: ignore[name-defined]  # noqa: F821
