"""A machine before it is a site: looked at, asked, and given the steps that harden it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from towline.core.errors import SiteUnreachable
from towline.drivers.host.driver import HostSite
from towline.drivers.host.harden.fragments import program_of
from towline.drivers.host.harden.questions import questions_program, read_answers
from towline.drivers.host.host_facts import look_program, parse
from towline.drivers.host.outside import Outside
from towline.drivers.host.ssh import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.core.events import Listener
    from towline.drivers.host.address import Address
    from towline.steps.driver import Driver
    from towline.steps.ensure import Ensure
    from towline.steps.machine import Machine, Seen

HOME: Final = "/var/lib/towline/.provision"
"""Where the machine keeps the journal and the lock of its own provisioning; no app has a name with a dot."""

_LOOK_WITHIN: Final = 60.0
_ASK_WITHIN: Final = 120.0
_BACK: Final = "systemctl is-active --quiet towline-way-back.timer && systemctl start towline-way-back.service"


class BareHost:
    """A BareMachine over SSH, which `deployer` enters once it is hardened.

    `link` leads to `address`; `options` are ssh options that go before the user's own configuration.
    """

    def __init__(
        self, address: Address, deployer: str, listener: Listener, *, options: Sequence[str], link: Connection
    ) -> None:
        self._address, self._deployer, self._listener, self._options = address, deployer, listener, tuple(options)
        self._link = link

    @property
    def address(self) -> str:
        """How a person writes it."""
        return str(self._address)

    def look(self) -> Machine:
        """What it is.

        Once it is hardened root gets in no more. So where root, or nobody by name, was asked for in vain, the deployer
        is tried before that is said.
        """
        try:
            return self._looked()
        except SiteUnreachable as error:
            if self._address.user not in (None, "root"):
                raise
            self._link.close()
            self._address = replace(self._address, user=self._deployer)
            self._link = Connection(self._address, self._listener, options=self._options)
            try:
                return self._looked()
            except SiteUnreachable:
                raise error from None

    def _looked(self) -> Machine:
        answer = self._link.run(look_program(), within=_LOOK_WITHIN)
        if answer.timed_out:
            raise SiteUnreachable(
                f"{self._address} did not say what it is within {_LOOK_WITHIN:g} s", hint=self._address.command()
            )
        return parse(answer.text)

    def ask(self, steps: Sequence[Ensure]) -> tuple[Seen, ...]:
        """Whether each step holds."""
        answer = self._link.run(questions_program(steps), within=_ASK_WITHIN)
        return read_answers(answer.text, len(steps))

    def sites(self, host: str, here: str) -> Mapping[str, Driver]:
        """The machine, and the operator's side of it."""
        machine = HostSite(self._link, HOME, site=host, programs={"ensure": program_of})
        return {host: machine, here: Outside(self._address, site=here, ssh=("ssh", *self._options))}

    def put_back(self) -> bool:
        """Start what the timer would start."""
        return self._link.run(_BACK, within=30.0).status == 0

    def close(self) -> None:
        """End the connection."""
        self._link.close()
