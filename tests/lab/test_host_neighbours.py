"""Several apps on one real host: whatever happens to one of them, nobody who uses another one notices."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.neighbours import IMAGES, Crowd, Neighbour, Seen, crowd_at, load_image, neighbour
from tests.real_servers import until

from towline.artifacts.machine_door import FORM
from towline.core.events import ignore
from towline.drivers.host.address import Address
from towline.drivers.host.driver import HostSite
from towline.drivers.host.ssh import Connection
from towline.lab.images import bake
from towline.release.lock import held
from towline.steps.door import OpenMachineDoor
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.lab.host import Lab, LabHost
    from towline.steps.model import Line

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]

SECURE = ", domain: blog.test, certificates: internal"
SECOND = """
  api:
    image: neighbour:1
    command: [python3, /server.py]
    ports: ["8001:8000"]
    expose: ["8000"]
    stop_grace_period: 3s
    environment: {TEXT: second}
"""


@dataclass
class Street:
    """The host, its first app, which answers to every name that nobody has, and one that comes and goes."""

    host: LabHost
    shop: Neighbour
    blog: Neighbour

    def crowd(self, *, sockets: int = 5, fresh: bool = False) -> Crowd:
        """People at the shop."""
        return Crowd(self.host.ipv4, self.host.name, sockets=sockets, fresh=fresh)

    def names(self) -> list[str]:
        """All the names of the machine, with their kind."""
        return self.host.ssh("cd /var/lib/towline/.door && ls clear/* secure/* 2>/dev/null").stdout.split()

    def with_blog(self, *, there: bool) -> None:
        """See that the second app is there, or is not."""
        if there and "secure/blog.test" not in self.names():
            self.blog.deploy("blog one", SECURE)
        if not there and any(one.startswith("secure/") for one in self.names()):
            self.blog.take_down()

    def get(self, host: str, scheme: str = "http") -> httpx.Response:
        """What a browser gets."""
        with httpx.Client(verify=False, timeout=30, trust_env=False) as client:
            extensions = {"sni_hostname": host}
            return client.get(f"{scheme}://{self.host.ipv4}/", headers={"Host": host}, extensions=extensions)


@pytest.fixture(scope="module")
def street(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Street:
    """One app deployed for all tests of this file; the other one is theirs."""
    bake(lab.docker, ["python:3.11-slim", IMAGES[1]])
    host = lab_hosts[1].reset(suite="bookworm", docker=True)
    folder = tmp_path_factory.mktemp("street")
    load_image(folder, lab, host)
    made = Street(host, *(neighbour(app, folder, lab, host) for app in ("shop", "blog")))
    made.shop.deploy("shop one", ", certificates: internal")
    made.blog.write("blog one", SECURE)
    return made


def test_an_app_comes_changes_and_goes_while_people_use_another(street: Street) -> None:
    """Added with https, changed with its name, taken down: no request of the other app's people fails."""
    street.with_blog(there=False)
    with crowd_at(street.crowd()) as seen:
        until(lambda: seen.answered > 50, "the crowd")
        street.blog.deploy("blog one", SECURE)
        assert street.get("blog.test", "https").text == "blog one"
        street.blog.deploy("blog two", SECURE.replace("blog.test", "news.test"))
        assert street.get("news.test", "https").text == "blog two"
        assert street.get("blog.test").text == "shop one", "nobody has that name any more"
        street.blog.take_down()
    assert (seen.failures, seen.ended) == ([], [])
    assert seen.texts == {"shop one"}
    assert seen.echoed > 50
    assert street.names() == ["clear/_", f"clear/{street.host.name}"]
    left = "docker ps -aq --filter label=towline.app=blog; ls -A /var/lib/towline/.door/apps/blog"
    assert street.host.ssh(left).stdout == ""


def test_a_name_has_https_and_no_other_gets_a_certificate(street: Street) -> None:
    """In clear it is sent to https; another name is not even shaken hands with; the app knows who asks."""
    street.with_blog(there=True)
    sent = street.get("blog.test")
    assert (sent.status_code, sent.headers["location"]) == (308, "https://blog.test/")
    answer = street.get("blog.test", "https")
    assert answer.headers["strict-transport-security"]
    assert answer.headers["x-seen-from"] not in ("", "127.0.0.1")
    with pytest.raises(httpx.ConnectError):
        street.get("wrong.test", "https")
    made = street.host.ssh("find /var/lib/towline/.door/data -name '*.crt' -path '*certificates*'").stdout
    assert "blog.test" in made
    assert "wrong.test" not in made


def test_a_taken_name_is_refused_with_its_owner(street: Street, lab: Lab) -> None:
    """Nothing is changed; a second app without a name of its own is told who answers to all others."""
    street.with_blog(there=True)
    other = neighbour("other", street.shop.folder.parent, lab, street.host)
    other.write("other", SECURE)
    before = street.names()
    assert "blog on production has the name blog.test" in other.refused()["name-taken"]
    other.write("other", ", domain: other.test")
    assert "blog on production" in other.refused()["certificates-differ"]
    other.write("other")
    assert "shop on production" in other.refused()["name-taken"]
    assert street.names() == before
    assert street.host.ssh("docker ps -aq --filter label=towline.app=other").stdout == ""


def test_a_first_deploy_that_fails_gives_its_names_back(street: Street, lab: Lab) -> None:
    """As if it had never been there."""
    before = street.names()
    broken = neighbour("broken", street.shop.folder.parent, lab, street.host)
    broken.write("never", ", domain: broken.test, certificates: internal")
    compose = broken.folder / "compose.yaml"
    compose.write_text(compose.read_text().replace("/server.py", "/no-such-file.py"))
    failed = broken.towline("deploy", "production", "--yes")
    assert failed.returncode == 4, failed.stderr
    assert street.names() == before


def test_another_front_door_of_an_app_under_load(street: Street) -> None:
    """A new service needs another front door, which starts beside the old one, and so does the way back."""
    door = "docker ps -q --filter label=towline.home=/var/lib/towline/shop/production --filter label=towline.runs=door"
    before = street.host.ssh(door).stdout
    with crowd_at(street.crowd()) as seen:
        until(lambda: seen.answered > 50, "the crowd")
        compose, page = street.shop.folder / "compose.yaml", street.shop.folder / "towline.yaml"
        compose.write_text(compose.read_text() + SECOND)
        page.write_text(page.read_text().replace("services:", "services:\n  api: {kind: private}"))
        assert street.shop.deploy()["changed"] is True
        asked_since(seen)
    assert seen.failures == []
    assert seen.ended == []
    assert street.host.ssh(door).stdout != before
    with crowd_at(street.crowd(sockets=0)) as seen:
        until(lambda: seen.answered > 50, "the crowd")
        back = street.shop.towline("rollback", "-t", "production")
        assert back.returncode == 0, back.stderr
        asked_since(seen)
    assert seen.failures == []


def test_whatever_happens_to_an_app_its_own_people_notice_nothing(street: Street) -> None:
    """Deployed, changed, taken back, more and fewer copies, another app beside it: nothing fails, nothing drops."""
    shop = street.shop
    street.with_blog(there=False)
    shop.write("shop one", ", certificates: internal")
    more = (shop.folder / "compose.yaml").read_text().replace("TEXT:", 'MORE: "1", TEXT:')
    acts: dict[str, Callable[[], object]] = {
        "another variable": lambda: changed(shop, more),
        "another version": lambda: changed(shop, more.replace("shop one", "shop two")),
        "rollback": lambda: told(shop, "rollback", "-t", "production"),
        "more copies": lambda: told(shop, "scale", "production", "web=2", "--yes"),
        "fewer copies": lambda: told(shop, "scale", "production", "web=1", "--yes"),
        "another app": lambda: street.blog.deploy("blog one", SECURE),
        "no other app": street.blog.take_down,
    }
    with crowd_at(street.crowd(sockets=0)) as seen:
        for name, act in acts.items():
            with crowd_at(replace(street.crowd(), people=0, seen=Seen())) as talks:
                heard(talks)
                act()
                heard(talks)
            assert (name, talks.ended, seen.failures) == (name, [], [])
    assert seen.answered > 500
    assert seen.texts == {"shop one", "shop two"}
    (shop.folder / "compose.yaml").write_text(more)


def heard(talks: Seen) -> None:
    """Wait until the WebSockets have had two more answers each."""
    before = talks.echoed
    until(lambda: talks.echoed > before + 10, "they talk")


def changed(app: Neighbour, compose: str) -> None:
    """Deploy another Compose file."""
    (app.folder / "compose.yaml").write_text(compose)
    assert app.deploy()["changed"] is True


def told(app: Neighbour, *words: str) -> None:
    """A command that must succeed."""
    done = app.towline(*words)
    assert done.returncode == 0, done.stderr


def asked_since(seen: Seen) -> None:
    """Let the crowd go on for a while."""
    answered = seen.answered
    until(lambda: seen.answered > answered + 50, "the crowd goes on")


def test_the_door_of_the_machine_is_replaced_without_a_refusal(street: Street) -> None:
    """A later form starts beside the one that runs, which goes when it has finished: every new connection is taken."""
    with_links_of_before_lanes(street)
    with crowd_at(street.crowd(sockets=0, fresh=True)) as seen:
        until(lambda: seen.answered > 50, "the crowd")
        before = street.host.ssh("docker inspect -f '{{.Id}}' towline-door").stdout
        lines = carried_out(street, OpenMachineDoor(FORM + 1, IMAGES[1], "internal"))
        assert [line.event for line in lines] == ["began", "done"], lines
        asked_since(seen)
    assert [one for one in seen.failures if "Refused" in one] == []
    assert len(seen.failures) <= 3, seen.failures
    assert street.host.ssh("docker inspect -f '{{.Id}}' towline-door").stdout != before
    assert street.host.ssh("docker ps -aq --filter name=towline-door-before").stdout == ""
    assert set(street.host.ssh("cd /var/lib/towline/.door/to && readlink *").stdout.split()) == {
        "../apps/shop/production/now"
    }
    assert street.host.ssh("ls /var/lib/towline/.door/apps/shop/production/now/*.lane").status == 0
    again = carried_out(street, OpenMachineDoor(FORM, IMAGES[1], "internal"))
    assert [line.already for line in again] == [False, True]
    street.host.ssh("docker rm -f towline-door")
    assert [line.already for line in carried_out(street, OpenMachineDoor(FORM, IMAGES[1], "internal"))] == [
        False,
        False,
    ]
    assert street.get(street.host.name).text == "shop one"


def with_links_of_before_lanes(street: Street) -> None:
    """As a version left them that knew no lanes: links to the socket itself, and no lane."""
    street.with_blog(there=False)
    program = """cd /var/lib/towline/.door && rm -rf lanes apps/*/*/*/*.lane
        for name in to/*; do ln -sfn ../apps/shop/production/now/door.sock "$name"; done"""
    assert street.host.ssh(program).status == 0


def carried_out(street: Street, step: OpenMachineDoor) -> list[Line]:
    """One step on the host, of a target that has nothing else there."""
    options = ("-F", str(street.shop.folder / "ssh_config"))
    with closing(Connection(Address.parse(f"root@{street.host.name}"), ignore, options=options)) as link:
        site = HostSite(link, "/var/lib/towline/keeper/production", site="box")
        with held({"box": site}, "operator") as hold:
            return list(site.carry_out(Batch("box", 0, (step,)), hold.leases["box"], "1"))


def test_a_port_that_somebody_else_holds_is_named(street: Street) -> None:
    """The door closes with the last app; then another program takes the port, and the next deploy says which."""
    street.with_blog(there=False)
    street.shop.take_down()
    assert street.host.ssh("docker ps -aq --filter name=towline-door").stdout == ""
    street.host.ssh("systemd-run --unit=holder python3 -m http.server 80")
    try:
        until(lambda: street.host.ssh("ss -Hltn '( sport = :80 )'").stdout, "the other program")
        failed = street.shop.towline("deploy", "production", "--yes")
    finally:
        street.host.ssh("systemctl stop holder")
    assert failed.returncode in (2, 4), failed.stderr
    assert "port 80" in failed.stderr
    assert "python3" in failed.stderr
    street.shop.deploy()
    assert street.get(street.host.name).text == "shop one"
