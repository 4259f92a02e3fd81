"""What a store on a host shows to those that share its network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from towline.drivers.host.programs import part, quote

if TYPE_CHECKING:
    from towline.drivers.host.target import Target

_WITHIN: Final = 120.0


def reached_on(target: Target, store: str) -> tuple[int, ...] | None:
    """The ports of a store that answer a neighbour; None where it runs without any."""
    words = part("words.sh") + "work=$(mktemp -d) || exit 74\ntrap 'rm -rf \"$work\"' EXIT\n"
    body = f"{words}{part('docker.sh')}{part('neighbours.sh')}reached {quote(store)}\n"
    lines = target.ask(body, within=_WITHIN).split()
    return tuple(sorted({int(one) for one in lines if one != "reached"})) if lines else None
