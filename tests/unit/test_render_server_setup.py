"""The script and the user data of a new server, as text."""

from __future__ import annotations

import pytest
from tests.unit.artifact_scenes import app, everything, service, store

from towline.artifacts import cloud_init
from towline.artifacts.rendered import Material
from towline.artifacts.server_setup import KEY_PLACEHOLDER
from towline.planner.model import Placement
from towline.spec.model import App, Site, Target

MOST = 16 * 1024
"""Bytes of user data that every provider takes: AWS is the strictest."""


def material(of: App, *sites: Site) -> Material:
    """Everything of an app on the first of some sites."""
    names = [*(one.name for one in of.services), *(one.name for one in of.stores)]
    target = Target("live", "vps", sites, dict.fromkeys(names, (sites[0].name,)), None)
    return Material(Placement(of, target), {}, (), {}, "shop")


def texts(of: App, *sites: Site) -> dict[str, str]:
    return {file.path: file.text for file in cloud_init.files(material(of, *sites))}


def test_only_servers_of_ones_own_are_set_up() -> None:
    """A platform sets its machines up itself; each of several servers has files of its own name."""
    assert texts(everything(), Site("cloud", "render")) == {}
    several = texts(everything(), Site("a", "host"), Site("b", "host"), Site("cloud", "render"))
    assert sorted(several) == ["cloud-init.a.yaml", "cloud-init.b.yaml", "server-setup.a.sh", "server-setup.b.sh"]


def test_user_data_holds_the_same_script_and_is_small_enough() -> None:
    """What a new server runs is what one that runs already is given, and every provider takes it."""
    found = texts(everything(), Site("box", "host"))
    script = found["server-setup.sh"]
    inside = "".join(f"      {line}\n" if line else "\n" for line in script.splitlines())
    assert inside in found["cloud-init.yaml"]
    assert found["cloud-init.yaml"].startswith("#cloud-config\n")
    assert found["cloud-init.yaml"].count(KEY_PLACEHOLDER) == 1
    assert len(found["cloud-init.yaml"].encode()) < MOST
    assert "@" not in script.replace("deploy@", "").replace('"$@"', "")


@pytest.mark.parametrize(
    ("options", "user", "port"),
    [
        ({}, "deploy", "22"),
        ({"ssh": "root@203.0.113.7"}, "deploy", "22"),
        ({"ssh": "ada@203.0.113.7:2222"}, "ada", "2222"),
        ({"ssh": "ada@2001:db8::7"}, "ada", "22"),
        ({"ssh": "box", "port": "2200"}, "deploy", "2200"),
    ],
)
def test_who_deploys_and_where_ssh_listens(options: dict[str, str], user: str, port: str) -> None:
    """The account is the one that the page names, never root, whose login is closed; SSH's own port stays open."""
    script = texts(everything(), Site("box", "host", options))["server-setup.sh"]
    assert f"id {user} >/dev/null" in script
    assert f"ufw allow {port}/tcp" in script
    assert f"port = {port}\n" in script


def test_the_kernel_forks_for_redis_only_where_there_is_one() -> None:
    """Memory is promised beyond what is there only where a Redis has to fork to save."""
    with_redis = texts(app(service("api"), stores=(store("jobs", "redis"),)), Site("box", "host"))
    without = texts(app(service("api"), stores=(store("db", "postgres"),)), Site("box", "host"))
    assert "vm.overcommit_memory = 1" in with_redis["server-setup.sh"]
    assert "overcommit" not in without["server-setup.sh"]


def test_keys_come_before_the_door_is_closed() -> None:
    """SSH is closed to passwords last, after everything that can fail."""
    steps = texts(everything(), Site("box", "host"))["server-setup.sh"].rsplit("\n\nif ", 1)[1].splitlines()[1:-1]
    names = [line for line in steps if line and not line.startswith("#")]
    assert names[0] == "packages"
    assert names[-1] == "ssh_keys_only"
    assert names.index("engine") < names.index("account") < names.index("firewall")
