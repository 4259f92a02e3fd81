"""The private link in a plan: joined by all before anything that goes through it, left after all that did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.steps.links import ConfirmLink, LeaveLink, link_to_json
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.release.pieces import Pieces
    from towline.release.stages import Draft
    from towline.steps.links import JoinLink
    from towline.steps.model import Facts


def join(draft: Draft, sites: Mapping[str, Pieces]) -> None:
    """Each end that is not as it should be, then the answers of all, since an end alone leads nowhere."""
    wanted = {name: site.wanted.link for name, site in sites.items()}
    joins = {
        name: (one,) for name, one in wanted.items() if one is not None and sites[name].facts.link != link_digest(one)
    }
    draft.add("private link", joins)
    if joins:
        confirms = {name: (ConfirmLink(one.interface, one.peers),) for name, one in wanted.items() if one is not None}
        draft.add("confirm the private link", confirms)


def leave(draft: Draft, sites: Mapping[str, Pieces], interface: str) -> None:
    """Each end that nobody wants any more."""
    gone = {name for name, site in sites.items() if site.wanted.link is None and site.facts.link is not None}
    draft.add("leave the private link", {name: (LeaveLink(interface),) for name in gone})


def left(facts: Mapping[str, Facts], interface: str) -> dict[str, tuple[LeaveLink, ...]]:
    """What it takes to leave on every site that has an end."""
    return {name: (LeaveLink(interface),) for name, one in facts.items() if one.link is not None}


def link_digest(link: JoinLink) -> str:
    """What a site reports while its end is so."""
    return digest_of(link_to_json(link))
