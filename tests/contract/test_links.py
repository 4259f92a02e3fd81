"""What two hosts of a target use of each other, and what becomes of it: links, containers, settings, findings."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.render_scenes import ENV, material

from towline.artifacts import links
from towline.artifacts.host_bundle import Making, site_bundle
from towline.artifacts.model import Bundle
from towline.core.errors import Findings
from towline.core.secret import Secret
from towline.drivers.host.containers import start_instance
from towline.ops.links import address_of, told_values
from towline.ops.render import material_of
from towline.ops.secrets import wanted_by
from towline.release.build import build
from towline.spec.model import Site
from towline.steps.kinds import StartInstance
from towline.steps.links import interface_of
from towline.steps.model import Facts
from towline.steps.show import plan_lines

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.model import SiteBundle
    from towline.artifacts.rendered import Material
    from towline.steps.kinds import Instance

VALUE = "a-value-that-nobody-may-see"
TARGETS = """targets:
  two:
    shape: vps
    sites: {box: {kind: host, ssh: a@192.0.2.1}, back: {kind: host, ssh: a@192.0.2.2}}
    place: {PLACE, "*": box}
"""
KEYS = {"box": "key of box", "back": "key of back"}
ENDPOINTS = {"box": "192.0.2.1", "back": "2001:db8::2"}


def spread(checkout: Path, folder: Path, place: str) -> Material:
    """Cooly with its services over two hosts."""
    page = (checkout / "examples" / "cooly" / "towline.yaml").read_text().partition("targets:")[0]
    page += "release: {in: api, run: node dist/migrate.js}\n"
    return material(checkout, "cooly", "two", folder, page + TARGETS.replace("PLACE", place))


def bundles(made: Material) -> dict[str, SiteBundle]:
    known = {
        one.setting: Secret(VALUE) for one in made.variables if one.setting and one.setting not in links.told(made)
    }
    told = {"REGISTRY": "registry.example", "VERSION": "7", "PUBLIC_HOST": "shop.example"}
    known |= {name: Secret(text) for name, text in told.items()}
    known |= told_values(made, known)
    names = [one.name for one in made.target.sites]
    ends = links.links(
        made, {name: f"key of {name}" for name in names}, dict(zip(names, ENDPOINTS.values(), strict=True))
    )
    return {
        site.name: site_bundle(Making(made, site, {}, known, b"salt", link=ends.get(site.name)))
        for site in made.target.sites
    }


def one_of(part: SiteBundle, service: str) -> Instance:
    return next(copy for one in part.services for copy in one.instances if one.name == service)


def test_a_worker_elsewhere_finds_stores_under_their_own_names(checkout: Path, tmp_path: Path) -> None:
    """Its names lead to the address in the link; the stores are open there and nowhere else, for it alone."""
    made = spread(checkout, tmp_path, "gen: back")
    parts = bundles(made)
    front, back = parts["box"].link, parts["back"].link
    assert front is not None
    assert back is not None
    assert {one.name: one.users for one in front.openings} == dict.fromkeys(("db", "queue", "media"), (back.address,))
    assert back.openings == ()
    assert [one.endpoint for one in front.peers] == [f"[2001:db8::2]:{front.port}"]
    gen = one_of(parts["back"], "gen").container
    assert gen is not None
    assert dict(gen.hosts) == dict.fromkeys(("db", "queue", "media"), front.address)
    for store in parts["box"].stores:
        container = store.server.container
        assert container is not None
        assert [one.rpartition(":")[0] for one in container.published] == [front.address]
        assert [one.inward for one in container.networks] == [False, True]
    environment = next(
        one.reveal() for digest, one in parts["back"].contents.items() if digest == one_of(parts["back"], "gen").env
    )
    assert f"{VALUE}@db:5432/" in environment


def test_hosts_that_share_nothing_have_no_link(checkout: Path, tmp_path: Path) -> None:
    """One host, and two that only a browser connects."""
    alone = material(checkout, "cooly", "alone", tmp_path)
    assert (links.uses(alone), links.told(alone), links.linked_sites(alone)) == ((), {}, ())
    assert links.links(alone, {}, {}) == {}


def test_what_the_link_knows_nobody_has_to_give(checkout: Path, tmp_path: Path) -> None:
    """The addresses of stores are asked of nobody; their passwords are made once."""
    made = spread(checkout, tmp_path, "gen: back")
    wanted = wanted_by(made)
    assert links.told(made).keys() <= wanted.keys()
    assert all(wanted[name].optional for name in links.told(made))
    assert wanted["DB_PASSWORD"].generated
    values = told_values(made, {})
    assert not [name for name in values if "PASSWORD" in name]


def test_addresses_are_of_the_target_and_of_the_place_in_it(checkout: Path, tmp_path: Path) -> None:
    """Private, the same each time, others for another target; the interface's name fits Linux."""
    made = spread(checkout, tmp_path, "gen: back")
    ends = links.links(made, KEYS, ENDPOINTS)
    again = links.links(made, KEYS, ENDPOINTS)
    assert ends == again
    addresses = [ipaddress.ip_address(one.join.address) for one in ends.values()]
    assert all(one in ipaddress.ip_network("10.192.0.0/10") for one in addresses)
    assert len(set(addresses)) == 2
    other = replace(made, placement=replace(made.placement, target=replace(made.target, name="test")))
    assert links.links(other, KEYS, ENDPOINTS)["box"].join.address != ends["box"].join.address
    assert {len(interface_of(app, "production")) for app in ("a", "a" * 40)} == {13}


@pytest.mark.parametrize(
    ("place", "keys", "code"),
    [
        ("gen: back", {"box": "key of box"}, "link-key"),
        ("gen: back", {}, "link-key"),
    ],
)
def test_what_is_in_the_way_of_a_link_is_told(
    checkout: Path, tmp_path: Path, place: str, keys: dict[str, str], code: str
) -> None:
    """Each with what to do about it."""
    made = spread(checkout, tmp_path, place)
    with pytest.raises(Findings) as told:
        links.links(made, keys, ENDPOINTS)
    assert {one.code for one in told.value.findings} == {code}
    assert all(one.hint for one in told.value.findings)


def test_a_port_is_open_at_one_address(checkout: Path, tmp_path: Path) -> None:
    """The engine is asked for the address of the link, and for a network that leads in only."""
    parts = bundles(spread(checkout, tmp_path, "gen: back"))
    front = parts["box"].link
    assert front is not None
    db = next(one.server for one in parts["box"].stores if one.server.name == "db")
    program = start_instance(StartInstance(db)).apply
    assert f"--publish {front.address}:5432:5432/tcp" in program
    assert "enable_ip_masquerade=false" in program
    gen = one_of(parts["back"], "gen")
    assert f"--add-host db:{front.address}" in start_instance(StartInstance(gen)).apply


def test_the_release_command_runs_once(checkout: Path, tmp_path: Path) -> None:
    """Though its service is on both hosts."""
    made = spread(checkout, tmp_path, "api: [box, back], gen: back")
    parts = bundles(made)
    assert [name for name, part in parts.items() if part.release_task is not None] == ["box"]


def test_a_host_without_an_address_is_told_of() -> None:
    """WireGuard wants an address: a name that nobody knows is none, nor is one of this machine alone."""
    options = {"ssh": "deploy@box.invalid"}
    assert address_of(Site("box", "host", options)) is None
    assert address_of(Site("box", "host", {"ssh": "deploy@localhost"})) is None
    assert address_of(Site("box", "host", options | {"address": "192.0.2.7"})) == "192.0.2.7"
    assert address_of(Site("box", "host", options | {"address": "192.0.2.7", "link_address": "10.0.0.2"})) == "10.0.0.2"


COMPOSE = """
services:
  api: {image: cards:1, command: ./api, ports: ["8000:8000"]}
  prices: {image: cards:1, command: ./prices, expose: ["8000"]}
  render: {image: cards:1, command: ./render}
  sweep: {image: cards:1, command: ./sweep}
  db: {image: "postgres:18"}
  queue: {image: "valkey/valkey:9"}
"""


def test_the_plan_in_the_guide_is_the_plan(checkout: Path, tmp_path: Path) -> None:
    """The page as it stands there gives the first two stages as they stand there."""
    guide = (checkout / "docs" / "guides" / "several-hosts.md").read_text()
    page = guide.partition("```yaml file=towline.yaml\n")[2].partition("```")[0]
    shown = guide.partition("```text plan\n")[2].partition("```")[0]
    (tmp_path / "towline.yaml").write_text(page)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    made = material_of(tmp_path, "production", tmp_path / "deploy", env=ENV)
    parts = tuple(bundles(made).values())
    plan = build(Bundle("cards", "production", parts), {one.site: Facts(one.site) for one in parts})
    lines = plan_lines(plan)
    assert "\n".join(lines[1:7]) + "\n" == shown
