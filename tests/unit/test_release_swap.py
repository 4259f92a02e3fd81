"""One service's swap, piece by piece; and the watchers that say when a plan does it wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.artifacts.model import ServiceArtifact
from towline.lab.fake import FakeSite
from towline.lab.invariants import ConfirmedFirst, NeverTwice, Served, Violated
from towline.release.swap import Swap, farewell, moved_away, swap, swap_server
from towline.steps.kinds import (
    ConfirmShift,
    ConfirmStopped,
    Drain,
    Instance,
    Probe,
    Shift,
    StartInstance,
    StopInstance,
    WaitReady,
)
from towline.steps.model import Batch, InstanceFact

HERE, THERE = ("127.0.0.1:1",), ("127.0.0.1:2",)
NEW = Instance(
    "api.r2.1", "api", "r2", "service", Probe("http", 30.0), port=2, command=("serve",), stop_within=12.0, drain=7.0
)
WANTED = ServiceArtifact("api", (NEW,), THERE, "beside", "", (), ())
OLD = InstanceFact("api.r1.1", "api", "r1", "ready", 1, drain=8.0, stop_within=15.0)
WORKER = replace(NEW, port=None, drain=0.0, stop_within=120.0, ready=Probe("lives", 5.0))


def test_beside_is_six_steps_and_a_look() -> None:
    """Start, wait, shift, confirm, drain, stop, see it gone: each a piece of its own stage."""
    assert swap(WANTED, (OLD,), HERE) == Swap(
        start=(StartInstance(NEW), WaitReady("api.r2.1", 30.0, 7.0)),
        shift=(Shift("api", THERE), ConfirmShift("api", THERE)),
        drain=(Drain("api.r1.1", 8.0),),
        stop=(StopInstance("api.r1.1", 15.0), ConfirmStopped("api.r1.1")),
    )


def test_after_stops_first_and_requests_wait() -> None:
    """Hold the requests, stop, see it stopped; then start, wait, shift, confirm. The pause is said."""
    made = swap(replace(WANTED, swap="after", swap_reason="its port is fixed"), (OLD,), HERE)
    assert made.make_way == (Shift("api", ()), StopInstance("api.r1.1", 15.0), ConfirmStopped("api.r1.1"))
    assert made.come_back == (
        StartInstance(NEW),
        WaitReady("api.r2.1", 30.0, 7.0),
        Shift("api", THERE),
        ConfirmShift("api", THERE),
    )
    assert (made.start, made.shift, made.drain, made.stop) == ((), (), (), ())
    assert made.note == (
        "`api` pauses: its old copy stops before the new one starts (its port is fixed); "
        "requests wait at the front door meanwhile"
    )


def test_worker_has_no_traffic_and_its_longest_job_to_stop() -> None:
    """Nothing is shifted or drained; the old one may take as long as its own longest job, whatever the new one has."""
    old = replace(OLD, port=None, drain=0.0, stop_within=300.0)
    made = swap(replace(WANTED, instances=(WORKER,), upstreams=()), (old,), ())
    assert made == Swap(
        start=(StartInstance(WORKER), WaitReady("api.r2.1", 5.0)),
        stop=(StopInstance("api.r1.1", 300.0), ConfirmStopped("api.r1.1")),
    )


def test_nothing_changed_gives_nothing() -> None:
    """The wanted copy runs and has the traffic."""
    same = replace(OLD, name="api.r2.1", revision="r2", port=2)
    for way in ("beside", "after"):
        assert swap(replace(WANTED, swap="after" if way == "after" else "beside"), (same,), THERE) == Swap()


def test_order_of_addresses_is_no_change() -> None:
    """The same addresses in another order are the same addresses."""
    two = replace(WANTED, instances=(), upstreams=(*THERE, *HERE))
    assert swap(two, (), (*HERE, *THERE)).shift == ()


def test_after_without_an_old_copy_is_a_plain_start() -> None:
    """The first copy has nobody to make way for it; one that stopped by itself holds nothing either."""
    for running in ((), (replace(OLD, state="stopped"),)):
        made = swap(replace(WANTED, swap="after"), running, ())
        assert made.start
        assert not made.make_way


def test_after_that_moves_in_waits_for_the_other_site() -> None:
    """A service that must not run twice starts here in the stage after it stopped there."""
    after = replace(WANTED, swap="after")
    assert swap(after, (), (), moves_in=True).start == ()
    assert swap(after, (), (), moves_in=True).come_back[0] == StartInstance(NEW)
    assert moved_away(after, (OLD,), HERE).make_way[0] == Shift("api", ())


def test_crashed_copy_is_started_again_and_not_drained() -> None:
    """A copy under a wanted name that does not run is started; nothing else is touched."""
    made = swap(WANTED, (InstanceFact("api.r2.1", "api", "r2", "crashed", 2),), THERE)
    assert made == Swap(start=(StartInstance(NEW), WaitReady("api.r2.1", 30.0, 7.0)))


def test_same_name_with_another_revision_must_make_way() -> None:
    """Two copies of one name cannot live side by side, whatever the swap is called."""
    made = swap(WANTED, (replace(OLD, name="api.r2.1"),), HERE)
    assert made.make_way[-1] == ConfirmStopped("api.r2.1")


def test_farewell_ends_traffic_then_drains_then_stops() -> None:
    """A service that nobody wants loses its traffic first."""
    made = farewell("api", (OLD,), HERE)
    assert made.shift == (Shift("api", ()),)
    assert [step.kind for step in (*made.drain, *made.stop)] == ["drain", "stop-instance", "confirm-stopped"]


def test_server_of_another_revision_restarts() -> None:
    """A store keeps its name and its port: it stops before it starts, and the pause is said."""
    server = Instance("db", "db", "r2", "postgres", Probe("tcp", 30.0), port=5, stop_within=20.0)
    old = InstanceFact("db", "db", "r1", "ready", 5, stop_within=20.0)
    made = swap_server(server, (old,), "it restarts")
    assert made.make_way == (StopInstance("db", 20.0), ConfirmStopped("db"))
    assert made.come_back == (StartInstance(server), WaitReady("db", 30.0))
    assert made.note == "it restarts"
    assert swap_server(server, (replace(old, revision="r2"),), "it restarts") == Swap()


DOOR = Instance("door", "door", "1", "door", Probe("tcp", 5.0), port=80)


def carry(site: FakeSite, *steps: object) -> list[str]:
    lease = site.acquire("operator", 60.0)
    batch = Batch(site.site, 0, steps)  # type: ignore[arg-type]
    return [line.event for line in site.carry_out(batch, lease, "1")]


def first_copy() -> tuple[object, ...]:
    old = replace(NEW, name="api.r1.1", revision="r1", port=1)
    door = (StartInstance(DOOR), WaitReady("door", 5.0))
    return (*door, StartInstance(old), WaitReady(old.name, 5.0), Shift("api", HERE), ConfirmShift("api", HERE))


def test_watcher_sees_two_copies_of_a_single() -> None:
    """A plan that swaps a single service beside is caught at the start of the second copy."""
    site = FakeSite("box", watchers=(NeverTwice("api"),))
    with pytest.raises(Violated, match=r"api\.r1\.1, api\.r2\.1 run at once"):
        carry(site, *first_copy(), StartInstance(NEW))


def test_watcher_sees_requests_that_go_nowhere() -> None:
    """A plan that stops the old copy before the shift is caught at the stop."""
    site = FakeSite("box", watchers=(Served(),))
    with pytest.raises(Violated, match=r"requests go where nobody is, at `stop api\.r1\.1`"):
        carry(site, *first_copy(), StopInstance("api.r1.1", 1.0))


def test_watcher_sees_a_stop_before_the_confirmation() -> None:
    """A plan that folds the confirmation away is caught at the stop."""
    site = FakeSite("box", watchers=(ConfirmedFirst(),))
    steps = (StartInstance(NEW), WaitReady(NEW.name, 5.0), Shift("api", THERE), StopInstance("api.r1.1", 1.0))
    with pytest.raises(Violated, match=r"api\.r1\.1 is stopped before the shift of api was confirmed"):
        carry(site, *first_copy(), *steps)


@pytest.mark.parametrize(
    ("step", "evidence"),
    [
        (ConfirmShift("api", THERE), "it goes to"),
        (StartInstance(replace(NEW, name="other", port=1)), "it is held by api.r1.1"),
        (ConfirmStopped("api.r1.1"), ""),
        (WaitReady("nobody", 1.0), ""),
    ],
)
def test_fake_site_refuses_what_a_real_one_would(step: object, evidence: str) -> None:
    """Wrong traffic, a taken port, a copy that still runs or is not there: the step fails, with evidence."""
    site = FakeSite("box")
    assert carry(site, *first_copy(), step)[-1] == "failed"
    assert evidence in " ".join(site.journal()[-1].evidence)
