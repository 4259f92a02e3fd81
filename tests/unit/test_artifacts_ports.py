"""Ports of a site: remembered ones stay, new ones are free and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.artifact_scenes import addresses, app, everything, facts, made, service, store

from towline.artifacts.ports import Ports
from towline.core.errors import SiteUnreachable
from towline.steps.model import InstanceFact, Room


def test_a_remembered_port_stays() -> None:
    """Also of what does not run at the moment, and also where other ports are free."""
    ports = Ports(facts(ports={"db": 20017}))
    assert [ports.kept("db"), ports.kept("db")] == [20017, 20017]


def test_a_running_instance_keeps_its_port() -> None:
    """Its address is in use: a plan that changes nothing must not move it."""
    ports = Ports(facts(instances=(InstanceFact("api.aa.1", "api", "aa", "ready", port=20003),)))
    assert ports.of_instance("api.aa.1") == 20003
    assert ports.of_instance("api.bb.1") == 20000
    assert ports.of_instance("api.bb.1") == 20000


def test_an_instance_without_a_port_takes_none_away() -> None:
    """A worker listens nowhere; once it wants a port it gets one."""
    ports = Ports(facts(instances=(InstanceFact("gen.aa.1", "gen", "aa", "ready"),)))
    assert ports.of_instance("gen.aa.1") == 20000


def test_best_ports_go_first() -> None:
    """In the order in which the site names them."""
    ports = Ports(facts(room=Room(ports=(20030, 20001, 20020))))
    assert [ports.kept("a"), ports.of_instance("b"), ports.kept("c")] == [20030, 20001, 20020]


def test_no_free_port_is_an_error_that_names_the_site() -> None:
    """And says what to look at."""
    ports = Ports(facts(room=Room(ports=(20000,)), ports={"old": 20000}))
    with pytest.raises(SiteUnreachable, match="site `local` has no free port left") as caught:
        ports.kept("new")
    assert caught.value.hint == "towline status"


@settings(deadline=None)
@given(
    kept=st.dictionaries(st.sampled_from("abcdef"), st.integers(20000, 20020), max_size=4),
    running=st.dictionaries(st.sampled_from("uvwxyz"), st.integers(20000, 20020), max_size=4),
    asked=st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefuvwxyz")), max_size=20),
)
def test_new_ports_are_nobody_elses(
    kept: dict[str, int], running: dict[str, int], asked: list[tuple[bool, str]]
) -> None:
    """Whatever is remembered and runs: a new port is never one of these, nor given twice."""
    instances = tuple(InstanceFact(name, name, "r", "ready", port) for name, port in running.items())
    ports = Ports(facts(instances=instances, ports=kept, room=Room(ports=tuple(range(20000, 20060)))))
    given_out = {one: (ports.of_instance if one[0] else ports.kept)(one[1]) for one in asked}
    new = [port for (inst, name), port in given_out.items() if name not in (running if inst else kept)]
    assert len(set(new)) == len(new)
    assert not {*new} & {*kept.values(), *running.values()}
    assert all(port == kept[name] for (inst, name), port in given_out.items() if not inst and name in kept)


def test_all_ports_of_a_bundle_differ() -> None:
    """Door, stores, fixed addresses and instances: two of a kind would not start."""
    site = made(everything())
    assert site.door is not None
    found = [site.door.port, *(one.server.port for one in site.stores)]
    found += [one.port for part in site.services for one in part.instances if one.port is not None]
    found += list(addresses(everything()).ports.values())[3:]
    assert len(set(found)) == len(found)


def test_a_port_chosen_by_number_is_not_given_to_another() -> None:
    """The door's own port, or that of a service which always listens there, may be among the free ones."""
    of = app(service("api", port=20001, port_variable=None), service("web"), stores=(store("db", "postgres"),))
    site = made(of, port="20000")
    assert site.door is not None
    assert site.door.port == 20000
    assert site.stores[0].server.port == 20002
    listening = [one.port for part in site.services for one in part.instances]
    assert listening[0] == 20001
    ports = [site.door.port, site.stores[0].server.port, *listening, *addresses(of, port="20000").ports.values()]
    assert ports.count(20000) == ports.count(20001) == 1


def test_the_door_keeps_its_port_unless_one_is_chosen() -> None:
    """A bookmark stays good; a number in the page wins."""
    seen = facts(ports={"door": 20009})
    assert addresses(everything(), seen).door == 20009
    assert addresses(everything(), seen, port="8080").door == 8080
    assert addresses(everything()).door == 20000
