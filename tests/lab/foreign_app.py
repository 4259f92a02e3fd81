"""An app as people publish it, deployed on a lab host with its Compose file as it is: what a user types and sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from towline.lab.docker import LabDocker
    from towline.lab.host import Lab, LabHost

APPS = Path(__file__).parent / "apps"
REGISTRY, VERSION = "towline.test", "1"
TARGET = """
targets:
  production:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}}}
"""


@dataclass
class ForeignApp:
    """A copy of the app, whose only target is the lab host."""

    name: str
    folder: Path
    host: LabHost

    def towline(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, with `given` on its standard input."""
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}
        return subprocess.run(
            argv, cwd=self.folder, env=environ, capture_output=True, text=True, check=False, input=given
        )

    def said(self, *words: str, given: str | None = None) -> str:
        """What a command that must succeed says, on both streams."""
        done = self.towline(*words, given=given)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def page_of_init(self) -> None:
        """Write the page that `towline init` guesses, and the target."""
        self.said("init", "--force")
        with (self.folder / "towline.yaml").open("a") as page:
            page.write(TARGET.format(name=self.host.name, address=self.host.ipv4))

    def plan(self) -> str:
        """The plan that `deploy` shows before it asks."""
        shown = self.towline("deploy", "production", *told())
        assert shown.returncode == 3, shown.stderr
        return shown.stderr

    def deploy(self) -> dict[str, Any]:
        """Deploy; it must succeed. What it says as JSON."""
        done = self.towline("deploy", "production", "--yes", "--json", *told())
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def change(self, old: str, new: str, file: str = "compose.yaml") -> None:
        """Replace a text in a file of the project."""
        text = (self.folder / file).read_text()
        assert text.count(old) == 1, text
        (self.folder / file).write_text(text.replace(old, new))

    def browser(self) -> httpx.Client:
        """A browser that knows the host by its name."""
        return httpx.Client(
            base_url=f"http://{self.host.ipv4}", headers={"Host": self.host.name}, timeout=20, follow_redirects=True
        )

    def page(self, path: str = "/") -> str:
        """What a browser gets; no answer is an empty page."""
        with self.browser() as browser:
            try:
                return browser.get(path).text
            except httpx.HTTPError:
                return ""

    def send(self, **fields: str) -> None:
        """Send the form of the page."""
        with self.browser() as browser:
            answer = browser.post("/", data=fields)
            assert answer.status_code in (200, 303), answer.text


def told() -> tuple[str, ...]:
    """The settings that say where its images are."""
    return ("--set", f"REGISTRY={REGISTRY}", "--set", f"VERSION={VERSION}")


def build(docker: LabDocker, app: Path, *services: str) -> tuple[str, ...]:
    """Build the one Dockerfile of an app under the names of some services; the names."""
    names = tuple(f"{REGISTRY}/{app.name}-{service}:{VERSION}" for service in services)
    tags = [word for name in names for word in ("--tag", name)]
    docker.run("build", "--network", "host", *tags, str(app), within=300)
    return names


def foreign_app(name: str, folder: Path, lab: Lab, host: LabHost) -> ForeignApp:
    """A copy of the app with the page that `towline init` writes for it, and the target."""
    project = folder / name
    shutil.copytree(APPS / name, project)
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    made = ForeignApp(name, project, host)
    made.page_of_init()
    return made
