"""What the local site keeps on the disk: lock, journal, tables, slots, contents, folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import Defect, Fenced, LockHeld, Refused, StepFailed
from towline.core.secret import Secret
from towline.drivers.local import data
from towline.drivers.local.blobs import Blobs
from towline.drivers.local.home import home_of
from towline.drivers.local.journal import Journal
from towline.drivers.local.lock import Lock
from towline.drivers.local.routes import Route, Routes
from towline.drivers.local.slots import Slots
from towline.drivers.local.tables import Table
from towline.steps.model import Line
from towline.steps.past import releases

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock and a boot that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.boot = "one"

    def lock(self, folder: Path) -> Lock:
        """A lock that goes by it."""
        return Lock(folder / "lock.json", clock=lambda: self.now, boot=lambda: self.boot)


def line(event: str, run: str, **more: object) -> Line:
    """A line of the journal."""
    return Line(at="2026-01-01", run=run, event=event, fence=1, **more)  # type: ignore[arg-type]


def plan(run: str, release: int, intent: str = "deploy") -> Line:
    """The line that begins a run."""
    return line("plan", run, plan={"release": release, "intent": intent})


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Another owner is refused with who and how long; the same owner gets a higher fence."""
    clock = Clock()
    lock = clock.lock(tmp_path)
    first = lock.acquire("ann", 30)
    with pytest.raises(LockHeld, match="ann holds the lock of this target for another 30 s"):
        clock.lock(tmp_path).acquire("bob", 30)
    again = lock.acquire("ann", 30)
    assert again.fence == first.fence + 1
    with pytest.raises(Fenced):
        lock.permitted(first)


def test_an_expired_lease_is_taken_over_and_fences_the_old_one(tmp_path: Path) -> None:
    """A renewal in time holds it; without one the next owner gets it, and the first can do nothing more."""
    clock = Clock()
    lock = clock.lock(tmp_path)
    first = lock.acquire("ann", 30)
    clock.now += 29
    lock.renew(first, 30)
    clock.now += 29
    with pytest.raises(LockHeld):
        lock.acquire("bob", 30)
    clock.now += 2
    second = lock.acquire("bob", 30)
    with pytest.raises(Fenced, match="taken over by bob"):
        lock.permitted(first)
    with pytest.raises(Fenced, match="taken over by bob"):
        lock.renew(first, 30)
    lock.release(first)
    lock.permitted(second)
    with pytest.raises(LockHeld):
        lock.acquire("ann", 30)


def test_the_fence_outlives_the_lock(tmp_path: Path) -> None:
    """Released and taken again, it has grown."""
    lock = Clock().lock(tmp_path)
    first = lock.acquire("ann", 30)
    lock.release(first)
    assert lock.acquire("bob", 30).fence == first.fence + 1


def test_a_lease_does_not_outlive_the_machine(tmp_path: Path) -> None:
    """After a restart the clock begins anew, and the lease says nothing any more."""
    clock = Clock()
    clock.lock(tmp_path).acquire("ann", 10_000)
    clock.boot, clock.now = "two", 3.0
    assert clock.lock(tmp_path).acquire("bob", 30).fence == 2


def test_nobody_waits_for_a_dead_holder(tmp_path: Path) -> None:
    """A process that was killed while it held the lock is taken over at once, with a higher fence."""
    code = (
        "import os, pathlib, signal, sys\n"
        "from towline.drivers.local.lock import Lock\n"
        "Lock(pathlib.Path(sys.argv[1])).acquire('dead one', 3600)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "lock.json"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Lock(path).acquire("next one", 60).fence == 2
    with pytest.raises(LockHeld):
        Lock(path).acquire("a third", 60)


def test_one_of_many_gets_the_lock(tmp_path: Path) -> None:
    """Twenty at once: one lease."""
    barrier = threading.Barrier(20)

    def take(number: int) -> bool:
        barrier.wait()
        try:
            Lock(tmp_path / "lock.json").acquire(f"owner {number}", 60)
        except LockHeld:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(take, range(20))) == 1


def test_a_journal_gives_back_what_it_got(tmp_path: Path) -> None:
    """Also after it was opened anew."""
    path = tmp_path / "journal.jsonl"
    lines = (plan("1", 1), line("done", "1", saw="ünïcode", evidence=("a", "b")), line("ended", "1", outcome="done"))
    for one in lines:
        Journal(path).append(one)
    assert Journal(path).lines() == lines
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_is_left_out_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    """At the end, and further up where whoever came after the crash went on; anything else is named by its number."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(plan("1", 1))
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) // 2])
    assert journal.lines() == (plan("1", 1),)
    journal.append(plan("1.resume.1", 1, "resume"))
    assert len(journal.lines()) == 2
    path.write_text(whole + '{"at": "x" "run"}\n' + whole)
    with pytest.raises(Defect) as caught:
        journal.lines()
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_a_journal_is_read_whole_however_often(tmp_path: Path) -> None:
    """While others append to it, tear a line, complete it, or begin it anew: always what a fresh reader sees."""
    path = tmp_path / "journal.jsonl"
    reader, writer = Journal(path), Journal(path)
    assert reader.lines() == ()
    for number in range(1, 6):
        writer.append(plan(str(number), number))
        assert reader.lines() == Journal(path).lines() == tuple(plan(str(one), one) for one in range(1, number + 1))
    whole = path.read_text()
    for cut in (5, len(whole) // 2, len(whole) - 1):
        path.write_text(whole[:cut])
        assert reader.lines() == Journal(path).lines()
    path.write_text(whole + "\n" + whole)
    assert len(reader.lines()) == len(reader.lines()) == 10


def test_releases_are_the_deploys_that_stand(tmp_path: Path) -> None:
    """A failed one does not count until a resume has ended it; a rollback takes back; other plans use numbers up."""
    done = [plan("1", 1), line("ended", "1", outcome="done")]
    failed = [plan("2", 2), line("ended", "2", outcome="failed")]
    resumed = [plan("2.resume.1", 2, "resume"), line("ended", "2.resume.1", outcome="done")]
    back = [plan("2.rollback.1", 1, "rollback"), line("ended", "2.rollback.1", outcome="done")]
    down = [plan("3", 3, "down"), line("ended", "3", outcome="done")]
    assert releases(()) == ((), 0)
    assert releases((*done, *failed)) == ((1,), 2)
    assert releases((*done, *failed, *resumed)) == ((1, 2), 2)
    assert releases((*done, *failed, *resumed, *back)) == ((1,), 2)
    assert releases((*done, *failed, *resumed, *back[:1])) == ((1, 2), 2)
    assert releases((*done, *down)) == ((1,), 3)
    assert releases((*done, *failed[:1])) == ((1,), 2)


def test_tables_lose_nothing_to_each_other(tmp_path: Path) -> None:
    """Forty writers at once, each its own entry; forgetting takes what lies below with it."""
    table = Table(tmp_path / "t.json")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: table.set(f"n{number}", number), range(40)))
    assert table.read() == {f"n{number}": number for number in range(40)}
    table.set("media", 1)
    table.set("media/master.port", 2)
    table.set("media2", 3)
    table.forget("media", "unknown")
    assert {name for name in table.read() if name.startswith("media")} == {"media2"}


ROUTE = Route("api", "proxy", slots=4)


def test_every_slot_has_a_live_address(tmp_path: Path) -> None:
    """The addresses in turn; read back each once; none means that requests wait."""
    slots = Slots(tmp_path)
    slots.send(ROUTE, ("127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20003"))
    written = [(tmp_path / f"api.{number}").read_text() for number in range(1, 5)]
    assert written == ["127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20003", "127.0.0.1:20001"]
    assert slots.upstreams("api") == ("127.0.0.1:20001", "127.0.0.1:20002", "127.0.0.1:20003")
    assert slots.all() == {"api": slots.upstreams("api")}
    slots.send(ROUTE, ())
    assert slots.upstreams("api") == ()
    assert slots.all() == {}


def test_slots_fit_themselves_to_new_routes(tmp_path: Path) -> None:
    """More, fewer, another kind: what is live stays, what does not fit goes."""
    slots = Slots(tmp_path)
    slots.send(ROUTE, ("127.0.0.1:20001",))
    slots.fit(Routes(7080, (replace(ROUTE, slots=6), Route("new", "proxy", slots=1))))
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f"api.{n}" for n in range(1, 7)), "new.1"]
    assert slots.all() == {"api": ("127.0.0.1:20001",)}
    slots.fit(Routes(7080, (replace(ROUTE, slots=2),)))
    assert not (tmp_path / "api.3").exists()
    slots.fit(Routes(7080, (Route("api", "files"),)))
    assert slots.upstreams("api") == ()
    assert not (tmp_path / "api.1").exists()
    slots.send(Route("api", "files"), ("build-1",))
    assert slots.upstreams("api") == ("build-1",)
    slots.fit(Routes(7080, (ROUTE,)))
    assert slots.upstreams("api") == ()


def test_slots_take_no_other_address(tmp_path: Path) -> None:
    """Nothing that the door would send requests to elsewhere; no more copies than slots."""
    slots = Slots(tmp_path)
    for wrong in (("10.0.0.1:80",), ("127.0.0.1:1;x",), tuple(f"127.0.0.1:{n}" for n in range(20000, 20005))):
        with pytest.raises(StepFailed):
            slots.send(ROUTE, wrong)
    assert slots.all() == {}


def test_names_with_dots_are_kept_apart(tmp_path: Path) -> None:
    """`a` and `a.1` are two services."""
    slots = Slots(tmp_path)
    slots.send(Route("a", "proxy", slots=2), ("127.0.0.1:20001",))
    slots.send(Route("a.1", "proxy", slots=2), ("127.0.0.1:20002",))
    assert slots.all() == {"a": ("127.0.0.1:20001",), "a.1": ("127.0.0.1:20002",)}
    slots.forget("a")
    assert slots.all() == {"a.1": ("127.0.0.1:20002",)}


def test_readers_never_see_half_a_slot(tmp_path: Path) -> None:
    """A reader in a loop sees one whole address or the other."""
    slots, seen, ended = Slots(tmp_path), set(), threading.Event()
    slots.send(ROUTE, ("127.0.0.1:20001",))

    def read() -> None:
        while not ended.is_set():
            seen.add((tmp_path / "api.1").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        slots.send(ROUTE, ("127.0.0.1:29999",))
        slots.send(ROUTE, ("127.0.0.1:20001",))
    ended.set()
    reader.join()
    assert seen <= {"127.0.0.1:20001", "127.0.0.1:29999"}


def test_contents_are_private_and_never_change(tmp_path: Path) -> None:
    """0600; what has a digest is left as it is; a digest is no way out of the folder."""
    blobs = Blobs(tmp_path / "blobs")
    blobs.put({"d1": Secret("first")})
    blobs.put({"d1": Secret("other")})
    assert blobs.text("d1") == "first"
    assert blobs.path("d1").stat().st_mode & 0o777 == 0o600
    for wrong in ("../x", "a/b", ".hidden", ""):
        with pytest.raises(Defect):
            blobs.path(wrong)
    with pytest.raises(StepFailed, match="never sent"):
        blobs.text("d2")
    blobs.put({"d3": Secret('{"PORT": 1}')})
    with pytest.raises(StepFailed, match="not an environment") as caught:
        blobs.environment("d3")
    assert "PORT" not in caught.value.sentence


def test_what_is_kept_is_masked_and_what_is_public_is_not(tmp_path: Path) -> None:
    """Whole contents and values of environments; not the machine's own, not names that stand in clear elsewhere."""
    blobs = Blobs(tmp_path, lambda: {"postcards"})
    environment = (
        '{"TOKEN": "long-token", "PATH": "/usr/bin:/bin", "HOST": "127.0.0.1", "DB": "postcards", "N": "1234"}'
    )
    blobs.put({"e": Secret(environment), "p": Secret("a-password"), "r": Secret('{"services": [], "port": 7080}')})
    line_ = "long-token a-password /usr/bin:/bin 127.0.0.1 postcards 1234 services"
    assert blobs.clean([line_]) == ("●●●● ●●●● /usr/bin:/bin 127.0.0.1 postcards 1234 services",)


def test_the_home_is_private_and_out_of_version_control(tmp_path: Path) -> None:
    """The salt is made once."""
    home = home_of(tmp_path / ".towline" / "local", {})
    salt = home.salt()
    assert len(salt.reveal()) == 64
    assert home.salt() == salt
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".towline" / ".gitignore").read_text() == "*\n"
    assert (home.path / "salt").stat().st_mode & 0o777 == 0o600


def test_the_folder_for_sockets_is_short_and_ours(tmp_path: Path) -> None:
    """Far down a path it is still short; two homes differ; one that others can use is refused."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    home = home_of(deep, {})
    assert len(str(home.control)) < 60
    assert home_of(tmp_path, {}).run != home.run
    runtime = tmp_path / "r"
    runtime.mkdir()
    found = home_of(deep, {"XDG_RUNTIME_DIR": str(runtime)})
    assert found.run.is_relative_to(runtime) or len(str(runtime)) >= 60
    short = replace(home, run=tmp_path / "run")
    short.make_run()
    short.run.chmod(0o755)
    with pytest.raises(Refused, match="only you can use"):
        short.check_run()
    short.run.rmdir()
    short.run.symlink_to(tmp_path)
    with pytest.raises(Refused):
        short.make_run()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who owns it could listen there in our place."""
    home = replace(home_of(tmp_path, {}), run=tmp_path / "run")
    home.make_run()
    os.chown(home.run, 65534, 65534)
    with pytest.raises(Refused):
        home.check_run()


def test_data_tells_who_wrote_it(tmp_path: Path) -> None:
    """PostgreSQL by its own file, the others by a mark; what is half made does not count."""
    for name in ("db", "queue", ".media.new", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "db" / "PG_VERSION").write_text("18\n")
    data.mark(tmp_path / "queue", "redis", "9")
    data.mark(tmp_path / ".media.new", "bucket", "4")
    assert data.stores(tmp_path) == {"db": ("postgres", "18"), "queue": ("redis", "9")}
    assert data.stores(tmp_path / "nothing") == {}
