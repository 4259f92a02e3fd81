"""compose.dev.yaml, compose.prod.yaml and the runbook's own lines for Postcards, on a real Docker."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.compose_watch import watching
from tests.real_servers import free_port, until
from tests.render_scenes import material

from towline.lab.docker import LabDocker
from towline.lab.images import bake
from towline.ops.render import rendered
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

IMAGES = ("python:3.11-slim", "postgres:18.6", "valkey/valkey:9", "chrislusf/seaweedfs:4.48")
PARTS = ("api", "db", "queue", "media")
WITHIN = 240.0
STORES = "db queue media"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A copy of Postcards with everything that was rendered for a server, and the Docker that it runs on."""

    docker: LabDocker
    project: Path
    out: Path
    photo: bytes
    environment: dict[str, str]

    def compose(self, file: str, *words: str) -> str:
        return self.docker.compose("--file", str(self.out / file), *words, within=WITHIN, cwd=self.project)

    def states(self, file: str) -> dict[str, str]:
        """What Compose says of each service: running and healthy, or ended and how."""
        told = self.compose(file, "ps", "--all", "--format", "{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}")
        return {words[0]: " ".join(words[1:]) for words in (line.split() for line in told.splitlines())}


@pytest.fixture(scope="module")
def pair(checkout: Path, checkout_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """All files of a target on one server; ports of this machine that are free, and a name that no other test has."""
    made = material(checkout, "postcards", "server", tmp_path_factory.mktemp("pair"))
    project = made.app.root
    out = project / "deploy" / "server"
    out.mkdir(parents=True)
    for file in rendered(made):
        (out / file.path).parent.mkdir(parents=True, exist_ok=True)
        (out / file.path).write_text(file.text)
    photo = (checkout / "examples" / "postcards" / "sample" / "photo.jpg").read_bytes()
    with LabDocker(os.environ) as docker:
        bake(docker, IMAGES)
        told = {f"LOCAL_{name.upper()}_PORT": str(free_port()) for name in PARTS}
        told |= {
            "COMPOSE_PROJECT_NAME": f"towline-pair-{checkout_name}",
            "REGISTRY": "registry.test/pair",
            "VERSION": "1",
        }
        docker.environment = {**docker.environment, **told}
        yield Pair(docker, project, out, photo, told)
        names = ("postcards-api:dev", "registry.test/pair/postcards-api:1", "registry.test/pair/postcards-worker:1")
        docker.ask("image", "rm", *names)


@contextmanager
def running(pair: Pair, file: str) -> Iterator[httpx.Client]:
    """Everything of one file, up by the one command that its head names, without --watch; gone at the end."""
    try:
        pair.compose(file, "up", "--build", "--detach", "--wait")
        base = f"http://127.0.0.1:{pair.environment['LOCAL_API_PORT']}"
        with httpx.Client(base_url=base, timeout=30) as browser:
            yield browser
    finally:
        pair.compose(file, "down", "--volumes", "--remove-orphans", "--timeout", "5")


def a_card(pair: Pair, browser: httpx.Client) -> dict[str, str]:
    """One job, sent and followed to its end."""
    taken = browser.post("/api/cards", data={"greeting": "Hello"}, files={"photo": ("photo.jpg", pair.photo)})
    assert taken.status_code == 202

    def done() -> dict[str, str] | None:
        card: dict[str, str] = browser.get(taken.json()["url"]).json()
        assert card["state"] != "failed", card
        return card if card["state"] == "done" else None

    return until(done, "the card is done")


def is_well(pair: Pair, file: str) -> None:
    """Every container runs and is healthy, or was to end and ended well."""
    states = pair.states(file)
    once = {"release": "exited 0", "media-setup": "exited 0"}
    assert states == {name: once.get(name, "running healthy 0") for name in states}
    assert {"api", "worker", *once, "db", "queue", "media"} == set(states)


def test_development_serves_a_changed_source_without_a_rebuild(pair: Pair) -> None:
    """All parts are healthy, a job is done, its picture loads; a change in the source is there, from the same image."""
    file = "compose.dev.yaml"
    with running(pair, file) as browser:
        is_well(pair, file)
        picture = httpx.get(a_card(pair, browser)["image_url"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        image = pair.docker.run("inspect", "--format", "{{.Image}}", pair.compose(file, "ps", "-q", "api").strip())
        code, static = pair.project / "postcards" / "api.py", pair.project / "postcards" / "static"
        (static / "changed.txt").write_text("as it is now\n")
        assert until(lambda: served(browser, "/static/changed.txt"), "the file is served") == "as it is now\n"
        with (
            watching(pair.docker, pair.out / file, pair.out / "watch.log"),
            replaced(code, 'return {"status": "ok"}', 'return {"status": "changed"}'),
        ):
            until(lambda: "changed" in (served(browser, "/livez") or ""), "the changed code answers")
        after = pair.docker.run("inspect", "--format", "{{.Image}}", pair.compose(file, "ps", "-q", "api").strip())
        assert after == image


def served(browser: httpx.Client, path: str) -> str | None:
    try:
        answer = browser.get(path)
    except httpx.HTTPError:  # while it starts again
        return None
    return answer.text if answer.status_code == 200 else None


@contextmanager
def replaced(file: Path, old: str, new: str) -> Iterator[None]:
    """A source with another text in it, for a while."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    try:
        yield
    finally:
        file.write_text(text)


def test_production_runs_as_it_was_built(pair: Pair) -> None:
    """Built images, limits, nothing mounted: all parts are healthy, a job is done, its picture loads."""
    file = "compose.prod.yaml"
    with running(pair, file) as browser:
        is_well(pair, file)
        picture = httpx.get(a_card(pair, browser)["image_url"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")


def test_the_runbook_brings_back_what_it_backed_up(pair: Pair, tmp_path: Path) -> None:
    """Its own lines, run in the folder of a server: what database, queue and bucket held comes back after its loss."""
    run = on_the_server(pair, tmp_path)
    ask = "docker compose exec -T db psql -U postcards -d postcards -tAc"
    look = "docker compose exec -T media ls /data"
    try:
        run(f"docker compose up --detach --wait {STORES}")
        run(f"{ask} 'create table kept as select 42 as answer'")
        run("docker compose exec -T queue valkey-cli set kept forty-two")
        run("docker compose exec -T media touch /data/kept")
        for line in lines_of(pair, "Back up"):
            run(stamped(line))
        run(f"{ask} 'drop table kept'")
        run("docker compose exec -T queue valkey-cli del kept")
        run("docker compose exec -T media rm /data/kept")
        for line in lines_of(pair, "Restore"):
            run(re.sub(r"(up --detach --wait)$", rf"\1 {STORES}", stamped(line)))
        assert run(f"{ask} 'select answer from kept'").strip() == "42"
        assert run("docker compose exec -T queue valkey-cli get kept").strip() == "forty-two"
        assert "kept" in run(look).split()
    finally:
        run("docker compose down --volumes --remove-orphans --timeout 5")


def stamped(line: str) -> str:
    """A line with its moment, which the runbook takes from the clock, as a word of the test's own."""
    return line.replace("$(date +%F-%H%M)", "STAMP").replace("   # it can be read", "")


def lines_of(pair: Pair, section: str) -> list[str]:
    """The commands of one section of the runbook, as they stand there."""
    text = (pair.out / "RUNBOOK.md").read_text()
    body = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = [line for block in BLOCK.findall(body) for line in block.splitlines()]
    assert found
    return found


def on_the_server(pair: Pair, tmp_path: Path) -> Callable[[str], str]:
    """A shell in the folder of a server, with `docker compose` as everybody has it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    compose = " ".join(find_compose(pair.docker.environment))
    docker = shutil.which("docker", path=pair.docker.environment["PATH"])
    shim = f'#!/bin/sh\n[ "$1" = compose ] || exec {docker} "$@"\nshift\nexec {compose} "$@"\n'
    (programs / "docker").write_text(shim)
    (programs / "docker").chmod(0o755)
    folder = tmp_path / "server"
    folder.mkdir()
    for name in ("compose.yaml", "Caddyfile", ".env.example"):
        (folder / name).write_text((pair.out / name).read_text())
    text = (folder / ".env.example").read_text()
    told = re.sub(r"^(\w+)=$", lambda match: f"{match[1]}={secrets.token_hex(12)}", text, flags=re.MULTILINE)
    (folder / ".env").write_text(f"{told}COMPOSE_FILE=compose.yaml:quick.yaml\n")
    # SeaweedFS waits for connections of its own that nobody closes; its files are written long before it is killed.
    (folder / "quick.yaml").write_text("services: {media: {stop_grace_period: 3s}}\n")
    env = {
        **pair.docker.environment,
        "PATH": f"{programs}:{pair.docker.environment['PATH']}",
        "PUBLIC_HOST": "localhost",
    }

    def run(line: str) -> str:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=WITHIN,
        )  # fmt: skip
        assert ran.returncode == 0, (line, ran.stdout[-500:], ran.stderr[-1500:])
        return ran.stdout

    return run
