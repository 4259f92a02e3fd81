"""Old copies on a real host that finish by themselves, and what `verify` sees of all that from outside."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.lab.hosted_app import ON_HOSTS, WEB, HostedApp
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

WORKER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1e6)"
COMPOSE = {
    "services": {
        "api": {"image": "python:3.11-slim", "command": ["python3", "-c", WEB], "ports": ["8000:8000"]},
        "gen": {"image": "python:3.11-slim", "command": ["python3", "-c", WORKER]},
        "queue": {"image": "valkey/valkey:9"},
    }
}
IMAGES = ("python:3.11-slim", "valkey/valkey:9", "caddy:2.11.7")
JOURNAL = "/var/lib/towline/slow/production/journal"


@dataclass
class Slow(HostedApp):
    """An API with requests that never end, and a worker that does not want to."""

    def write(self, text: str, *, single: bool = False) -> None:
        """Another text is a change of both services."""
        plain = json.loads(json.dumps(COMPOSE))
        for name in ("api", "gen"):
            plain["services"][name]["environment"] = {"TEXT": text}
        (self.folder / "compose.yaml").write_text(json.dumps(plain))
        page = {
            "app": "slow",
            "services": {
                "api": {"kind": "web", "ready": "/health", "max_job": "90s", **({"single": True} if single else {})},
                "gen": {"kind": "worker", "max_job": "4s"},
            },
            "stores": {"queue": {"kind": "redis", "use": "queue"}},
            "bind": {"api": {"REDIS_URL": "queue.url"}},
            "targets": {"production": {"sites": {"box": {
                "kind": "host", "ssh": f"root@{self.host.name}", "ssh_config": "ssh_config", "address": self.host.ipv4,
            }}}},
        }  # fmt: skip
        (self.folder / "towline.yaml").write_text(json.dumps(page))

    def leaving(self, service: str) -> list[str]:
        """The names of old copies that still run."""
        ran = self.host.ssh(f"docker ps --format '{{{{.Names}}}}' --filter label=towline.service={service}")
        return [name for name in ran.stdout.split() if ".leaving." in name]

    def farewells(self) -> list[str]:
        """What the journal says of them, each when it has ended."""
        lines = [json.loads(line) for line in self.host.ssh(f"cat {JOURNAL}").stdout.splitlines()]
        return [one["saw"] for one in lines if one["event"] == "done" and one["step"]["kind"] == "see-off"]

    def held_open(self) -> socket.socket:
        """A request that is answered for as long as somebody listens."""
        one = socket.create_connection((self.host.ipv4, 80), timeout=30)
        one.sendall(f"GET /hold HTTP/1.1\r\nHost: {self.host.name}\r\n\r\n".encode())
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
        return one


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Slow:
    """The app, deployed once for all tests of this file."""
    bake(lab.docker, IMAGES)
    host = lab_hosts[1].reset(suite="bookworm", docker=True)
    host.load(*IMAGES)
    project = tmp_path_factory.mktemp("farewell") / "slow"
    project.mkdir()
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    made = Slow(project, host)
    made.write("one")
    made.deploy()
    return made


@pytest.fixture
def slow(first: Slow, failed: Callable[[], bool]) -> Iterator[Slow]:
    """It, when nothing of it is on its way out any more."""
    until(lambda: first.leaving("api") + first.leaving("gen") == [], "the end of earlier copies", 120)
    yield first
    if failed():
        first.host.inside("docker rm -f open; ufw --force disable")
        first.write("one")
        first.mend()


def test_deploy_does_not_wait_for_what_is_open(slow: Slow) -> None:
    """The new version answers and nothing is left to do, while an old request goes on; then it ends by itself."""
    before = len(slow.farewells())

    def told() -> bool:
        return any("api" in saw and "exit code 0" in saw for saw in slow.farewells()[before:])

    with slow.held_open() as request:
        slow.write("two")
        assert slow.deploy()["changed"] is True
        assert slow.answers() == "two"
        [old] = slow.leaving("api")
        assert request.recv(1000)
        policy = slow.host.ssh(f"docker inspect -f '{{{{.HostConfig.RestartPolicy.Name}}}}' {old}").stdout.strip()
        assert policy == "no"
        shown = slow.told("status", "-t", "production")["instances"]
        [one] = [one for one in shown if one["state"] == "stopping" and one["service"] == "api"]
        assert "until" in one["verdict"]
        assert slow.deploy()["changed"] is False
        assert slow.leaving("api") == [old]
    until(lambda: slow.leaving("api") == [], "the end of the old copy", 60)
    until(told, "its line in the journal", 60)


def test_worker_that_is_still_at_work_is_reported(slow: Slow) -> None:
    """It had the time of its longest job, and the journal says that it did not end in it."""

    def reports() -> int:
        return sum("gen" in saw and "still at work after 4 s" in saw for saw in slow.farewells())

    before = reports()
    slow.write("a change of the worker")
    slow.deploy()
    until(lambda: reports() > before, "the report", 60)
    assert slow.leaving("gen") == []


def test_single_service_waits_for_an_old_copy(slow: Slow) -> None:
    """A copy that an earlier deploy left to itself must be gone before the only one may start."""
    waits = f'grep -c \'"event":"began".*await-farewell\' {JOURNAL}'
    before, done = slow.host.ssh(waits).stdout, list[dict[str, object]]()
    with slow.held_open():
        slow.write("three")
        slow.deploy()
        [old] = slow.leaving("api")
        slow.write("four", single=True)
        thread = threading.Thread(target=lambda: done.append(slow.deploy()))
        thread.start()
        until(lambda: slow.host.ssh(waits).stdout != before, "the deploy that waits", 120)
        assert slow.leaving("api") == [old]
        names = slow.host.ssh("docker ps --format '{{.Names}}' --filter label=towline.service=api").stdout.split()
        assert names == [old]
    thread.join(120)
    assert done[0]["changed"] is True
    assert slow.answers() == "four"


def test_rollback_leaves_the_new_version_to_itself(slow: Slow) -> None:
    """The old version answers at once, and a request of the new one goes on."""
    slow.write("five")
    slow.deploy()
    slow.write("six")
    slow.deploy()
    with slow.held_open() as request:
        back = slow.towline("rollback", "-t", "production")
        assert back.returncode == 0, back.stderr
        assert slow.answers() == "five"
        until(lambda: len(slow.leaving("api")) == 1, "the copies before have gone")
        assert request.recv(1000)
    slow.write("five")


def test_verify_looks_at_every_port_and_from_beside(slow: Slow) -> None:
    """Whole as it is; with a store that Docker publishes past the firewall it fails, and names it."""
    firewall = "apt-get install -qq -y ufw && ufw allow 22,80,443/tcp && ufw --force enable"
    done = slow.host.inside(f"apt-get -qq update && {firewall}", within=300)
    assert done.status == 0, done.stderr
    checks = {check["name"]: check for check in slow.told("verify", "-t", "production")["checks"]}
    closed = f"nothing but the app answers at {slow.host.ipv4}"
    assert checks[closed]["saw"] == "65535 ports asked; open: 22, 80, 443"
    assert checks["queue shows only its own port to the app"]["ok"]
    slow.host.inside("docker run -d --name open -p 6379:6379 valkey/valkey:9")
    try:
        seen = slow.towline("verify", "-t", "production", "--json")
    finally:
        slow.host.inside("docker rm -f open; ufw --force disable")
    assert seen.returncode == 5
    wrong = [check for check in json.loads(seen.stdout)["checks"] if not check["ok"]]
    assert [(check["name"], check["saw"]) for check in wrong] == [(closed, "open besides: 6379 (Redis)")]
