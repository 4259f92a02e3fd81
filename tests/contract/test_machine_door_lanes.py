"""Connections that the machine's door keeps to front doors, which come and go: none fails with the real Caddy."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.contract.machine_doors import Doors, making, opened
from tests.real_servers import until

from towline.drivers.host.programs import part

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("sh", "flock")


@pytest.fixture
def doors() -> Iterator[Doors]:
    with opened() as made:
        yield made


def test_a_front_door_is_replaced_while_people_ask(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """Connections to it are kept, and still no request fails: those of the older one are left before it goes."""
    doors.open()
    made = making(checkout, tmp_path / "1", "alone", "a.example")
    served = [doors.app("shop", made)]
    assert doors.machine.claim("shop", clear=("a.example",)) == ""
    until(lambda: doors.ask("a.example"), "the door answers")
    over, seen, failed = threading.Event(), [], []

    def person() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{doors.port}", timeout=30, trust_env=False) as client:
            while not over.is_set():
                try:
                    post = client.post("/", content=b"x" * 200, headers={"Host": "a.example"}).json()
                    seen.append(client.get("/", headers={"Host": "a.example"}).json()["by"])
                    assert post["sent"] == "x" * 200
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    failed.append(repr(error))

    people = [threading.Thread(target=person) for _ in range(3)]
    for one in people:
        one.start()
    for number in (2, 3):
        served.append(doors.app("shop", made, f"r{number}"))
        until(lambda: seen and seen[-1] == served[-1], "the newer one answers")
        doors.leave(f"shop-r{number - 1}")
    over.set()
    for one in people:
        one.join(40)
    assert failed == []
    assert set(seen) == set(served)


def test_connections_are_kept(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """One after the other asks over the same connection to the front door."""
    doors.open()
    doors.app("shop", making(checkout, tmp_path / "1", "alone", "a.example"))
    assert doors.machine.claim("shop", clear=("a.example",)) == ""
    until(lambda: doors.ask("a.example"), "the door answers")
    before = links_of(doors.running["shop-r1"].pid)
    assert before
    for _ in range(5):
        assert doors.ask("a.example") is not None
    assert links_of(doors.running["shop-r1"].pid) == before


def links_of(pid: int) -> set[str]:
    """The inodes of the connections at the socket of a front door."""
    own = {one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {row[6] for row in rows if len(row) > 7 and row[5] == "03" and f"socket:[{row[6]}]" in own}


def test_a_request_waits_for_another_front_door(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """The one that its name led to is gone: it is answered, body and all, by whichever comes next."""
    doors.open()
    made = making(checkout, tmp_path / "1", "alone", "a.example")
    doors.app("shop", made)
    assert doors.machine.claim("shop", clear=("a.example",)) == ""
    until(lambda: doors.ask("a.example"), "the door answers")
    doors.leave("shop-r1")
    held: list[httpx.Response] = []

    def post() -> None:
        told = {"Host": "a.example"}
        held.append(httpx.post(f"http://127.0.0.1:{doors.port}/", content=b"order", headers=told, timeout=30))

    waiting = threading.Thread(target=post)
    waiting.start()
    port = doors.app("shop", made, "r2")
    waiting.join(40)
    assert [(one.status_code, one.json()["by"], one.json()["sent"]) for one in held] == [(200, port, "order")]


def test_links_of_a_version_before_lanes(doors: Doors, checkout: Path, tmp_path: Path) -> None:
    """They work as they are, until the door that needs no such links renews them."""
    doors.open()
    made = making(checkout, tmp_path / "1", "alone", "a.example")
    port = doors.app("shop", made, lead=False)
    door, apps = doors.machine.door, doors.machine.door / "apps/shop/production"
    (apps / "now").symlink_to("r1")
    assert doors.machine.claim("shop", clear=("a.example",)) == ""

    def by() -> object:
        answer = doors.ask("a.example")
        return answer.json()["by"] if answer is not None and answer.status_code == 200 else answer

    until(lambda: by() == port, "a folder without a lane is found")
    (door / "to/a.example").unlink()
    (door / "to/a.example").symlink_to("../apps/shop/production/now/door.sock")
    assert by() == port
    doors.machine.run("shop", part("machine_door.sh") + "at_the_door\nrenew_links\n")
    assert (door / "to/a.example").readlink() == Path("../apps/shop/production/now")
    assert len(list((apps / "r1").glob("*.lane"))) == 1
    assert by() == port
    doors.machine.run("shop", part("machine_door.sh") + "leave_door\n")
    assert list((door / "lanes").iterdir()) == []
