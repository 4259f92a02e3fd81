"""The steps about private links, as the programs of a batch (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote, settings
from towline.steps.links import link_to_json
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from towline.steps.links import ConfirmLink, JoinLink, LeaveLink


def join_link(step: JoinLink) -> StepProgram:
    """The interface, its guard and what the firewall has to let through."""
    body, plain = _body(step.interface), link_to_json(step)
    digest = digest_of(plain)
    peers = "\n".join(f"{one.key} {one.address} {one.endpoint}" for one in step.peers)
    openings = "\n".join(f"{one.port} {user}" for one in step.openings for user in one.users)
    words = (step.address, str(step.port), peers, openings, digest, json.dumps(plain, separators=(",", ":")))
    return StepProgram(
        holds=f"{body}has_joined_link {digest}\n",
        before=f"{body}was_linked\n",
        apply=f"{body}join_link {' '.join(map(quote, words))}\n",
    )


def confirm_link(step: ConfirmLink) -> StepProgram:
    """A handshake with each peer."""
    peers = "\n".join(f"{one.key} {one.address} {one.site} {one.endpoint.rpartition(':')[2]}" for one in step.peers)
    return StepProgram(apply=f"{_body(step.interface)}peers_answered {round(step.within)} {quote(peers)}\n")


def leave_link(step: LeaveLink) -> StepProgram:
    """Nothing of the link is left but the host's key."""
    body = _body(step.interface)
    return StepProgram(holds=f"{body}has_left_link\n", before=f"{body}was_linked\n", apply=f"{body}leave_link\n")


def _body(interface: str) -> str:
    return settings(interface=interface) + part("files.sh") + part("wireguard.sh")
