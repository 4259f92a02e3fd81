"""Where everything goes, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.artifact_scenes import app, service, store

from towline.core.errors import Findings
from towline.planner.place import place
from towline.spec.model import Site, Target

A, B = Site("a", "local"), Site("b", "local")
APP = app(
    service("api"),
    service("clock", "worker", single=True),
    service("index", "stateful", port=7700),
    service("gen", "worker"),
    stores=(store("db", "postgres"), store("jobs", "redis")),
)
ONE = dict.fromkeys(("api", "clock", "index", "gen", "db", "jobs"), ("a",))


def target(**moved: tuple[str, ...]) -> Target:
    return Target("prod", "hybrid", (A, B), {**ONE, **moved}, None, line=12)


def test_everything_is_where_the_target_says() -> None:
    """In the order of the app, on each site that is named, on no other."""
    placement = place(APP, target(gen=("b",), api=("b", "a"), jobs=("b",)))
    assert [one.name for one in placement.services_on(A)] == ["api", "clock", "index"]
    assert [one.name for one in placement.services_on(B)] == ["api", "gen"]
    assert [one.name for one in placement.stores_on(A)] == ["db"]
    assert [one.name for one in placement.stores_on(B)] == ["jobs"]
    assert (placement.app, placement.target.name) == (APP, "prod")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("db", "a store keeps its data in one place"),
        ("clock", "it is `single`: never two at once"),
        ("index", "its data is in one place"),
    ],
)
def test_what_can_only_be_once_is_refused_twice(name: str, reason: str) -> None:
    """With the reason, the line, and what to write instead."""
    with pytest.raises(Findings) as caught:
        place(APP, target(**{name: ("b", "a")}))
    (finding,) = caught.value.findings
    assert finding.code == "one-site-only"
    assert finding.sentence == f"`{name}` is placed on b, a, and {reason}"
    assert str(finding.where) == "towline.yaml:12"
    assert finding.hint == f"place it on one site: `place: {{{name}: b}}`"
    assert finding.level == "error"


def test_all_mistakes_are_told_at_once() -> None:
    """Not one a run; what may be on several sites is not among them."""
    both = ("a", "b")
    with pytest.raises(Findings) as caught:
        place(APP, target(db=both, jobs=both, clock=both, index=both, api=both, gen=both))
    assert [one.sentence.split("`")[1] for one in caught.value.findings] == ["db", "jobs", "clock", "index"]


def test_one_mistake_is_told_once() -> None:
    """A stateful service that is `single` too has one mistake and not two."""
    single = replace(APP, services=tuple(replace(one, single=True) for one in APP.services))
    with pytest.raises(Findings) as caught:
        place(single, target(index=("a", "b")))
    assert len(caught.value.findings) == 1
