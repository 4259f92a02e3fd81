"""What a change replaces and what it leaves alone, without a failed request; and what a bad change leads to."""

from __future__ import annotations

import threading

from tests.acceptance.projects import Project, ask
from tests.processes import lives
from tests.real_servers import free_port, until


def test_one_variable_replaces_one_service(tiny: Project) -> None:
    """A changed variable of the API replaces the API alone."""
    tiny.up()
    before = tiny.pids()
    tiny.version("api", "two")
    tiny.up()
    after = tiny.pids()
    assert after["api"] != before["api"]
    assert not lives(before["api"])
    assert (after["worker"], after["door"]) == (before["worker"], before["door"])
    assert tiny.ask()["version"] == "two"


def test_changed_code_replaces_services_of_its_context(tiny: Project) -> None:
    """Changed code of the worker replaces the worker alone; a touched file without a change replaces nothing."""
    tiny.up()
    before = tiny.pids()
    (tiny.path / "api/api.py").touch()
    tiny.run("plan").must(0)
    tiny.change("worker/worker.py", 'CODE = "first"', 'CODE = "second"')
    tiny.up()
    after = tiny.pids()
    assert after["worker"] != before["worker"]
    assert (after["api"], after["door"]) == (before["api"], before["door"])
    assert [one["code"] for one in tiny.diary() if one["what"] == "begin"] == ["first", "second"]


def test_change_drops_no_request(tiny: Project) -> None:
    """While the API is replaced, no request through the front door fails, and a slow one is finished."""
    tiny.up()
    url, answers, over = tiny.url(), [], threading.Event()

    def knock() -> None:
        while not over.is_set():
            response = ask(url)
            answers.append((response.status_code, response.json()["version"]))

    slow: list[int] = []
    visitors = [threading.Thread(target=knock) for _ in range(2)]
    visitors.append(threading.Thread(target=lambda: slow.append(ask(f"{url}/slow?s=3").status_code)))
    for one in visitors:
        one.start()
    until(lambda: len(answers) > 5, "the first answers")
    tiny.version("api", "two")
    try:
        tiny.up()
    finally:
        over.set()
        for one in visitors:
            one.join()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"one", "two"}
    assert slow == [200]


def test_worker_finishes_its_job_when_replaced(tiny: Project) -> None:
    """The old worker ends only after the job in hand, and the new one takes the next."""
    tiny.change("compose.yaml", 'JOB_SECONDS: "0.1"', 'JOB_SECONDS: "2"')
    tiny.change("towline.yaml", "within: 15s", "within: 30s")
    tiny.up()
    begun = len(tiny.diary())
    (tiny.notes / "jobs/mine.todo").touch()
    until(lambda: any(one["what"] == "job" for one in tiny.diary()[begun:]), "the job is begun")
    old = tiny.pids()["worker"]
    tiny.version("worker", "two")
    tiny.up()
    assert [one["what"] for one in tiny.diary() if one["pid"] == old][-3:] == ["job", "job done", "end"]
    assert (tiny.notes / "jobs/mine.done").exists()
    assert not list(tiny.notes.glob("jobs/*.doing"))


def test_never_ready_on_first_up_leaves_nothing(tiny: Project) -> None:
    """A first version that is never ready ends with 4, shows its last lines, and nothing of it is left."""
    tiny.change("compose.yaml", "VERSION: one\n      NOTES", "VERSION: one\n      READY: never\n      NOTES")
    tiny.change("towline.yaml", "within: 20s", "within: 2s")
    done = tiny.run("up", "--detach").must(4)
    assert "api one listens" in done.err
    assert "towline logs api" in done.err
    assert not [one for one in tiny.processes().values() if "api.py" in one or "worker.py" in one]


def test_never_ready_change_keeps_the_old_version(tiny: Project) -> None:
    """A new version that is never ready ends with 4 and JSON evidence; the old one has served all along."""
    tiny.up()
    before = tiny.pids()
    tiny.version("api", "two")
    tiny.change("compose.yaml", "VERSION: two", "VERSION: two\n      READY: never")
    tiny.change("towline.yaml", "within: 20s", "within: 2s")
    told = tiny.run("up", "--json").must(4).json()
    assert told["error"]["code"] == "step-failed"
    assert any("api two listens" in line for line in told["error"]["evidence"])
    assert tiny.pids() == before
    assert tiny.ask()["version"] == "one"


def test_single_is_never_two_at_once(tiny: Project) -> None:
    """A `single` worker ends before the new one starts; the plan says that it pauses."""
    tiny.change("towline.yaml", "{ max_job: 10s }", "{ max_job: 10s, single: true }")
    tiny.up()
    for version in ("two", "three"):
        tiny.version("worker", version)
        planned = tiny.run("plan").must(10).out
        assert "pauses" in planned
        assert planned.index("stop worker") < planned.index("start worker")
        assert "`worker` pauses" in tiny.up().err
    assert [one["what"] for one in tiny.diary() if one["what"] in ("begin", "end", "overlap")] == [
        "begin",
        "end",
    ] * 2 + ["begin"]


def test_beside_overlaps_which_single_must_not(tiny: Project) -> None:
    """Without `single` the two workers live side by side for a moment: the diary can tell the difference."""
    tiny.up()
    tiny.version("worker", "two")
    tiny.up()
    assert "overlap" in [one["what"] for one in tiny.diary()]


def test_fixed_port_waits_at_the_front_door(tiny: Project) -> None:
    """A service that always listens on one port is swapped after the old one has ended; no request fails meanwhile."""
    port = free_port()
    tiny.change("compose.yaml", 'PORT: "8000"', f'LISTEN: "{port}"')
    tiny.change("compose.yaml", '"8000:8000"', f'"{port}:{port}"')
    tiny.change("api/api.py", 'os.environ["PORT"]', 'os.environ["LISTEN"]')
    tiny.up()
    assert tiny.instances()["api"]["port"] == port
    url, answers, over = tiny.url(), [], threading.Event()

    def knock() -> None:
        while not over.is_set():
            answers.append(ask(url).status_code)

    visitor = threading.Thread(target=knock)
    visitor.start()
    tiny.version("api", "two")
    try:
        done = tiny.up()
    finally:
        over.set()
        visitor.join()
    assert f"always listens on port {port}" in done.err
    assert set(answers) == {200}
    assert tiny.ask()["version"] == "two"
    assert tiny.instances()["api"]["port"] == port


def test_failing_swap_after_starts_the_old_one_again(tiny: Project) -> None:
    """When the new copy of a `single` service cannot live, the old version runs again, and `up` ends with 4."""
    tiny.change("towline.yaml", "{ max_job: 10s }", "{ max_job: 10s, single: true }")
    tiny.up()
    tiny.version("worker", "two")
    # A shell is at its end long before a worker counts as settled, however busy the machine is.
    dies = "command: [sh, -c, 'echo worker cannot live >&2; exit 3']"
    tiny.change("compose.yaml", "    build: ./worker\n", f"    build: ./worker\n    {dies}\n")
    done = tiny.run("up", "--detach").must(4)
    assert "worker cannot live" in done.err
    assert tiny.instances()["worker"]["state"] == "ready"
    assert tiny.diary()[-1]["version"] == "one"


def test_rollback_goes_to_the_release_before(tiny: Project) -> None:
    """`rollback` after a good change brings the old version back; a second one takes the app's first start back."""
    tiny.up()
    tiny.version("api", "two")
    tiny.up()
    tiny.run("rollback").must()
    assert tiny.ask()["version"] == "one"
    assert tiny.run("rollback", "--json").must().json()["changed"] > 0
    assert not [one for one in tiny.processes().values() if "api.py" in one or "worker.py" in one]


def test_rollback_to_a_release(tiny: Project) -> None:
    """Over those between; one that is not there, and the one that runs, are refused before anything is touched."""
    tiny.up()
    first = tiny.ask()["version"]
    for version in ("two", "three"):
        tiny.version("api", version)
        tiny.up()
    unknown = tiny.run("rollback", "9")
    unknown.must(3)
    assert "there is no release 9 to go back to; there are: 1, 2" in unknown.err
    assert tiny.ask()["version"] == "three"
    tiny.run("rollback", "1").must()
    assert tiny.ask()["version"] == first
    runs = tiny.run("rollback", "1")
    runs.must(3)
    assert "release 1 is what runs" in runs.err
