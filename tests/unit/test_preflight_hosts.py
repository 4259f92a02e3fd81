"""What a host's facts say against a deploy: each number by itself, and all of them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.model import Bundle, SiteBundle
from towline.artifacts.rendered import Variable
from towline.core.errors import Where
from towline.ops import preflight_hosts
from towline.ops.deploy import Prepared
from towline.spec.model import Site
from towline.steps.door import OpenMachineDoor
from towline.steps.kinds import Instance, Probe, StartInstance
from towline.steps.model import Batch, Facts, Plan, Room, Stage

if TYPE_CHECKING:
    from typing import Any

SITE = Site("box", "host", {"ssh": "deploy@192.0.2.1"})
WELL = Room(disk_free=10**10, memory_free=10**9, engine="20.10.24", api="1.41", skew=0.4)


def codes(room: Room) -> list[tuple[str, str]]:
    return [(one.code, one.level) for one in preflight_hosts._ground(SITE, Facts("box", room=room))]


def test_names_that_no_shell_takes_are_told_before_anything_is_done() -> None:
    """Each with a name that will do; those of a build as well."""
    known = [Variable("api", name, "spelled", value="x") for name in ("spring.datasource.url", "A_B2", "9lives", "a-b")]
    found = list(preflight_hosts.variable_names([*known, Variable("api", "to.build", "asked", build=True)]))
    assert [one.code for one in found] == ["variable-name"] * 4
    assert [str(one.hint).split()[0] for one in found] == ["SPRING_DATASOURCE_URL", "_9LIVES", "A_B", "TO_BUILD"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"disk_free": 10**9}, [("host-disk-full", "error")]),
        ({"engine": "", "api": ""}, [("host-no-engine", "error")]),
        ({"api": "1.40"}, [("host-no-engine", "error")]),
        ({"api": "1.100"}, []),
        ({"skew": -90.0}, [("host-clock", "warning")]),
        ({"skew": 4000.0}, [("host-clock", "error")]),
        (
            {"disk_free": 1, "engine": "", "skew": 40.0},
            [("host-disk-full", "error"), ("host-no-engine", "error"), ("host-clock", "warning")],
        ),
    ],
)
def test_the_ground_of_a_host(change: dict[str, Any], found: list[tuple[str, str]]) -> None:
    """Each number has a limit, and all that is wrong is told at once."""
    assert codes(replace(WELL, **change)) == found


@pytest.mark.parametrize(("each", "found"), [(400_000_000, []), (600_000_000, ["host-memory-short"])])
def test_memory_of_what_starts_beside(each: int, found: list[str]) -> None:
    """By the limits of two copies, against what is free while the old ones run."""
    copies = [Instance(f"api.{n}", "api", "r1", "service", Probe("lives", 1.0), memory=each) for n in (1, 2)]
    batch = Batch("box", 0, tuple(StartInstance(one) for one in copies))
    plan = Plan("shop", "test", 1, "deploy", (Stage("start", (batch,)),), {})
    told = list(preflight_hosts._memory(plan, {"box": Facts("box", room=WELL)}))
    assert [one.code for one in told] == found
    assert all("1.2 GB" in one.sentence for one in told)


@pytest.mark.parametrize("door", [OpenMachineDoor(1, "caddy:2", "acme"), None])
def test_a_port_of_the_door_that_somebody_else_has(door: OpenMachineDoor | None) -> None:
    """The holder is named; a host without a front door does not need the port."""
    seen = {"box": Facts("box", room=replace(WELL, holders={80: "nginx (pid 7)"}))}
    part = SiteBundle("box", (), (), None, None, None, {}, machine_door=door)
    plan = Plan("shop", "test", 1, "deploy", (), {})
    told = list(preflight_hosts._ports(Prepared(plan, seen, Bundle("shop", "test", (part,)), {}), seen))
    assert [one.sentence for one in told] == (
        ["port 80 is taken by nginx (pid 7), and the front door needs it"] if door else []
    )


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ({"shop.example": {"192.0.2.1"}}, None),
        ({"shop.example": {"198.51.100.1"}}, "leads to 198.51.100.1"),
        ({}, "is not known to the name servers"),
    ],
)
def test_a_domain_that_leads_elsewhere(
    addresses: dict[str, set[str]], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record to set is named."""
    monkeypatch.setattr(preflight_hosts, "_addresses", lambda name: addresses.get(name, set()))
    told = list(preflight_hosts._leads("shop.example", {"192.0.2.1", "2001:db8::1"}, Where("box")))
    assert [one.hint for one in told] == ([] if found is None else ["the record to set: shop.example. A 192.0.2.1"])
    assert all(found in one.sentence for one in told if found)
