"""A driver under contract, an operator with its lock, and the tiny app: what the contract is written with."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.contract.driver_cases import SITE, DriverCase, TinyApp

from towline.core.errors import LockHeld
from towline.release.build import build
from towline.release.engine import run
from towline.release.journal import read
from towline.release.lock import held
from towline.steps.kinds import (
    ConfigureDoor,
    EndSite,
    StartInstance,
    WaitReady,
)
from towline.steps.model import Batch, Lease, Line, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from towline.artifacts.model import Bundle
    from towline.release.engine import Outcome
    from towline.release.journal import State
    from towline.steps.driver import Driver
    from towline.steps.kinds import AnyStep, Instance


PATIENCE = 30.0
"""Seconds after which a test gives up waiting for a lease to run out."""
NOW = "2026-01-31T12:00:00.000+00:00"
OWNERS = ("operator", "ann@laptop pid 1", "bob@desk pid 2")


class Running(NamedTuple):
    """What a person would call the state of a site: copies by name with their revision and state, and traffic."""

    instances: frozenset[tuple[str, str, str]]
    upstreams: frozenset[tuple[str, tuple[str, ...]]]


class Bench:
    """A driver over a folder, an operator with its lock, and the tiny app."""

    def __init__(self, case: DriverCase, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.driver: Driver = case.open(folder)
        self._stages = 0

    @property
    def app(self) -> TinyApp:
        """The app, with the ports that are free now."""
        return TinyApp(self.folder / "app", self.driver.observe())

    def again(self) -> Driver:
        """Another process's view of the same site."""
        return self.case.open(self.folder)

    def carry(self, *steps: AnyStep, app: TinyApp | None = None, run_name: str = "1") -> list[Line]:
        """Steps as one batch, each line in the journal by the time it is seen."""
        with held({SITE: self.driver}, "operator") as hold:
            lease = hold.leases[SITE]
            if app is not None:
                self.driver.stash(app.contents, lease)
            lines = []
            self._stages += 1
            for line in self.driver.carry_out(Batch(SITE, self._stages, steps), lease, run_name):
                written = self.again().journal()
                assert line in written if self.case.ahead else line == written[-1]
                lines.append(line)
            return lines

    def done(self, *steps: AnyStep, app: TinyApp | None = None) -> list[Line]:
        """Steps that must succeed: their `done` lines."""
        lines = [line for line in self.carry(*steps, app=app) if line.event != "began"]
        assert [(line.event, line.sentence, line.evidence) for line in lines if line.event == "failed"] == []
        assert len(lines) == len(steps)
        return lines

    def plan(self, bundle: Bundle) -> Plan:
        """The plan of a deploy."""
        return build(bundle, {SITE: self.driver.observe()})

    def deploy(self, revision: str, *, copies: int = 1, fixed: bool = False) -> Outcome:
        """From the tiny app in a revision to the site."""
        app = self.app
        bundle = app.bundle(revision, copies=copies, fixed=fixed)
        with held({SITE: self.driver}, "operator") as hold:
            self.driver.stash(app.contents, hold.leases[SITE])
            return run(self.plan(bundle), {SITE: self.driver}, hold, self.driver)

    def carry_out(self, plan: Plan) -> Outcome:
        """Run a plan under the lock."""
        with held({SITE: self.driver}, "operator") as hold:
            return run(plan, {SITE: self.driver}, hold, self.driver)

    def state(self) -> State:
        """The journal, folded, as another process reads it."""
        driver = self.again()
        return read(driver, {SITE: driver})

    def running(self) -> Running:
        """What runs, and where traffic goes."""
        facts = self.driver.observe()
        alive = frozenset((one.name, one.revision, one.state) for one in facts.instances if one.state != "stopped")
        return Running(alive, frozenset((name, to) for name, to in facts.upstreams.items() if to))


def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A fresh site, on which nothing is left running afterwards."""
    made = Bench(request.param, tmp_path)
    yield made
    driver = made.again()
    lease = _lease_of_whoever_holds(driver)
    assert [line.event for line in driver.carry_out(Batch(SITE, 0, (EndSite(),)), lease, "999")] == ["began", "done"]
    made.case.close(tmp_path)


def _lease_of_whoever_holds(driver: Driver) -> Lease:
    for owner in OWNERS[:-1]:
        with contextlib.suppress(LockHeld):
            return driver.acquire(owner, 60.0)
    return driver.acquire(OWNERS[-1], 60.0)


def door_steps(app: TinyApp) -> tuple[AnyStep, ...]:
    door = app.door()
    return (StartInstance(door), WaitReady(door.name, 10.0), ConfigureDoor(app.routes()))


def start(*instances: Instance) -> tuple[AnyStep, ...]:
    waits = tuple(WaitReady(one.name, one.ready.within) for one in instances)
    return (*(StartInstance(one) for one in instances), *waits)


def to(*instances: Instance) -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{one.port}" for one in instances)


def ok(outcome: Outcome) -> None:
    assert outcome.ok, [(line.sentence, line.evidence) for line in outcome.failed]


def taken_over(bench: Bench) -> tuple[Lease, Lease]:
    """A lease that ran out, and the one of the operator who took over."""
    old = bench.driver.acquire("ann@laptop pid 1", 0.1)
    other, deadline = bench.again(), time.monotonic() + PATIENCE
    while True:
        try:
            return old, other.acquire("bob@desk pid 2", 60.0)
        except LockHeld:
            assert time.monotonic() < deadline
