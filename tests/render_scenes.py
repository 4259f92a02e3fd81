"""Projects to render: the examples and the reference app, each as it is or with a target on one server added."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from towline.ops.render import material_of

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.rendered import Material

ENV = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
"""What Compose needs of the machine, and nothing that would get into a value."""

HOST = "server: {shape: vps, sites: {box: {kind: host, ssh: deploy@203.0.113.7}}}"
NAMED = "named: {shape: vps, sites: {box: {kind: host, ssh: deploy@203.0.113.7, domain: app.example}}}"

TARGETS = (
    ("cooly", "production"),
    ("cooly", "alone"),
    ("cooly", "named"),
    ("kirby-gen", "production"),
    ("kirby-gen", "server"),
    ("nutri", "production"),
    ("nutri", "named"),
    ("postcards", "server"),
    ("postcards", "named"),
    ("reference", "named"),
    ("repolens", "production"),
    ("repolens", "server"),
)
"""Each example with each of its targets, `server` and `named` (a server with a domain) being added here."""

_NOT_COPIED = shutil.ignore_patterns(".venv", ".towline", "__pycache__", ".env", "deploy", "*.pyc", "managed")


def project(checkout: Path, example: str, into: Path, page: str | None = None) -> Path:
    """A copy of an example in the folder `into`, under its own name, with `page` or else the two added targets."""
    source = checkout / "reference" if example == "reference" else checkout / "examples" / example
    copy = into / source.name
    shutil.copytree(source, copy, ignore=_NOT_COPIED)
    written = copy / "towline.yaml"
    text = page if page is not None else _with_targets(written.read_text())
    written.write_text(text)
    return copy


def _with_targets(text: str) -> str:
    added = f"  {HOST}\n  {NAMED}\n"
    if "\ntargets:" in text:
        return text.replace("\ntargets:\n", f"\ntargets:\n{added}")
    return f"{text}\ntargets:\n{added}"


def material(checkout: Path, example: str, target: str, into: Path, page: str | None = None) -> Material:
    """What the renderers read of an example."""
    folder = project(checkout, example, into, page)
    return material_of(folder, target, folder / "deploy" / target, env=ENV)
