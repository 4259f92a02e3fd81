"""The scripts of the rendered deploy workflow, really run: against Render's API as described, and real addresses."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.render_projects import workflow_case
from tests.lab.render_stand_in import KEY, Deploy, RenderStandIn
from tests.lab.workflow_runner import Ran, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
EARLIER = "fedcba9876543210fedcba9876543210fedcba98"
SERVICES = ("kirby-gen-api", "kirby-gen-skills", "kirby-gen-sweeper", "kirby-gen-web", "kirby-gen-worker")
pytestmark = pytest.mark.needs("bash", "curl", "jq")


@pytest.fixture
def render() -> Iterator[RenderStandIn]:
    """The account, with the services of the Blueprint."""
    with RenderStandIn(*SERVICES) as server:
        yield server


def runner(name: str, file: str, folder: Path, **knows: str) -> Runner:
    """The workflow of an example."""
    usual = {
        "secrets.RENDER_API_KEY": KEY,
        "needs.release.outputs.release": json.dumps({"commit": COMMIT, "images": {}}),
        "needs.release.outputs.commit": COMMIT,
        "needs.release.outputs.back": "false",
    }
    return Runner(workflow_case(name, file), folder / "runner", {**usual, **knows})


def deploy(render: RenderStandIn, folder: Path, **knows: str) -> Ran:
    """The step that deploys, against the stand-in."""
    made = runner("kirby-whole", "deploy", folder, **knows)
    ran = made.step("cloud", "Deploy and wait", RENDER_API=f"{render.url}/v1", PAUSE="0.05", WITHIN="20")
    assert KEY not in ran.said + ran.summary
    assert render.state.wrong == []
    return ran


def test_every_service_gets_the_commit_and_is_waited_for(render: RenderStandIn, tmp_path: Path) -> None:
    """The one that migrates is live before another is begun; all of them deploy what was built, each once."""
    ran = deploy(render, tmp_path)
    assert ran.status == 0, ran.said
    asked = {name: [one.asked for one in render.state.deploys[f"srv-{name}"]] for name in SERVICES}
    assert asked == {name: [{"commitId": COMMIT}] for name in SERVICES}
    begun = [call.split("/")[3] for call in render.state.calls if call.startswith("POST")]
    assert begun[0] == "srv-kirby-gen-api"
    looked = [number for number, call in enumerate(render.state.calls) if "dep-srv-kirby-gen-api-0" in call]
    others = [number for number, call in enumerate(render.state.calls) if call.startswith("POST")][1:]
    assert max(looked) < min(others)
    assert all(f"| {name} | dep-srv-{name}-0 | live |" in ran.summary for name in SERVICES)


def test_a_deploy_that_waits_behind_another_is_found(render: RenderStandIn, tmp_path: Path) -> None:
    """An answer without a body has no number: the newest deploy that was not there before is the one."""
    render.state.queued.add("srv-kirby-gen-worker")
    render.state.deploys["srv-kirby-gen-worker"] = [Deploy("dep-old", {}, ["live"], EARLIER)]
    ran = deploy(render, tmp_path)
    assert ran.status == 0, ran.said
    assert "| kirby-gen-worker | dep-srv-kirby-gen-worker-1 | live |" in ran.summary


@pytest.mark.parametrize("end", ["build_failed", "update_failed", "pre_deploy_failed", "canceled", "deactivated"])
def test_a_failed_migration_stops_the_deploy(render: RenderStandIn, tmp_path: Path, end: str) -> None:
    """The service that migrates fails: nothing else is begun, and the job fails with the state as its reason."""
    render.state.ends["kirby-gen-api"] = end
    ran = deploy(render, tmp_path)
    assert ran.status != 0
    assert f"kirby-gen-api: {end}, and the version before it goes on running" in ran.said
    assert [call for call in render.state.calls if call.startswith("POST")] == [
        "POST /v1/services/srv-kirby-gen-api/deploys"
    ]


def test_a_deploy_that_never_ends_is_given_up(render: RenderStandIn, tmp_path: Path) -> None:
    """The wait has an end, and says what it waited for."""
    render.state.ends["kirby-gen-api"] = "update_in_progress"
    made = runner("kirby-whole", "deploy", tmp_path)
    ran = made.step("cloud", "Deploy and wait", RENDER_API=f"{render.url}/v1", PAUSE="0.05", WITHIN="1")
    assert ran.status != 0
    assert re.search(r"kirby-gen-api \(\w+\): not done within 1 s", ran.said)


def test_going_back_takes_the_deploy_of_that_commit(render: RenderStandIn, tmp_path: Path) -> None:
    """What was live before is not built again; a service that never had the commit is deployed from it."""
    for name in SERVICES[:-1]:
        render.state.deploys[f"srv-{name}"] = [
            Deploy(f"dep-{name}-old", {}, ["deactivated"], EARLIER),
            Deploy(f"dep-{name}-now", {}, ["live"], COMMIT),
        ]
    knows = {"needs.release.outputs.commit": EARLIER, "needs.release.outputs.back": "true"}
    ran = deploy(render, tmp_path, **knows)
    assert ran.status == 0, ran.said
    posts = [call for call in render.state.calls if call.startswith("POST")]
    assert sum(call.endswith("/rollback") for call in posts) == len(SERVICES) - 1
    asked = {name: render.state.deploys[f"srv-{name}"][-1].asked for name in SERVICES}
    assert asked["kirby-gen-api"] == {"deployId": "dep-kirby-gen-api-old"}
    assert asked["kirby-gen-worker"] == {"commitId": EARLIER}


def test_a_name_that_two_services_have_is_refused(render: RenderStandIn, tmp_path: Path) -> None:
    """Names are not unique at Render, and a guess could deploy into somebody else's service."""
    render.state.twice.add("kirby-gen-api")
    ran = deploy(render, tmp_path)
    assert ran.status != 0
    assert "Render has not exactly one service of the name kirby-gen-api" in ran.said
    assert not [call for call in render.state.calls if call.startswith("POST")]


def test_a_wrong_key_is_told(render: RenderStandIn, tmp_path: Path) -> None:
    """401 ends the job."""
    made = runner("kirby-whole", "deploy", tmp_path, **{"secrets.RENDER_API_KEY": "wrong"})
    ran = made.step("cloud", "Deploy and wait", RENDER_API=f"{render.url}/v1", PAUSE="0.05")
    assert ran.status != 0
    assert "401" in ran.said


def test_services_of_images_get_their_image_and_tell_their_address(tmp_path: Path) -> None:
    """Without a build here the configured image is deployed anew; the platform's addresses reach the next job."""
    with RenderStandIn("cooly-api", "cooly-web") as render:
        made = runner("cooly", "deploy", tmp_path, **{"github.sha": COMMIT})
        ran = made.step("cloud", "Deploy and wait", RENDER_API=f"{render.url}/v1", PAUSE="0.05")
        assert ran.status == 0, ran.said
        assert render.state.wrong == []
        assert [one.asked for one in render.state.deploys["srv-cooly-api"]] == [{}]
    assert ran.outputs["addresses"].splitlines() == [
        "cooly-api https://cooly-api.onrender.example/api/health",
        "cooly-web https://cooly-web.onrender.example/",
    ]


class Listening:
    """An HTTP server that answers with the given states in turn, the last one for good, and keeps what it was sent."""

    def __init__(self, *states: int) -> None:
        self.states, self.bodies, self.paths = list(states), list[Any](), list[str]()
        seen = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                pass

            def do_GET(self) -> None:
                seen.paths.append(self.path)
                self._answer()

            def do_POST(self) -> None:
                seen.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer()

            def _answer(self) -> None:
                self.send_response(seen.states.pop(0) if len(seen.states) > 1 else seen.states[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listening() -> Iterator[Callable[..., Listening]]:
    """Makes servers that are gone after the test."""
    made: list[Listening] = []

    def make(*states: int) -> Listening:
        made.append(Listening(*states))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_every_public_address_is_asked_until_it_answers(tmp_path: Path, listening: Callable[..., Listening]) -> None:
    """503 while it starts is waited out; each answer stands in the summary."""
    site = listening(503, 503, 200)
    made = runner("kirby-whole", "deploy", tmp_path, **{"needs.cloud.outputs.addresses": ""})
    ran = made.step("look", "Ask every public address", ADDRESSES=f"api {site.url}/api/health\n\n", PAUSE="0.05")
    assert ran.status == 0, ran.said
    assert site.paths == ["/api/health"] * 3
    assert f"| api | {site.url}/api/health | 200 |" in ran.summary


def test_an_address_that_stays_wrong_fails_the_job_and_the_others_are_asked(
    tmp_path: Path, listening: Callable[..., Listening]
) -> None:
    """All that is wrong is told at once: a status, a refused connection, an address that is not known."""
    bad, good = listening(500), listening(200)
    lines = f"api {bad.url}/\nweb http://127.0.0.1:1/\nadmin /\nshop {good.url}/\n"
    made = runner("kirby-whole", "deploy", tmp_path, **{"needs.cloud.outputs.addresses": ""})
    ran = made.step("look", "Ask every public address", ADDRESSES=lines, PAUSE="0.05", WITHIN="1")
    assert ran.status == 1
    assert f"{bad.url}/ answers 500, not 2xx" in ran.said
    assert "http://127.0.0.1:1/ answers 000" in ran.said
    assert "admin has no address" in ran.said
    assert f"| shop | {good.url}/ | 200 |" in ran.summary


def test_the_end_is_told_with_the_address_and_the_verdict(tmp_path: Path, listening: Callable[..., Listening]) -> None:
    """One message that Slack and Discord both read, with a link to the run; the webhook's address is not printed."""
    chat = listening(204)
    ran = tell(tmp_path, f"{chat.url}/hook-S3cret", "FAILED")
    assert ran.status == 0, ran.said
    text = (
        f"kirby-gen production {COMMIT}: FAILED. https://api.kirby.example https://kirby.example\n"
        "https://git.example/Kirby/kirby-gen/actions/runs/77"
    )
    assert chat.bodies == [{"text": text, "content": text}]
    assert "S3cret" not in ran.said + ran.summary


def test_without_a_webhook_a_warning_says_so(tmp_path: Path) -> None:
    """Nobody has to have one."""
    ran = tell(tmp_path, "", "deployed")
    assert ran.status == 0
    assert "::warning::" in ran.said


def test_a_webhook_that_refuses_fails_its_job(tmp_path: Path, listening: Callable[..., Listening]) -> None:
    """A wrong address is not taken for a told end."""
    assert tell(tmp_path, listening(404).url, "deployed").status != 0


def tell(folder: Path, webhook: str, verdict: str) -> Ran:
    """The step that tells, with a verdict."""
    expression = "contains(needs.*.result, 'failure') && 'FAILED' || contains(needs.*.result, 'cancelled') && "
    expression += "'cancelled' || 'deployed'"
    knows = {expression: verdict, "secrets.NOTIFY_WEBHOOK": webhook}
    return runner("kirby-whole", "deploy", folder, **knows).step("tell", "Tell how it went")
