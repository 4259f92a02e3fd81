"""What is made of a bare machine, as steps: a closed list of items, and proofs from outside between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Item = Literal[
    "engine-settings",
    "ban-settings",
    "upgrades",
    "packages",
    "engine",
    "bans",
    "kernel",
    "journal",
    "swap",
    "clean-up",
    "deployer",
    "way-back",
    "ssh",
    "firewall",
    "kept",
]

TITLES: dict[Item, str] = {
    "engine-settings": "tell Docker to keep containers through its own restart, and to rotate their logs",
    "ban-settings": "tell fail2ban to read the journal and never to ban {ignored}",
    "upgrades": "turn on security upgrades every day, of everything but Docker",
    "packages": "install what is missing of {wanted}",
    "engine": "see Docker answer with those settings and an Engine API of {api} or newer",
    "bans": "see fail2ban watch sshd: {tries} failures, then no answer for an hour",
    "kernel": "refuse redirects and source routes, keep SYN cookies (net.* sysctl)",
    "journal": "keep the journal below {limit}",
    "swap": "add {size} of swap",
    "clean-up": "clear away untagged images of Towline's and old build cache every day",
    "deployer": "make the user {user}, who logs in by key and may become root",
    "way-back": "copy sshd's and the firewall's files, and put them back in {within} s unless told otherwise",
    "ssh": "let nobody in by password, and not root",
    "firewall": "open {ports}, 80 and 443, close everything else, also what Docker publishes (IPv4 and IPv6)",
    "kept": "keep it so: nothing is put back any more",
}
"""What a person reads, with the settings of a step filled in."""


@dataclass(frozen=True)
class Ensure:
    """Make one thing of a machine so; where it is so already, nothing is touched.

    `settings` are what the item's fragments of shell see as variables, in capitals. None of them is secret.
    """

    item: Item
    settings: dict[str, str] = field(default_factory=dict)
    kind: Literal["ensure"] = "ensure"

    @property
    def title(self) -> str:
        """What a person reads."""
        return TITLES[self.item].format_map(self.settings)


@dataclass(frozen=True)
class ProveLogin:
    """From the operator's machine: log in as `user` over a connection of its own and become root there.

    `refused` is who must not get in that way any more, None while that has not been asked for. `within` in seconds.
    """

    user: str
    within: float
    refused: str | None = None
    kind: Literal["prove-login"] = "prove-login"

    @property
    def title(self) -> str:
        """What a person reads."""
        other = "" if self.refused is None else f", and see {self.refused} turned away"
        return f"log in as {self.user} over a second connection{other}"
