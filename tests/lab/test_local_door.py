"""The local site's front door: a shift loses no request, whatever is open; nothing ready means wait, not fail."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.local_lab import Lab, make_lab, until
from websockets.sync.client import connect

from towline.core.errors import StepFailed
from towline.drivers.local import sockets
from towline.steps.kinds import ConfigureDoor, ConfirmShift, ConfirmStopped, Drain, RunTask, Shift, StopInstance
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

API = "api.lab.localhost"
WEB = "web.lab.localhost"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A front door with one service behind it, one static site, and one service for other services only."""
    lab = make_lab(tmp_path_factory.mktemp("door"))
    try:
        lab.start(lab.door())
        lab.route(*routes(lab), default="api")
        yield lab
    finally:
        lab.close()


def routes(lab: Lab) -> list[dict[str, object]]:
    """What the door leads to."""
    return [
        {"name": "api", "kind": "proxy", "hosts": [API], "slots": 4, "port": lab.port("api inside")},
        {"name": "gen", "kind": "proxy", "hosts": [], "slots": 2, "port": lab.port("gen inside")},
        {"name": "web", "kind": "files", "hosts": [WEB]},
    ]


def get(lab: Lab, path: str = "/", host: str = API, **more: float) -> httpx.Response:
    """One request through the door, as a browser would send it."""
    headers = {"Host": f"{host}:{lab.port('door')}"}
    return httpx.get(f"http://127.0.0.1:{lab.port('door')}{path}", headers=headers, timeout=more.get("timeout", 20))


def swap(lab: Lab, old: str, new: str) -> None:
    """One swap beside: start, wait, shift, confirm, drain, stop."""
    instance = lab.app(new)
    lab.start(instance)
    lab.shift("api", instance)
    lab.carry(Drain(old, 10), StopInstance(old, 10), ConfirmStopped(old))


@contextmanager
def only(lab: Lab, *names: str, service: str = "api") -> Iterator[None]:
    """Instances of a service that have its traffic while the block runs, and have gone after it."""
    instances = [lab.app(name, service) for name in names]
    for instance in instances:
        lab.start(instance)
    lab.shift(service, *instances)
    try:
        yield
    finally:
        lab.carry(Shift(service, ()))
        for one in lab.site.status():
            if one.service == service:
                lab.stop(one.name)


def websocket(lab: Lab) -> ClientConnection:
    """A WebSocket through the door."""
    plain = socket.create_connection(("127.0.0.1", lab.port("door")))
    return connect(f"ws://{API}:{lab.port('door')}/ws", sock=plain, proxy=None)


class Load:
    """Requests in a loop, over kept and over new connections, GET and POST; every failure is kept."""

    def __init__(self, lab: Lab) -> None:
        self.failures: list[str] = []
        self.answers: set[str] = set()
        self.count = 0
        self._lab = lab
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(4)
        self._loops = [self._pool.submit(self._loop, kept) for kept in (True, True, False, False)]

    def __enter__(self) -> Load:
        until(lambda: self.count > 20, what="the load runs")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for loop in self._loops:
            loop.result(30)
        self._pool.shutdown()

    def _loop(self, kept: bool) -> None:
        client = httpx.Client(timeout=20)
        headers = {"Host": API} if kept else {"Host": API, "Connection": "close"}
        while not self._ended.is_set():
            self.count += 1
            body = b"x" * 2000 if self.count % 3 == 0 else None
            try:
                url = f"http://127.0.0.1:{self._lab.port('door')}/slow?for=0.02"
                answer = client.request("POST" if body else "GET", url, content=body, headers=headers)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            else:
                self.answers.add(answer.text.split()[0])
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code} {answer.text}")
        client.close()


def test_swaps_under_load_lose_no_request(lab: Lab) -> None:
    """Four releases in a row under mixed load: every request is answered with 200."""
    with only(lab, "load-0"):
        with Load(lab) as load:
            for number in range(1, 5):
                swap(lab, f"load-{number - 1}", f"load-{number}")
        assert load.failures == []
        assert load.answers == {f"load-{number}" for number in range(5)}
        assert load.count > 200


def test_a_swap_after_holds_the_requests(lab: Lab) -> None:
    """The old one stops before the new one starts; requests of the meantime wait and are answered by the new one."""
    with only(lab, "after-0"):
        with Load(lab) as load:
            instance = lab.app("after-1")
            lab.carry(Shift("api", ()), Drain("after-0", 10), StopInstance("after-0", 10), ConfirmStopped("after-0"))
            lab.start(instance)
            lab.shift("api", instance)
        assert load.failures == []
        assert load.answers == {"after-0", "after-1"}


def test_a_request_waits_while_nothing_is_ready(lab: Lab) -> None:
    """Sent before anything runs, a POST with a body is answered by what comes up."""
    lab.carry(Shift("api", ()))
    with ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{lab.port('door')}/"
        waiting = pool.submit(httpx.post, url, content=b"y" * 100_000, headers={"Host": API}, timeout=20)
        with only(lab, "late"):
            answer = waiting.result(20)
    assert (answer.status_code, answer.text) == (200, "late 100000")


def test_copies_share_the_requests(lab: Lab) -> None:
    """Three copies in four slots: each answers, nobody else does."""
    with only(lab, "copy-1", "copy-2", "copy-3"):
        seen = {get(lab).text.split()[0] for _ in range(12)}
        assert seen == {"copy-1", "copy-2", "copy-3"}
        assert len(lab.site.observe().upstreams["api"]) == 3


def test_a_websocket_lives_on_its_old_instance_until_it_is_stopped(lab: Lab) -> None:
    """After the shift new ones go to the new instance; the drain reports the open one, the stop ends it."""
    with only(lab, "ws-0"):
        with websocket(lab) as open_one:
            open_one.send("one")
            assert open_one.recv(10) == "ws-0 one"
            new = lab.app("ws-1")
            lab.start(new)
            lab.shift("api", new)
            with websocket(lab) as fresh:
                fresh.send("two")
                assert fresh.recv(10) == "ws-1 two"
            assert lab.carry(Drain("ws-0", 3))[0].saw.startswith("1 connection")
            open_one.send("three")
            assert open_one.recv(10) == "ws-0 three"
        assert lab.carry(Drain("ws-0", 10))[0].saw.startswith("free after")


def test_a_websocket_survives_new_routes(lab: Lab) -> None:
    """A new route replaces the door's configuration, not its open connections."""
    with only(lab, "routes-0"):
        try:
            with websocket(lab) as open_one:
                lab.route(*routes(lab), {"name": "new", "kind": "proxy", "hosts": ["new.lab.localhost"], "slots": 2})
                open_one.send("still")
                assert open_one.recv(10) == "routes-0 still"
            assert get(lab).text.startswith("routes-0")
        finally:
            lab.route(*routes(lab), default="api")


def test_events_arrive_one_by_one_and_end_with_the_client(lab: Lab) -> None:
    """Server-sent events are not held back, and the request behind the door ends when the client has gone."""
    with only(lab, "sse"):
        url = f"http://127.0.0.1:{lab.port('door')}/stream?for=60"
        with httpx.stream("GET", url, headers={"Host": API}, timeout=10) as answer:
            events = (line for line in answer.iter_lines() if line)
            times = []
            for _ in range(3):
                sent = float(next(events).removeprefix("data: "))
                times.append(time.monotonic() - sent)
            assert max(times) < 1
        assert lab.carry(Drain("sse", 10))[0].saw.startswith("free after")


def test_the_drain_waits_for_open_requests(lab: Lab) -> None:
    """A slow request that began before the shift is finished by the old instance."""
    with only(lab, "slow-0"), ThreadPoolExecutor(1) as pool:
        slow = pool.submit(get, lab, "/slow?for=1.5")
        until(lambda: connections(lab, "slow-0") > 0, what="the request has arrived")
        swap(lab, "slow-0", "slow-1")
        assert slow.result(10).text.startswith("slow-0")
        assert get(lab).text.startswith("slow-1")


def connections(lab: Lab, name: str) -> int:
    """Open connections of an instance."""
    return sockets.open_connections(lab.port(name), lab.pid(name) or 0)


def test_a_confirm_sees_the_wrong_instance(lab: Lab) -> None:
    """When something else answers, the step fails and says what did."""
    with only(lab, "right"):
        wrong = ConfirmShift("api", ("127.0.0.1:1024",), within=1)
        with pytest.raises(StepFailed, match=r"not only 127.0.0.1:1024 answers for api") as caught:
            lab.carry(wrong)
        assert any(f"127.0.0.1:{lab.port('right')}" in line for line in caught.value.evidence)


def test_other_services_reach_a_private_one_at_its_fixed_address(lab: Lab) -> None:
    """A service without a host name has its port on the door, and no way in from a browser."""
    with only(lab, "gen-1", service="gen"):
        inside = httpx.get(f"http://127.0.0.1:{lab.port('gen inside')}/")
        assert inside.text.startswith("gen-1 ")
        assert get(lab, host="gen.lab.localhost").status_code == 404


def test_the_host_name_reaches_the_app_and_the_default_has_the_machines_own(lab: Lab) -> None:
    """The app sees the name that the browser asked for; localhost and ::1 lead to the default service."""
    with only(lab, "host"):
        assert get(lab).text == f"host {API}:{lab.port('door')}"
        assert get(lab, host="localhost").text.startswith("host localhost")
        assert httpx.get(f"http://[::1]:{lab.port('door')}/").text.startswith("host ")


def test_an_unknown_host_gets_a_page_that_names_the_known_ones(lab: Lab) -> None:
    """404, with links."""
    answer = get(lab, host="nobody.lab.localhost")
    assert answer.status_code == 404
    assert f"http://{API}:{lab.port('door')}" in answer.text


def test_the_door_comes_back_from_a_kill_with_its_routes(lab: Lab) -> None:
    """SIGKILL: the supervisor starts it again, and it leads where it led."""
    with only(lab, "steady"):
        before = lab.pid("door")
        assert before
        os.kill(before, signal.SIGKILL)
        until(lambda: lab.pid("door") not in (None, before) and lab.state("door") == "ready", 30, "the door is back")
        assert get(lab).text.startswith("steady")
        assert lab.route(*routes(lab), default="api")[0].already


def test_the_same_routes_and_the_same_traffic_are_already_so(lab: Lab) -> None:
    """Asked again after a crash, nothing is done twice; what was there before is written down."""
    with only(lab, "again"):
        step = Shift("api", (f"127.0.0.1:{lab.port('again')}",))
        lines = list(lab.site.carry_out(Batch("local", 0, (step,)), lab.lease, "1"))
        assert lines[0].before == {"upstreams": [f"127.0.0.1:{lab.port('again')}"]}
        assert lines[1].already
        digest = lab.site.observe().door
        assert digest
        lines = list(lab.site.carry_out(Batch("local", 0, (ConfigureDoor(digest),)), lab.lease, "1"))
        assert lines[0].before == {"routes": digest}
        assert lines[1].already


def test_kept_files_are_shifted_by_name(lab: Lab, tmp_path: Path) -> None:
    """A build's files are served whole; the next build replaces them in one step; a page stands in for paths only."""
    for number in ("one", "two"):
        build = f"mkdir -p dist/assets && echo {number} > dist/index.html && echo js-{number} > dist/assets/{number}.js"
        lab.carry(RunTask(f"build {number}", "web", ("/bin/sh", "-c", build), str(tmp_path), 20, None, number, "dist"))
        lab.carry(Shift("web", (number,)), ConfirmShift("web", (number,)))
        page = get(lab, "/", WEB)
        assert (page.text, page.headers["cache-control"]) == (f"{number}\n", "no-cache")
        assert page.headers["content-type"].startswith("text/html")
        assert get(lab, f"/assets/{number}.js", WEB).text == f"js-{number}\n"
        assert get(lab, "/deep/link", WEB).text == f"{number}\n"
        assert get(lab, "/assets/missing.js", WEB).status_code == 404
    assert lab.site.observe().upstreams["web"] == ("two",)
    lab.carry(Shift("web", ("one",)), ConfirmShift("web", ("one",)))
    assert get(lab, "/", WEB).text == "one\n"
    with pytest.raises(StepFailed, match="the files three of web are not here"):
        lab.carry(Shift("web", ("three",)))


def test_kept_files_are_not_a_way_out(lab: Lab, tmp_path: Path) -> None:
    """Dots in a path lead nowhere else."""
    build = "mkdir -p dist && echo page > dist/index.html"
    lab.carry(RunTask("build out", "web", ("/bin/sh", "-c", build), str(tmp_path), 20, None, "out", "dist"))
    lab.carry(Shift("web", ("out",)))
    for path in ("/../../../salt", "/%2e%2e/%2e%2e/%2e%2e/salt", "/..%2f..%2f..%2fsalt"):
        answer = get(lab, path, WEB)
        assert answer.text == "page\n" or answer.status_code in (400, 404)
