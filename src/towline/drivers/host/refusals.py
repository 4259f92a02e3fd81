"""What ssh said when it did not get there, as a sentence and something to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from towline.core.errors import SiteUnreachable

if TYPE_CHECKING:
    from towline.drivers.host.address import Address

_KNOWN: Final = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{host} shows another host key than before: it was made anew, or somebody is in between",
        "compare the fingerprint where the machine is sold, then: ssh-keygen -R {known}",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        "the host key of {host} is not known here",
        "compare the fingerprint once: {command}",
    ),
    (
        r"Could not resolve hostname",
        "the name {host} is unknown",
        "getent hosts {host}",
    ),
    (
        r"Permission denied \(|Too many authentication failures",
        "{address} lets none of the keys in that are offered here",
        "ssh-add -l; {command}",
    ),
    (
        r"Connection refused",
        "nothing listens for ssh at {address}",
        "{command}",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down|not responding",
        "{host} does not answer: it is off, or a firewall is in between",
        "ping {host}",
    ),
    (
        r"[Ss]ession open refused|session request failed",
        "{address} opens no more sessions on one connection",
        "{command} sshd -T | grep maxsessions",
    ),
    (
        r"kex_exchange_identification|banner exchange|Connection (closed|reset)|closed by remote host",
        "{address} ended the connection: it may have banned this address, or be too busy",
        "{command}",
    ),
    (
        r"sudo: ",
        "the user of {address} cannot become root without a password",
        "{command} sudo -n true",
    ),
    (
        r"UNPROTECTED PRIVATE KEY|bad permissions|Bad configuration option|Load key",
        "ssh cannot use its own configuration for {address}: {last}",
        "{command}",
    ),
)


def unreachable(address: Address, said: str, otherwise: str) -> SiteUnreachable:
    """The error for what ssh `said` about `address`; `otherwise` is the reason where it said nothing."""
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), otherwise)
    known = address.host if address.port in (None, 22) else f"'[{address.host}]:{address.port}'"
    words = {"address": address, "host": address.host, "known": known, "command": address.command(), "last": last}
    for pattern, sentence, hint in _KNOWN:
        if re.search(pattern, said):
            return SiteUnreachable(sentence.format(**words), hint=hint.format(**words))
    return SiteUnreachable(f"the connection to {address} broke: {last}", hint=address.command())
