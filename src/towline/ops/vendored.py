"""The supervisor's own source, as text: a combined image carries it, so that it needs no registry of ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from towline.core.errors import SiteUnreachable


def supervisor_files() -> dict[str, str]:
    """The files of the installed towline_supervisor, by name. Raises SiteUnreachable when it is not installed."""
    found = find_spec("towline_supervisor")
    if found is None or found.origin is None:
        raise SiteUnreachable("towline_supervisor is not installed", hint="pip install --force-reinstall towline")
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(found.origin).parent.glob("*.py"))}
