"""From the command to the first job done: `towline up` against `docker compose up` of the same app, both warm.

Both start from a stopped state with everything installed or built and all data kept: Towline after `towline down`,
Compose after `docker compose down` without --volumes, so its containers and network are made anew. A row after
`docker compose stop`, which keeps them, is shown beside it and is no goal. One client, the same for both, sends a photo
from the moment the command starts, follows its card until it is done and loads the picture: that is the time.

Compose runs on the user's Docker, or on one that the lab starts. Where no registry can be reached its images are the
lab's stand-ins. Nothing is installed: what is missing is named, with the line that installs it, and its goal fails.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx

from figures import Goals, machine, spread, table
from towline.core.errors import StepFailed, TowlineError
from towline.lab.docker import LabDocker
from towline.lab.images import RECIPES, bake
from towline.ops.through_door import Browser
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

APP = Path(__file__).resolve().parent.parent / "examples" / "postcards"
TOWLINE = str(Path(sys.executable).with_name("towline"))
OURS, AFTER_DOWN, AFTER_STOP = "towline up", "docker compose up (after down)", "docker compose up (after stop)"
ROUNDS = 5
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Towline as an installation has it, with its modules compiled: warm means that everything was used once before."""
WITHIN = 180.0
"""Seconds until a first job at the latest; more is a failure, not a figure."""


@dataclass(frozen=True)
class Way:
    """One way to start the app: how, how it is stopped again, and where its API answers."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    base: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Timed:
    """Seconds from the start of a command until the client had the picture, and until the command ended."""

    job: float
    command: float


def must(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints; the benchmark ends with its words when it fails."""
    ran = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with status {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def first_card(base: str, photo: bytes, alive: Callable[[], None]) -> None:
    """Send a photo until the API takes it, follow its card until it is done, and load the picture."""
    deadline = time.monotonic() + WITHIN
    card = {"data": {"greeting": "Greetings from the benchmark"}, "files": {"photo": ("photo.jpg", photo)}}
    with Browser(patience=WITHIN) as browser:
        while time.monotonic() < deadline:
            alive()
            try:
                taken = browser.ask("POST", urljoin(base, "/api/cards"), **card)
                if taken.status_code == httpx.codes.ACCEPTED and loaded(browser, base, taken.json()["url"], deadline):
                    return
                if taken.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                    raise SystemExit(f"the API does not take the card: {taken.text}")
            except httpx.HTTPError:
                pass  # nobody listens yet, or it is only being started: ask again
            time.sleep(0.02)
    raise SystemExit(f"no card was done at {base} within {WITHIN:.0f} s")


def loaded(browser: Browser, base: str, path: str, deadline: float) -> bool:
    """Whether the card became done and its picture came; a failed card is an error."""
    while time.monotonic() < deadline:
        card = browser.ask("GET", urljoin(base, path)).json()
        if card.get("state") == "failed":
            raise SystemExit(f"the card failed: {card.get('error')}")
        if card.get("state") == "done":
            picture = browser.ask("GET", card["image_url"])
            return picture.status_code == httpx.codes.OK and picture.headers["content-type"] == "image/jpeg"
        time.sleep(0.02)
    return False


def timed(way: Way, photo: bytes) -> Timed:
    """Start the app once, from stopped, and stop it again."""
    with tempfile.TemporaryFile("w+") as output:

        def alive() -> None:
            if command.poll():
                output.seek(0)
                raise SystemExit(f"{way.name} ended with status {command.returncode}:\n{output.read()}")

        began = time.monotonic()
        command = subprocess.Popen(
            way.up, env=dict(way.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            first_card(way.base, photo, alive)
            job = time.monotonic() - began
            command.wait(timeout=WITHIN)
            alive()
            ended = time.monotonic() - began
        finally:
            if command.poll() is None:
                command.terminate()
                command.wait(timeout=60)
    must(way.down, way.environment)
    return Timed(job, ended)


@contextmanager
def a_copy() -> Iterator[Path]:
    """The app's own files in a folder of their own: nobody's running app or data is touched."""
    with tempfile.TemporaryDirectory(prefix="towline-up-") as folder:
        project = Path(folder) / APP.name
        shutil.copytree(APP, project, ignore=shutil.ignore_patterns(".venv", ".towline", "__pycache__", ".env"))
        yield project


@contextmanager
def towline_way(project: Path) -> Iterator[Way]:
    """Towline with its environments and stores made, and stopped; purged at the end."""
    place = ("--project", str(project))
    try:
        answer = json.loads(must([TOWLINE, "up", "--json", *place], INSTALLED))
        must([TOWLINE, "down", *place], INSTALLED)
        base = answer["addresses"]["api"]
        yield Way(OURS, (TOWLINE, "up", "--detach", *place), (TOWLINE, "down", *place), base, INSTALLED)
    finally:
        subprocess.run([TOWLINE, "down", "--purge", APP.name, *place], capture_output=True, check=False)


@contextmanager
def compose_ways(docker: LabDocker, project: Path) -> Iterator[tuple[Way, Way]]:
    """Compose with its images built and volumes made, and stopped; everything of it is removed at the end."""
    api, media = free_ports(2)
    override = project.parent / "ports.yaml"
    override.write_text(ports_override(api, media))
    files = ("-f", str(project / "compose.yaml"), "-f", str(override))
    argv = (*find_compose(docker.environment), "--project-name", "towline-bench-up", *files)
    base = f"http://127.0.0.1:{api}"
    up, down, stop = (*argv, "up", "--detach"), (*argv, "down"), (*argv, "stop")
    try:
        must((*argv, "build"), docker.environment)
        # In turn: what the first one stops the second one starts from, and what that removes the first one makes.
        after_down = Way(AFTER_DOWN, up, stop, base, docker.environment)
        after_stop = Way(AFTER_STOP, up, down, base, docker.environment)
        yield after_down, after_stop
    finally:
        subprocess.run(
            [*argv, "down", "--volumes", "--rmi", "local", "--timeout", "5"],
            env=dict(docker.environment), capture_output=True, check=False,
        )  # fmt: skip


def ports_override(api: int, media: int) -> str:
    """The app's published ports moved to free ones, and the public address of its bucket with them."""
    public = {
        "S3_PUBLIC_ENDPOINT": f"http://127.0.0.1:{media}",
        "S3_PUBLIC_URL": f"http://127.0.0.1:{media}/postcards",
    }
    environment = json.dumps(public)
    return (
        "services:\n"
        f"  api:\n    environment: {environment}\n    ports: !override ['127.0.0.1:{api}:8000']\n"
        f"  worker:\n    environment: {environment}\n"
        f"  media:\n    ports: !override ['127.0.0.1:{media}:8333']\n"
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those of outgoing connections."""
    found: list[int] = []
    for port in range(21000, 29000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
        if len(found) == count:
            return found
    raise SystemExit("no free port between 21000 and 29000")


def in_turn(ways: Sequence[Way], photo: bytes) -> dict[str, list[Timed]]:
    """Each way once unmeasured, so that all is warm, then ROUNDS times in turn."""
    times: dict[str, list[Timed]] = {way.name: [] for way in ways}
    for number in range(ROUNDS + 1):
        for way in ways:
            one = timed(way, photo)
            print(f"round {number}: {way.name} {one.job:.2f} s", file=sys.stderr)
            if number:
                times[way.name].append(one)
    return times


def measured(project: Path, photo: bytes) -> tuple[dict[str, list[Timed]], bool]:
    """The times of every way that can run here, and whether Compose is among them."""
    with towline_way(project) as ours:
        try:
            with LabDocker(os.environ) as docker:
                for one in bake(docker, tuple(RECIPES), on_line=None):
                    print(f"image {one.name}: {one.how}", file=sys.stderr)
                print("docker", docker.run("version", "--format", "{{.Server.Version}}").strip(), end=", ")
                print("compose", docker.compose("version", "--short").strip())
                with compose_ways(docker, project) as peers:
                    return in_turn((ours, *peers), photo), True
        except TowlineError as error:
            evidence = error.evidence if isinstance(error, StepFailed) else ()
            print(*evidence, f"Compose cannot be measured: {error}", f"hint: {error.hint}", sep="\n", file=sys.stderr)
            return in_turn((ours,), photo), False


def main() -> int:
    """Measure, print the table and the goals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped then, too
    machine(towline=must([TOWLINE, "--version"], os.environ).strip())
    photo = (APP / "sample" / "photo.jpg").read_bytes()
    with a_copy() as project:
        times, with_compose = measured(project, photo)
    rows = [
        (name, spread([one.job for one in all_]), spread([one.command for one in all_])) for name, all_ in times.items()
    ]
    table(("warm, 5 rounds in turn", "to the first job done", "command ended"), rows)
    medians = {name: statistics.median(one.job for one in all_) for name, all_ in times.items()}
    ours = medians[OURS]
    goals = Goals("up")
    goals.at_most("warm_to_first_job", ours, "s", 10)
    peer = medians.get(AFTER_DOWN)
    goals.at_most("against_compose", ours / peer if peer and with_compose else None, "ratio", 0.333)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
