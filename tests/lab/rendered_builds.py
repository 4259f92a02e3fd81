"""Builds rendered Dockerfiles on the lab's Docker with BuildKit, and runs what they make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.compose_projects import ENV
from tests.real_servers import until

from towline.artifacts import combined_image, dockerfiles
from towline.ops.render import material_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.lab.docker import LabDocker

BASES = {"NODE_IMAGE": "node:20-slim", "PYTHON_IMAGE": "python:3.11-slim", "CADDY_IMAGE": "caddy:2.11.7"}
"""What the lab has. Node's image for Alpine is none of them, so Node services are built on Debian here."""

NOT_COPIED = shutil.ignore_patterns("node_modules", "dist", ".towline", "__pycache__", "deploy")


def client_with_buildkit(environment: Mapping[str, str]) -> str | None:
    """A docker client that can build with BuildKit: one with buildx, or one that is older than buildx."""
    folders = [*environment.get("PATH", os.defpath).split(":"), "/usr/bin"]
    for program in dict.fromkeys(f"{folder}/docker" for folder in folders if Path(folder, "docker").is_file()):
        asked = subprocess.run([program, "buildx", "version"], env=environment, capture_output=True, check=False)
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        match = re.search(r"version (\d+)", told)
        if asked.returncode == 0 or (match and 19 <= int(match[1]) < 23):
            return program
    return None


@dataclass(frozen=True)
class Built:
    """An image, what the builder said, and the digests of its layers from the base up. Size in bytes."""

    tag: str
    log: str
    layers: tuple[str, ...]
    size: int

    def cached(self, line: str) -> bool:
        """Whether the step that holds `line` was taken from the cache."""
        number = next(match[1] for match in re.finditer(r"^#(\d+) \[.*", self.log, re.MULTILINE) if line in match[0])
        return f"#{number} CACHED" in self.log


class Project:
    """A copy of a project with its rendered files in `deploy/production`."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder / source.name
        shutil.copytree(source, self.folder, ignore=NOT_COPIED)
        self.render()

    def render(self) -> None:
        """Write the files of this room anew."""
        out = self.folder / "deploy" / "production"
        material = material_of(self.folder, "production", out, env=ENV)
        for file in (*dockerfiles.files(material), *combined_image.files(material)):
            path = out / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)

    def path(self, name: str) -> Path:
        """One rendered file."""
        return self.folder / "deploy" / "production" / name


class Builder:
    """Builds and runs under names of one run of the tests, and removes everything at its end."""

    def __init__(self, docker: LabDocker, client: str, prefix: str) -> None:
        self.docker, self._client, self.prefix = docker, client, prefix
        self._made: list[tuple[str, ...]] = []

    def build(self, project: Project, file: str, *options: str, context: str = ".") -> Built:
        """Build one Dockerfile; the packages come over the network of the machine."""
        tag = f"{self.prefix}-{re.sub('[^a-z]+', '-', file.lower())}"
        given = [word for name, image in BASES.items() for word in ("--build-arg", f"{name}={image}")]
        argv = [self._client, "build", "--network", "host", "--progress", "plain", "--tag", tag, *given, *options]
        argv += ["--file", str(project.path(file)), str(project.folder / context)]
        environment = {**self.docker.environment, "DOCKER_BUILDKIT": "1"}
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=280)
        log = ran.stdout + ran.stderr
        assert ran.returncode == 0, log[-4000:]
        return self.inspected(tag, log) if "--output" not in options else Built(tag, log, (), 0)

    def inspected(self, tag: str, log: str) -> Built:
        """What an image is."""
        told = self.docker.run("image", "inspect", "--format", '{{.ID}} {{.Size}} {{join .RootFS.Layers " "}}', tag)
        number, size, *layers = told.split()
        if log:  # by its number: the next build of the same name leaves it without one
            self._made.insert(0, ("image", "rm", "--force", number))
        return Built(tag, log, tuple(layers), int(size))

    def network(self) -> str:
        """A network on which containers find each other by name."""
        self._made.insert(0, ("network", "rm", self.prefix))
        self.docker.ask("network", "rm", self.prefix)
        self.docker.run("network", "create", self.prefix)
        return self.prefix

    def start(self, name: str, *words: str) -> str:
        """Start a container from `words`, options first; its name there."""
        full = f"{self.prefix}-{name}"
        self._made.append(("rm", "--force", "--volumes", full))
        self.docker.ask(*self._made[-1])  # what a killed run left behind
        self.docker.run("run", "--detach", "--name", full, "--network", self.prefix, "--health-interval", "1s", *words)
        return full

    def address(self, container: str) -> str:
        """The container's own address."""
        told = self.docker.run(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
        )
        return told.strip()

    def inside(self, container: str, *words: str) -> str:
        """What a program inside the container prints."""
        return self.docker.run("exec", container, *words).strip()

    def state(self, container: str, of: str) -> str:
        """One part of a container's state."""
        return self.docker.run("inspect", "--format", f"{{{{.State.{of}}}}}", container).strip()

    def healthy(self, container: str) -> None:
        """Wait until the HEALTHCHECK of the image says so."""
        try:
            until(lambda: self.state(container, "Health.Status") == "healthy", f"{container} is healthy", 60)
        except AssertionError:
            raise AssertionError(self.log(container)) from None

    def says(self, container: str, text: str, times: int = 1) -> None:
        """Wait until it has printed a text."""
        try:
            until(lambda: self.log(container).count(text) >= times, text, 60)
        except AssertionError:
            raise AssertionError(f"{container} never said {text!r}:\n{self.log(container)}") from None

    def stopped(self, container: str) -> int:
        """Ask it to end as a platform does; its exit status, 137 when it had to be killed."""
        self.docker.run("stop", "--time", "20", container)
        return int(self.state(container, "ExitCode"))

    def log(self, container: str) -> str:
        """Everything that it has printed."""
        asked = self.docker.ask("logs", container)
        return asked.stdout + asked.stderr

    def close(self) -> None:
        """Remove everything, containers before their network and images."""
        for words in reversed(self._made):
            self.docker.ask(*words)
