"""The artifacts of a host: what the builder makes of them, and its front door as the real Caddy runs it."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.artifacts import host_door
from towline.artifacts.host_bundle import Making, site_bundle
from towline.artifacts.model import Bundle
from towline.core.secret import Secret
from towline.release.build import build
from towline.steps.door import MachineDoor, PublicNames
from towline.steps.kinds import Instance, RunTask, Shift, StartInstance
from towline.steps.model import Facts, InstanceFact, StoreFact, digest_of, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.model import SiteBundle
    from towline.steps.model import Plan

CADDY = str(Path(sys.executable).with_name("caddy"))
VALUE = "a-value-that-nobody-may-see"
TARGET = "alone"


@pytest.fixture
def making(checkout: Path, tmp_path: Path) -> Making:
    """Cooly on one host: two web services, a worker, a database, a queue, a public bucket."""
    made = material(checkout, "cooly", TARGET, tmp_path)
    values = {one.setting: Secret(VALUE) for one in made.variables if one.setting}
    told = {"REGISTRY": "registry.example", "VERSION": "7", "PUBLIC_HOST": "shop.example"}
    site = made.target.sites[0]
    return Making(made, site, {}, values | {name: Secret(text) for name, text in told.items()}, b"salt")


def planned(part: SiteBundle, facts: Facts) -> Plan:
    return build(Bundle("cooly", TARGET, (part,)), {facts.site: facts})


def as_running(part: SiteBundle) -> Facts:
    """What the host answers once all of the bundle runs."""
    servers = [*(one.server for one in part.stores), *((part.door,) if part.door else ())]
    instances = [*servers, *(copy for one in part.services for copy in one.instances)]
    return Facts(
        part.site,
        instances=tuple(_fact(one) for one in instances),
        stores=tuple(StoreFact(one.init.store, one.init.store_kind, one.init.major) for one in part.stores),
        upstreams={one.name: one.upstreams for one in part.services if one.upstreams},
        tasks={
            **{f"prepare:{one.prepare.store}": digest_of(one.prepare.settings) for one in part.stores if one.prepare},
            **{task.name: task.marker or "" for one in part.services for task in one.tasks},
        },
        names=part.names or PublicNames(),
        led_to=part.door.revision if part.door else None,
        machine_door=MachineDoor(part.machine_door.form, "acme") if part.machine_door else None,
    )


def _fact(one: Instance) -> InstanceFact:
    return InstanceFact(one.name, one.service, one.revision, "ready", drain=one.drain, stop_within=one.stop_within)


def test_no_value_is_in_the_plan_and_all_are_in_the_contents(making: Making) -> None:
    """What is secret is stashed; a plan holds digests."""
    part = site_bundle(making)
    plain = json.dumps(to_json(planned(part, Facts("box"))))
    assert VALUE not in plain
    assert any(VALUE in one.reveal() for one in part.contents.values())


def test_the_second_plan_is_empty_and_the_same_project_gives_the_same_one(making: Making) -> None:
    """Nothing changes where all runs as it should."""
    part = site_bundle(making)
    assert planned(part, as_running(part)).empty
    again = replace(making, contents={})
    assert planned(site_bundle(again), Facts("box")) == planned(part, Facts("box"))


def test_another_image_swaps_its_service_alone(making: Making) -> None:
    """New copies first, then the traffic, then the old ones; no store, no door, no other service is touched."""
    running = as_running(site_bundle(making))
    changed = replace(making, images={"api": "registry.example/cooly-api@sha256:1234"}, contents={})
    plan = planned(site_bundle(changed), running)
    assert {getattr(step, "service", "api") for step in plan.steps if isinstance(step, (Shift, RunTask))} == {"api"}
    started = [step.instance for step in plan.steps if isinstance(step, StartInstance)]
    assert [one.service for one in started] == ["api"]
    assert started[0].container is not None
    assert started[0].container.image == "registry.example/cooly-api@sha256:1234"
    kinds = [step.kind for step in plan.steps]
    assert kinds.index("wait-ready") < kinds.index("shift") < kinds.index("see-off")


def test_another_value_swaps_those_who_read_it(making: Making) -> None:
    """A new database password: the services bound to it, and the database is told; it does not restart."""
    running = as_running(site_bundle(making))
    values = {**making.values, "DB_PASSWORD": Secret("another")}
    plan = planned(site_bundle(replace(making, values=values, contents={})), running)
    started = {step.instance.service for step in plan.steps if isinstance(step, StartInstance)}
    assert started == {"api", "gen", "web"}
    assert [step.kind for step in plan.steps if step.kind == "prepare-store"] == ["prepare-store"]


def test_nothing_is_published_and_nothing_can_gain_rights(making: Making) -> None:
    """Stores are in internal networks of their own; each container is limited and confined."""
    part = site_bundle(making)
    servers = [*(one.server for one in part.stores), *(copy for one in part.services for copy in one.instances)]
    servers += [part.door] if part.door else []
    assert len(servers) > len(part.stores)
    for one in servers:
        assert one.container is not None
        assert one.container.published == ()
        assert one.container.memory
        assert one.container.pids > 0
    for store in part.stores:
        assert store.server.container is not None
        assert all(network.internal for network in store.server.container.networks)


def test_without_a_front_door_services_answer_to_their_own_names(checkout: Path, tmp_path: Path) -> None:
    """A host that browsers never reach: a private service is found by its name, and nothing is shifted."""
    page = (checkout / "examples" / "nutri" / "towline.yaml").read_text().partition("targets:")[0]
    page += "targets: {production: {shape: hybrid, sites: {cloud: {kind: render}, box: {kind: host, ssh: deploy@host}},"
    page += " place: {ml: box, '*': cloud}}}\n"
    made = material(checkout, "nutri", "production", tmp_path, page)
    values = {one.setting: Secret(VALUE) for one in made.variables if one.setting}
    told = {"REGISTRY": "registry.example", "VERSION": "7", "PUBLIC_HOST": "shop.example"}
    site = made.target.sites[1]
    part = site_bundle(Making(made, site, {}, values | {name: Secret(text) for name, text in told.items()}, b"salt"))
    (ml,) = part.services
    assert (part.door, ml.upstreams) == (None, ())
    assert ml.instances[0].container is not None
    assert [one.aliases for one in ml.instances[0].container.networks] == [("ml",)]


class _Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(self.connection.getsockname()[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def server() -> Iterator[int]:
    """A tiny web server that answers with its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Name) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made.server_port
        made.shutdown()


@contextmanager
def door(text: str, folder: Path) -> Iterator[int]:
    """Caddy with the door's configuration, its folder and its ports moved to where a test may have them."""
    port = free_port()
    slots = folder / "door"
    slots.mkdir()
    plain = json.loads(text.replace(f"{host_door.FOLDER}/", f"{slots}/"))
    plain["admin"] = {"disabled": True}
    servers = plain["apps"]["http"]["servers"]
    plain["apps"]["http"]["servers"] = {"front": {**servers["front"], "listen": [f"127.0.0.1:{port}"]}}
    (folder / "caddy.json").write_text(json.dumps(plain))
    with (folder / "caddy.log").open("wb") as log:
        argv = [CADDY, "run", "--config", str(folder / "caddy.json")]
        process = subprocess.Popen(argv, stdout=log, stderr=log, env={"HOME": str(folder)})
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_the_door_as_caddy_runs_it(making: Making, tmp_path: Path) -> None:
    """By name to each service; a shift is a rename; a request without an upstream waits; headers are added, not set."""
    part = site_bundle(making)
    assert part.door is not None
    text = part.contents[part.door.settings["routes"]].reveal()
    subprocess.run([CADDY, "validate", "--config", _written(text, tmp_path)], check=True, capture_output=True)
    with server() as one, server() as two, door(text, tmp_path) as port:

        def send(service: str, address: str) -> None:
            for number in range(1, host_door.SLOTS + 1):
                (tmp_path / "door" / "new").write_text(address)
                (tmp_path / "door" / "new").rename(tmp_path / "door" / host_door.slot(service, number))

        def ask(host: str) -> httpx.Response | None:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": host}, timeout=30)
            except httpx.TransportError:
                return None

        send("web", f"127.0.0.1:{one}")
        send("api", host_door.HOLD)
        answer = until(lambda: ask("shop.example"), "the door answers")
        assert answer.text == str(one)
        assert answer.headers[host_door.UPSTREAM_HEADER] == f"127.0.0.1:{one}"
        assert answer.headers["x-frame-options"] == "DENY", "what the app says stays"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
        held: list[httpx.Response | None] = []
        waiting = threading.Thread(target=lambda: held.append(ask("api.shop.example")))
        waiting.start()
        send("web", f"127.0.0.1:{two}")
        seen = ask("shop.example")
        assert seen is not None
        assert seen.text == str(two)
        assert not held
        send("api", f"127.0.0.1:{two}")
        waiting.join(30)
        assert held
        assert held[0] is not None
        assert held[0].text == str(two)


def _written(text: str, folder: Path) -> str:
    path = folder / "whole.json"
    path.write_text(text)
    return str(path)


def test_another_front_door_starts_beside_the_old_one(making: Making) -> None:
    """Names lead to the new one before the old one finishes and stops; no service is touched."""
    part = site_bundle(making)
    assert part.door is not None
    older = replace(part.door, name="caddy.older", revision="older")
    facts = as_running(replace(part, door=older))
    plan = planned(part, facts)
    kinds = [step.kind for step in plan.steps]
    assert kinds.index("start-instance") < kinds.index("wait-ready") < kinds.index("lead-names")
    assert kinds[kinds.index("lead-names") + 1 :][0] in ("drain", "see-off"), kinds
    assert {getattr(step, "name", part.door.name) for step in plan.steps} == {part.door.name, "caddy.older"}
    assert not [note for note in plan.notes if "restarts" in note]
