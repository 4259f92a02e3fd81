"""Services as instances and tasks: what renames them, how they give way, and what they get."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.artifact_scenes import ROOT, app, artifact, everything, facts, made, service, sources

from towline.artifacts.services import Sources
from towline.core.secret import Secret
from towline.spec.model import App, Command, Health, ReleaseCommand, Service
from towline.steps.kinds import Probe
from towline.steps.model import InstanceFact


def revision(one: Service, given: Sources | None = None, **seen: Any) -> str:
    of = app(one)
    found = {instance.revision for instance in artifact(of, one.name, facts(**seen), given).instances}
    assert len(found) == 1
    return found.pop()


API = service("api")
CODE, LOCKS = {"api": "code-api"}, {"api": "lock-api"}


@pytest.mark.parametrize(
    "changed",
    [
        {"command": Command(("api", "serve", "--fast"), "run:")},
        {"command": None},
        {"folder": Path("/elsewhere")},
        {"environment": {"MODE": Secret("x")}},
        {"health": Health("/ready", 30.0)},
        {"memory": 10**8},
        {"stop_signal": "QUIT"},
        {"max_job": 26.0},
        {"port_variable": None},
        {"port_variable": None, "port": 8001},
        {"port_variable": "LISTEN"},
    ],
)
def test_what_a_copy_is_made_of_changes_its_revision(changed: dict[str, Any]) -> None:
    """Each of them means another process: a copy under the old name must not be taken for it."""
    if "port_variable" in changed and changed["port_variable"] == "LISTEN":
        of = replace(API, **changed)
        before, after = made(app(API)), made(app(of))
        assert before.services[0].instances[0] != after.services[0].instances[0]
        return
    assert revision(replace(API, **changed)) != revision(API)


def test_code_and_locks_change_the_revision() -> None:
    """Of the service itself, not of another one."""
    assert revision(API, Sources({"api": "new"}, LOCKS)) != revision(API)
    assert revision(API, Sources(CODE, {"api": "new"})) != revision(API)
    assert revision(API, Sources({**CODE, "web": "new"}, {**LOCKS, "web": "new"})) == revision(API)


@pytest.mark.parametrize(
    "changed",
    [
        {"replicas": 3},
        {"single": True},
        {"port": 8001},
        {"after": ("db",)},
        {"line": 99},
        {"health": Health("/health", 99.0)},
        {"setup": "make"},
    ],
)
def test_what_a_copy_is_not_made_of_leaves_it_alone(changed: dict[str, Any]) -> None:
    """More copies, or a longer patience, restart nothing."""
    assert revision(replace(API, **changed)) == revision(API)


def test_the_port_of_a_copy_leaves_its_revision_alone() -> None:
    """Which port was free is no property of the code: else every look would make a release."""
    name = artifact(app(API), "api").instances[0].name
    running = (InstanceFact(name, "api", revision(API), "ready", port=20033),)
    assert revision(API, instances=running, ports={"api": 20005, "door": 20006}) == revision(API)
    other = artifact(app(API), "api", facts(instances=running)).instances[0]
    assert (other.name, other.port) == (name, 20033)


def test_copies_are_numbered_under_their_revision() -> None:
    """`worker.REVISION.1` and on; eight hexadecimal digits."""
    instances = artifact(app(service("worker", "worker", replicas=3)), "worker").instances
    assert len(instances[0].revision) == 8
    assert int(instances[0].revision, 16) >= 0
    assert [one.name for one in instances] == [f"worker.{instances[0].revision}.{number}" for number in (1, 2, 3)]
    assert {one.service for one in instances} == {"worker"}
    assert {one.runs for one in instances} == {"service"}


def test_each_copy_has_its_own_port_in_its_environment() -> None:
    """Under the variable that its program reads; Compose's own value does not count."""
    one = service("api", replicas=2, port_variable="LISTEN", environment={"LISTEN": Secret("8000")})
    site = made(app(one))
    instances = site.services[0].instances
    environments = [json.loads(site.contents[str(copy.env)].reveal()) for copy in instances]
    assert [environment["LISTEN"] for environment in environments] == [str(copy.port) for copy in instances]
    assert len({copy.port for copy in instances}) == 2
    assert site.services[0].upstreams == tuple(f"127.0.0.1:{copy.port}" for copy in instances)


def test_a_service_without_traffic_has_no_port() -> None:
    """A worker listens nowhere, gets no PORT, and all its copies share one environment."""
    site = made(app(service("worker", "worker", replicas=2)))
    instances = site.services[0].instances
    assert [one.port for one in instances] == [None, None]
    assert site.services[0].upstreams == ()
    assert instances[0].env == instances[1].env
    assert "PORT" not in json.loads(site.contents[str(instances[0].env)].reveal())


@pytest.mark.parametrize(
    ("one", "swap", "reason"),
    [
        (service("api"), "beside", ""),
        (service("inner", "private"), "beside", ""),
        (service("worker", "worker"), "beside", ""),
        (service("page", "static"), "beside", ""),
        (service("clock", "worker", single=True), "after", "single"),
        (service("api", single=True), "after", "single"),
        (service("index", "stateful", port=7700, port_variable="PORT"), "after", "its data is in one place"),
        (service("api", port=9000, port_variable=None), "after", "always listens on port 9000: let it read PORT"),
        (service("inner", "private", port=9000, port_variable=None), "after", "always listens on port 9000"),
    ],
)
def test_how_old_copies_give_way(one: Service, swap: str, reason: str) -> None:
    """Side by side unless that cannot be, and then the reason is said."""
    part = artifact(app(one), one.name)
    assert part.swap == swap
    assert reason in part.swap_reason
    assert bool(part.swap_reason) == (swap == "after")


def test_a_fixed_port_is_used() -> None:
    """What cannot take another port gets its own."""
    fixed = artifact(app(service("api", port=9000, port_variable=None)), "api").instances[0]
    assert fixed.port == 9000


def test_everything_of_a_service_starts_in_its_folder() -> None:
    """Its process, its `setup` and its release command, with the programs of that folder first on their PATH."""
    inner = ROOT / "repository" / "app"
    api = service("api", context=ROOT / "repository", folder=inner, setup="install")
    of = app(api, release=ReleaseCommand("api", ("migrate",), backup_first=False, within=1.0))
    part = made(of)
    release = part.release_task
    found = artifact(of, "api")
    assert release is not None
    started = [(one.env, one.cwd) for one in found.instances]
    started += [(one.env, one.cwd) for one in (*found.tasks, release)]
    assert len(started) == 3
    for env, cwd in started:
        assert cwd == str(inner)
        assert env is not None
        path = json.loads(part.contents[env].reveal())["PATH"]
        assert path.startswith(f"{inner}/.venv/bin:{inner}/node_modules/.bin:")
    moved = app(replace(api, folder=ROOT / "repository"))
    assert artifact(moved, "api").tasks[0].marker != found.tasks[0].marker
    assert artifact(moved, "api").instances[0].revision != found.instances[0].revision


def test_limits_are_the_longest_job() -> None:
    """Both for open requests and for the end; a worker has no traffic to drain."""
    api = artifact(app(service("api", max_job=321.0, stop_signal="INT", memory=5)), "api").instances[0]
    assert (api.drain, api.stop_within, api.stop_signal, api.memory) == (321.0, 321.0, "INT", 5)
    worker = artifact(app(service("worker", "worker", max_job=900.0)), "worker").instances[0]
    assert (worker.drain, worker.stop_within) == (0.0, 900.0)


@pytest.mark.parametrize(
    ("one", "probe"),
    [
        (service("api", health=Health("/up", 12.0)), Probe("http", within=12.0, path="/up")),
        (service("api", health=Health(None, 12.0)), Probe("tcp", within=12.0)),
        (service("worker", "worker", health=Health(None, 5.0)), Probe("lives", within=5.0)),
        (service("worker", "worker", health=Health("/up", 5.0)), Probe("lives", within=5.0)),
        (service("disk", "stateful", health=Health(None, 5.0)), Probe("lives", within=5.0)),
    ],
)
def test_how_readiness_is_asked(one: Service, probe: Probe) -> None:
    """By http where there is a path and traffic, by the port where there is traffic, else by living."""
    assert artifact(app(one), one.name).instances[0].ready == probe


def test_command_and_folder_are_the_services() -> None:
    """As given."""
    bare = artifact(app(service("api", folder=ROOT, command=None)), "api").instances[0]
    assert (bare.command, bare.cwd) == ((), str(ROOT))
    full = artifact(app(API), "api").instances[0]
    assert (full.command, full.cwd) == (("api", "serve"), str(ROOT / "api"))


def test_setup_comes_before_anything_of_the_service() -> None:
    """Through a shell, in the context, with a long limit; `after` is passed on."""
    part = artifact(app(service("api", setup="pip install .", after=("web",)), service("web")), "api")
    (setup,) = part.tasks
    assert (setup.name, setup.service, setup.output) == ("setup api", "api", None)
    assert setup.command == ("/bin/sh", "-c", "pip install .")
    assert (setup.cwd, setup.within) == (str(ROOT / "api"), 1800.0)
    assert part.after == ("web",)
    assert artifact(app(API), "api").tasks == ()


def marker(of: App, name: str, task: int = 0, given: Sources | None = None) -> str:
    found = artifact(of, name, given=given).tasks[task].marker
    assert found is not None
    return found


def test_setup_is_done_again_for_other_locks_or_another_line() -> None:
    """Not for other code, nor for another environment: installing is slow."""
    one = service("api", setup="pip install .")
    plain = marker(app(one), "api")
    assert marker(app(one), "api", given=Sources(CODE, {"api": "new"})) != plain
    assert marker(app(replace(one, setup="pip install -e .")), "api") != plain
    assert marker(app(replace(one, folder=Path("/elsewhere"))), "api") != plain
    assert marker(app(one), "api", given=Sources({"api": "new"}, LOCKS)) == plain
    assert marker(app(replace(one, environment={"A": Secret("1")})), "api") == plain


def test_a_static_service_is_built_and_not_run() -> None:
    """Its files are kept under the marker of its build, and that is where its traffic goes."""
    of = app(service("page", "static", setup="npm ci"))
    part = artifact(of, "page")
    assert part.instances == ()
    assert [one.name for one in part.tasks] == ["setup page", "build page"]
    assert (part.tasks[1].output, part.tasks[1].command) == ("dist", ("/bin/sh", "-c", "npm run build"))
    assert part.upstreams == (part.tasks[1].marker,)


def test_a_static_service_is_built_again_for_code_locks_line_or_variables() -> None:
    """What is in the files decides, and only that."""
    page = service("page", "static")
    plain = marker(app(page), "page")
    assert marker(app(page), "page", given=Sources({"page": "new"}, {"page": "lock-page"})) != plain
    assert marker(app(page), "page", given=Sources({"page": "code-page"}, {"page": "new"})) != plain
    assert marker(app(replace(page, build="npm run other")), "page") != plain
    assert marker(app(replace(page, build_environment={"A": Secret("1")})), "page") != plain
    assert marker(app(replace(page, environment={"A": Secret("1")})), "page") == plain


def test_a_static_service_without_a_build_keeps_its_files() -> None:
    """Plain files need no program; there is still something to keep."""
    (task,) = artifact(app(service("page", "static", build=None, output="public")), "page").tasks
    assert (task.command[-1], task.output) == ("true", "public")
    assert artifact(app(service("page", "static", output=None)), "page").tasks == ()


def test_a_task_runs_once_for_its_code_command_and_environment() -> None:
    """It is no instance; its marker says what it was done with."""
    seed = service("seed", "task")
    part = artifact(app(seed), "seed")
    assert (part.instances, part.upstreams) == ((), ())
    (task,) = part.tasks
    assert (task.name, task.command, task.cwd, task.within) == ("task seed", ("seed", "serve"), "/project/seed", 600.0)
    plain = marker(app(seed), "seed")
    assert marker(app(seed), "seed", given=Sources({"seed": "new"}, {})) != plain
    assert marker(app(replace(seed, command=Command(("other",), "run:"))), "seed") != plain
    assert marker(app(replace(seed, environment={"A": Secret("1")})), "seed") != plain
    assert marker(app(seed), "seed", given=Sources({"seed": "code-seed"}, {"seed": "new"})) == plain


def test_the_release_command_runs_as_its_service() -> None:
    """In its folder and environment, without a port; again for other code, environment or words."""
    of = everything()
    site = made(of)
    task = site.release_task
    assert task is not None
    assert (task.name, task.service, task.command) == ("release", "api", ("migrate", "up"))
    assert (task.cwd, task.within) == (str(ROOT / "api"), 300.0)
    environment = json.loads(site.contents[str(task.env)].reveal())
    assert environment["DATABASE_URL"].startswith("postgresql://app:canary-value-db-password@")
    assert "PORT" not in environment
    assert made(of, given=sources(of, worker="new")).release_task == task
    assert _release_marker(of, sources(of, api="new")) != task.marker
    words = replace(of, release=ReleaseCommand("api", ("migrate", "down"), backup_first=False, within=300.0))
    assert _release_marker(words) != task.marker
    changed = tuple(replace(one, environment={"A": Secret("1")}) for one in of.services)
    assert _release_marker(replace(of, services=changed)) != task.marker
    assert made(replace(of, release=None)).release_task is None


def _release_marker(of: App, given: Sources | None = None) -> str | None:
    task = made(of, given=given).release_task
    assert task is not None
    return task.marker
