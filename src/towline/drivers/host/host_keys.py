"""The key of a machine that is new here: taken in only with the fingerprint that a person has compared."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Refused, SiteUnreachable
from towline.core.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.drivers.host.address import Address

_SCAN_WITHIN = 10


def take_in(address: Address, fingerprint: str, options: Sequence[str]) -> None:
    """Write the key with this fingerprint (`SHA256:...`) into the known hosts; one that is known stays.

    Raises Refused when the machine shows only others, SiteUnreachable when it shows none.
    """
    settings = _settings(address, options)
    name = _name(settings)
    file = Path(settings["userknownhostsfile"].split()[0])
    if run(("ssh-keygen", "-F", name, "-f", str(file)), within=_SCAN_WITHIN).status == 0:
        return
    shown = _scanned(address, settings)
    if fingerprint not in shown:
        raise Refused(
            f"{address.host} shows {', '.join(sorted(shown))}, and not {fingerprint}; nothing was done",
            hint="compare it with what the machine's seller shows",
        )
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("a") as handle:
        handle.write(f"{name} {shown[fingerprint]}\n")


def fingerprint_of(key: str) -> str:
    """`SHA256:...` of the key in `KIND BASE64`, as ssh shows it. ValueError for what is no key."""
    try:
        content = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ValueError(f"{key!r} is no key") from error
    return f"SHA256:{base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')}"


def _settings(address: Address, options: Sequence[str]) -> dict[str, str]:
    """What ssh itself would use, the user's configuration included."""
    asked = run(("ssh", *options, "-G", *address.arguments()), within=_SCAN_WITHIN)
    if asked.status != 0:
        raise SiteUnreachable(f"ssh cannot use its own configuration for {address}", hint=address.command())
    return {name: rest for name, _, rest in (line.partition(" ") for line in asked.stdout.splitlines())}


def _name(settings: dict[str, str]) -> str:
    if alias := settings.get("hostkeyalias"):
        return alias
    host, port = settings["hostname"], settings["port"]
    return host if port == "22" else f"[{host}]:{port}"


def _scanned(address: Address, settings: dict[str, str]) -> dict[str, str]:
    """Fingerprint to key, of every key that the machine shows to a stranger."""
    argv = ("ssh-keyscan", "-T", str(_SCAN_WITHIN), "-p", settings["port"], "--", settings["hostname"])
    asked = run(argv, within=3 * _SCAN_WITHIN)
    keys = [line.split(" ", 1)[1] for line in asked.stdout.splitlines() if " " in line and not line.startswith("#")]
    if not keys:
        raise SiteUnreachable(
            f"{address.host} shows no host key: nothing listens for ssh there", hint=address.command()
        )
    return {fingerprint_of(key): key for key in keys}
