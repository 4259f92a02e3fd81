"""The whole bundle: stores, routes, the same for the same input, and no secret outside its contents."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.artifact_scenes import MACHINE, addresses, app, everything, facts, made, service, sources, store
from tests.unit.artifact_scenes import target as target_of
from tests.unit.artifact_scenes import values as values_of

from towline.artifacts.bundle import bundle
from towline.artifacts.model import SiteBundle
from towline.artifacts.proxy import main_service
from towline.core.secret import Secret
from towline.planner.place import place
from towline.steps.kinds import Probe

if TYPE_CHECKING:
    from towline.spec.model import App, Service


def routes(of: App) -> dict[str, object]:
    site = made(of, facts(ports={"door": 20010, "api": 20011, "inner": 20012, "files": 20013, "index": 20014}))
    found: dict[str, object] = json.loads(site.contents[str(site.routes)].reveal())
    return found


def test_routes_of_everything() -> None:
    """Public services by their name, private ones by their fixed address only, buckets straight to their port."""
    assert routes(everything()) == {
        "app": "shop",
        "port": 20010,
        "default": "page",
        "services": [
            {"name": "api", "kind": "proxy", "hosts": ["api.shop.localhost"], "slots": 12, "port": 20011},
            {"name": "files", "kind": "fixed", "hosts": ["files.shop.localhost"], "dial": "127.0.0.1:20013"},
            {"name": "index", "kind": "proxy", "hosts": [], "slots": 12, "port": 20014},
            {"name": "inner", "kind": "proxy", "hosts": [], "slots": 12, "port": 20012},
            {"name": "page", "kind": "files", "hosts": ["page.shop.localhost"]},
        ],
    }


@pytest.mark.parametrize(
    ("services", "name"),
    [
        ((service("api"), service("page", "static")), "page"),
        ((service("b"), service("a")), "b"),
        ((service("inner", "private"),), None),
        ((), None),
    ],
)
def test_the_first_thing_to_see(services: tuple[Service, ...], name: str | None) -> None:
    """A page, else the first web service of the file, never what is private."""
    assert main_service(services) == name


def test_routes_do_not_change_with_a_release() -> None:
    """New code moves upstreams, not routes: the door is left alone."""
    of = everything()
    assert made(of, given=sources(of, api="new", page="new")).routes == made(of).routes
    assert made(app(service("api", hostname="www"))).routes != made(app(service("api"))).routes


def test_the_door_is_one_instance_on_its_port() -> None:
    """Named after its port, since nothing else about it can change."""
    door = made(app(service("api")), port="8080").door
    assert door is not None
    assert (door.name, door.service, door.runs, door.port) == ("door", "door", "door", 8080)
    assert (door.revision, door.ready.kind) == ("8080", "tcp")


def test_stores_as_servers() -> None:
    """Each with its server, its data and what must exist in it; PostgreSQL ends by SIGINT."""
    db, jobs, files = made(everything()).stores
    assert [one.server.runs for one in (db, jobs, files)] == ["postgres", "redis", "bucket"]
    assert [one.holds_requests for one in (db, jobs, files)] == [False, False, True]
    assert [one.server.stop_signal for one in (db, jobs, files)] == ["INT", "TERM", "TERM"]
    assert [one.init.major for one in (db, jobs, files)] == ["18", "9", "4"]
    for one in (db, jobs, files):
        assert one.server.ready == Probe("tcp", within=30.0)
        assert one.prepare is not None
        assert one.server.name == one.init.store == one.prepare.store
        assert one.server.port == one.prepare.port
        assert one.server.settings == one.init.settings == one.prepare.settings
    assert {name: db.server.settings[name] for name in ("user", "database")} == {"user": "app", "database": "shop"}
    assert {name: jobs.server.settings[name] for name in ("use", "maxmemory")} == {"use": "queue", "maxmemory": "256mb"}
    bucket = {name: files.server.settings[name] for name in ("bucket", "public", "external_url")}
    assert bucket == {"bucket": "shop", "public": "p/", "external_url": "http://files.shop.localhost:20000"}


def test_public_says_nothing_and_everything() -> None:
    """No prefix at all keeps a bucket closed; the empty prefix opens it whole: they must not be mixed up."""
    closed, whole = (
        made(app(stores=(store("b", "bucket", public=public),))).stores[0].server.settings for public in (None, "")
    )
    assert "public" not in closed
    assert whole["public"] == ""


def test_a_redis_without_a_word_is_a_queue() -> None:
    """A cache that loses nothing is harmless; a queue that evicts is not."""
    uses = [
        made(app(stores=(store("q", "redis", use=use),))).stores[0].server.settings["use"] for use in (None, "cache")
    ]
    assert uses == ["queue", "cache"]


def test_secrets_of_stores_are_digests_that_lead_to_the_values() -> None:
    """The site can look each up, and the administrator's is another one than the app's."""
    of = everything()
    site = made(of)
    for one in site.stores:
        for name in ("password", "admin_password", "secret_key", "admin_secret_key"):
            if name in one.server.settings:
                found = site.contents[one.server.settings[name]]
                assert found == values_of(of)[f"{one.server.name}.{name}"]


def test_a_store_is_renamed_by_its_settings_and_port() -> None:
    """Another password or port means another start of the server; the same means none."""
    of = app(stores=(store("db", "postgres"),))
    plain = made(of).stores[0].server.revision
    assert made(of).stores[0].server.revision == plain
    assert made(of, facts(ports={"db": 20033})).stores[0].server.revision != plain
    assert made(app(stores=(store("db", "postgres", database="other"),))).stores[0].server.revision != plain
    assert made(of, facts(salt=Secret("another"))).stores[0].server.revision != plain


def test_every_digest_leads_to_contents() -> None:
    """Nothing on a site names contents that are not in the bundle."""
    site = made(everything())
    named = {one.env for part in site.services for one in part.instances}
    named |= {one.env for part in site.services for one in part.tasks}
    assert site.release_task is not None
    named |= {site.routes, site.release_task.env}
    assert None not in named
    assert named <= set(site.contents)
    assert all(secret.digest(b"salt") == digest for digest, secret in site.contents.items())


def test_no_secret_outside_the_contents() -> None:
    """Not in what is printed, not in what is written as JSON; a bucket's access key is its name, not its secret."""
    of = everything()
    whole = bundle(place(of, target_of(of)), facts(), values_of(of), sources(of), MACHINE)
    secret_values = {value.reveal() for name, value in values_of(of).items() if not name.endswith("access_key")}
    hidden = {*secret_values, "canary-environment", "canary-build", "canary-of-the-machine"}
    inside = " ".join(secret.reveal() for secret in whole.sites[0].contents.values())
    assert {one for one in hidden if one in inside} == hidden - {"canary-of-the-machine"}
    assert [field.repr for field in dataclasses.fields(SiteBundle) if field.name == "contents"] == [False]
    plain = dataclasses.asdict(replace(whole.sites[0], contents={}))
    for shown in (repr(whole), str(whole), json.dumps(plain), repr(dataclasses.asdict(whole))):
        assert not [one for one in hidden if one in shown]


names = st.text(alphabet="ABCDEFGH", min_size=1, max_size=3)


@settings(deadline=None)
@given(st.dictionaries(names, st.text(max_size=8), max_size=6), st.randoms(use_true_random=False))
def test_the_same_app_makes_the_same_bundle(environment: dict[str, str], chance: object) -> None:
    """Whatever the order of variables, values, identities and the machine's own environment."""
    pairs = list(environment.items())
    chance.shuffle(pairs)  # type: ignore[attr-defined]  # random.Random
    made_of = []
    for order in (list(environment.items()), pairs):
        secret = {name: Secret(value) for name, value in order}
        of = app(
            service("api", environment=secret, setup="make"),
            service("page", "static", build_environment=secret),
            stores=(store("db", "postgres"), store("b", "bucket")),
        )
        turned = slice(None, None, 1 if order is pairs else -1)
        values = dict(list(values_of(of).items())[turned])
        machine = dict(list({**MACHINE, "TZ": "UTC"}.items())[turned])
        made_of.append(bundle(place(of, target_of(of)), facts(), values, sources(of), machine))
    assert made_of[0] == made_of[1]
    assert made_of[0].sites[0].contents == made_of[1].sites[0].contents


def test_ports_of_what_runs_do_not_depend_on_each_other() -> None:
    """A second bundle with the ports of the first remembered is the first again."""
    of = everything()
    first = made(of)
    local = addresses(of)
    again = made(of, facts(ports={**local.ports, "door": local.door}))
    assert [one.server for one in again.stores] == [one.server for one in first.stores]
    assert [part.instances for part in again.services] == [part.instances for part in first.services]
    assert again.routes == first.routes
