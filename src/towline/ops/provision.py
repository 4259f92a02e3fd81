"""A bare machine becomes a hardened one: look, ask, plan, act, and look again."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import CheckFailed, Refused, TowlineError
from towline.core.events import Noted
from towline.ops.recover import failed_step
from towline.ops.workspace import LEASE, owner
from towline.release.engine import run
from towline.release.lock import held
from towline.release.objections import objections
from towline.release.provision import HERE, HOST, parts, plan

if TYPE_CHECKING:
    from towline.core.errors import Finding
    from towline.core.events import Listener
    from towline.release.engine import Outcome
    from towline.release.provision import Part
    from towline.release.wishes import Wishes
    from towline.steps.ensure import Ensure, Item
    from towline.steps.machine import BareMachine, Machine, Seen
    from towline.steps.model import Plan


@dataclass(frozen=True)
class Survey:
    """A machine looked over: what it is, what it should have, and what was seen of each item.

    `against` is why nothing can be done as it is; then nothing was asked.
    """

    machine: Machine
    parts: tuple[Part, ...]
    seen: dict[Item, Seen]
    against: tuple[Finding, ...] = ()

    @property
    def items(self) -> tuple[tuple[Ensure, Seen], ...]:
        """Every item in order, with what was seen of it."""
        return tuple((step, self.seen[step.item]) for part in self.parts for step in part.steps)

    @property
    def lacking(self) -> tuple[Item, ...]:
        """The items that do not hold."""
        return tuple(step.item for step, seen in self.items if not seen.holds)

    def plan(self, wishes: Wishes, number: int = 1) -> Plan:
        """What is to be done; without a step when nothing is."""
        return plan(self.parts, self.lacking, self.machine, wishes, number)


def survey(machine: BareMachine, wishes: Wishes, *, remember: bool = True) -> Survey:
    """Look a machine over; changes nothing. `remember` as in `release.provision.parts`."""
    found = machine.look()
    parted = parts(found, wishes, remember=remember)
    if against := objections(found, machine.address):
        return Survey(found, parted, {}, against)
    steps = tuple(step for part in parted for step in part.steps)
    answers = machine.ask(steps)
    return Survey(found, parted, {step.item: seen for step, seen in zip(steps, answers, strict=True)})


def refuse(seen: Survey, address: str) -> None:
    """Raise Refused, with the first hint and all sentences, when something is against it."""
    if seen.against:
        told = "; ".join(one.sentence for one in seen.against)
        raise Refused(
            f"{address} cannot be provisioned as it is: {told}; nothing was changed", hint=seen.against[0].hint
        )


def provision(machine: BareMachine, seen: Survey, wishes: Wishes, listener: Listener) -> Outcome:
    """Carry out the plan, then ask every item again.

    Raises StepFailed when a step fails, after what could shut the operator out was put back; CheckFailed when an item
    does not hold in the end.
    """
    sites = machine.sites(HOST, HERE)
    with held(sites, owner(), LEASE, look=True) as hold:
        number = hold.seen[HOST].begun + 1
        outcome = run(seen.plan(wishes, number), sites, hold, sites[HOST], listener)
    if not outcome.ok:
        _put_back(machine, listener)
        raise failed_step(outcome)
    _see_all_hold(machine, seen)
    return outcome


def _put_back(machine: BareMachine, listener: Listener) -> None:
    """Not to wait for the timer; where this does not get through, the timer does it."""
    with contextlib.suppress(TowlineError):
        if machine.put_back():
            listener(Noted("sshd's and the firewall's files were put back as they were"))


def _see_all_hold(machine: BareMachine, seen: Survey) -> None:
    steps = tuple(step for step, _ in seen.items)
    answers = machine.ask(steps)
    wrong = [f"{step.title}: {now.saw}" for step, now in zip(steps, answers, strict=True) if not now.holds]
    if wrong:
        raise CheckFailed(
            f"{len(wrong)} of {len(steps)} items do not hold in the end: {'; '.join(wrong)}",
            hint="towline provision HOST --check",
        )
