"""The script that deploys through a panel, run against stand-ins that check each request by the panel's description."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.contract.render_projects import workflow_case
from tests.lab.described import Description
from tests.lab.workflow_runner import Ran, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "token-of-the-test"
IMAGE = "ghcr.io/kirby/nutri-api@sha256:11"
RELEASE = json.dumps({"commit": COMMIT, "images": {"api": IMAGE}})
NAMES = {"coolify": "UUID", "dokploy": "ID"}
pytestmark = pytest.mark.needs("bash", "curl", "jq")


class Panel:
    """One of the two, with the states that each deployment is seen in, the last one for good."""

    def __init__(self, kind: str) -> None:
        self.kind, self.description = kind, Description(kind)
        self.states = ["queued", "in_progress", "finished"] if kind == "coolify" else ["running", "done"]
        self.images: dict[str, Any] = {}
        self.deployments: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """What it does and says."""
        if self.kind == "coolify":
            return self._coolify(method, path, query, body)
        return self._dokploy(path, query, body)

    def _coolify(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if method == "patch":
            self.images[path.rpartition("/")[2]] = body
            return {"uuid": path.rpartition("/")[2]}
        if method == "post":
            self.deployments.append((query["uuid"][0], f"deployment-{len(self.deployments)}"))
            return {"deployments": [{"message": "", "deployment_uuid": self.deployments[-1][1]}]}
        return {"deployment_uuid": path.rpartition("/")[2], "status": self._state()}

    def _dokploy(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if path == "/application.update":
            self.images[body["applicationId"]] = body["dockerImage"]
            return True
        if path == "/application.deploy":
            self.deployments.append((body["applicationId"], body["title"]))
            return {}
        asked = query["applicationId"][0]
        old = {"title": "an earlier one", "status": "error"}
        shown = [{"title": title, "status": self._state()} for one, title in self.deployments if one == asked]
        return [*reversed(shown), old]

    def _state(self) -> str:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def _handler(panel: Panel) -> type[BaseHTTPRequestHandler]:
    before = {"coolify": "/api/v1", "dokploy": "/api"}[panel.kind]
    header = {"coolify": ("Authorization", f"Bearer {TOKEN}"), "dokploy": ("x-api-key", TOKEN)}[panel.kind]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

        def do_GET(self) -> None:
            self._answered("get")

        def do_POST(self) -> None:
            self._answered("post")

        def do_PATCH(self) -> None:
            self._answered("patch")

        def _answered(self, method: str) -> None:
            address = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            known = self.headers.get(header[0]) == header[1] and address.path.startswith(before)
            path, query = address.path.removeprefix(before), parse_qs(address.query)
            if known:
                panel.wrong += panel.description.mistakes(method, path, query, body)
            said = json.dumps(panel.answer(method, path, query, body) if known else {"message": "Unauthenticated."})
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

    return Handler


@pytest.fixture
def panels() -> Iterator[Callable[[str], Panel]]:
    """Makes panels that are gone after the test."""
    made: list[Panel] = []

    def make(kind: str) -> Panel:
        made.append(Panel(kind))
        threading.Thread(target=made[-1].server.serve_forever, args=(0.02,), daemon=True).start()
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def deploy(panel: Panel, folder: Path, token: str = TOKEN, **beside: str) -> Ran:
    """The step that deploys: what the workflow of a panel does, with a release that has an image of one service."""
    name, target = panel.kind.upper(), "PRODUCTION" if panel.kind == "coolify" else "DOKPLOY"
    knows = {
        "github.sha": COMMIT,
        f"vars.{target}_{name}_URL": f"{panel.url}/",
        f"secrets.{target}_{name}_TOKEN": token,
        **{f"vars.{target}_{service}_{NAMES[panel.kind]}": f"{service.lower()}-1" for service in ("API", "ML")},
    }
    runner = Runner(workflow_case("nutri", "deploy", target.lower()), folder, knows)
    ran = runner.step("box", "Deploy and wait", RELEASE=RELEASE, PAUSE="0.05", **beside)
    assert token not in ran.said + ran.summary
    assert panel.wrong == []
    return ran


@pytest.mark.parametrize("kind", NAMES)
def test_each_application_gets_its_image_and_is_waited_for(
    kind: str, panels: Callable[[str], Panel], tmp_path: Path
) -> None:
    """What was built here is set first; what was not is deployed as the panel has it."""
    panel = panels(kind)
    ran = deploy(panel, tmp_path)
    assert ran.status == 0, ran.said
    assert [application for application, _ in panel.deployments] == ["api-1", "ml-1"]
    by_tag = {
        "docker_registry_image_name": "ghcr.io/kirby/nutri-api",
        "docker_registry_image_tag": f"{COMMIT}-production",
    }
    assert panel.images == {"api-1": by_tag if kind == "coolify" else IMAGE}
    assert ran.summary.count("finished" if kind == "coolify" else "| done |") == 2


@pytest.mark.parametrize(
    ("kind", "end"), [("coolify", "failed"), ("coolify", "cancelled-by-user"), ("dokploy", "error")]
)
def test_a_deployment_that_fails_fails_the_job(
    kind: str, end: str, panels: Callable[[str], Panel], tmp_path: Path
) -> None:
    """With the panel's own word for it."""
    panel = panels(kind)
    panel.states = ["running", end]
    ran = deploy(panel, tmp_path)
    assert ran.status != 0
    assert f"api: {end}, and the version before it goes on running" in ran.said


@pytest.mark.parametrize("kind", NAMES)
def test_a_deployment_that_never_ends_is_given_up(kind: str, panels: Callable[[str], Panel], tmp_path: Path) -> None:
    """The wait has an end."""
    panel = panels(kind)
    panel.states = ["running"]
    ran = deploy(panel, tmp_path, WITHIN="1")
    assert ran.status != 0
    assert "api: running after 1 s" in ran.said


@pytest.mark.parametrize("kind", NAMES)
def test_a_wrong_token_and_a_missing_number_are_told(kind: str, panels: Callable[[str], Panel], tmp_path: Path) -> None:
    """401 ends the job, and so does an application that nobody named."""
    wrong = deploy(panels(kind), tmp_path / "wrong", token="another")
    assert wrong.status != 0
    assert "401" in wrong.said
    unknown = deploy(panels(kind), tmp_path / "unknown", APPLICATIONS="api \n")
    assert unknown.status != 0
    assert "which application api is in the panel is not known" in unknown.said
