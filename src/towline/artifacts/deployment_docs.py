"""README, SETUP, TROUBLESHOOTING and RUNBOOK of one target, with the app's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import Guide
from towline.artifacts.docs.readme import readme
from towline.artifacts.docs.runbook import runbook
from towline.artifacts.docs.setup import setup
from towline.artifacts.docs.troubleshooting import troubleshooting
from towline.artifacts.rendered import RenderedFile

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material


def files(material: Material) -> tuple[RenderedFile, ...]:
    """The four pages; none where everything is on this machine, since `towline up` is all that there is to say then."""
    if all(site.kind == "local" for site in material.target.sites):
        return ()
    guide = Guide(material)
    return (
        RenderedFile("README.md", readme(guide), "what runs where, what was rendered, what it costs"),
        RenderedFile("SETUP.md", setup(guide), "from nothing to running"),
        RenderedFile("TROUBLESHOOTING.md", troubleshooting(guide), "what to do, by what you see"),
        RenderedFile("RUNBOOK.md", runbook(guide), "daily work, with its commands"),
    )
