"""An app as people publish it, deployed on a lab host with its Compose file as it is: what a user types and sees."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from tests.lab.hosted_app import HostedApp

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
class ForeignApp(HostedApp):
    """A copy of the app, whose only target is the lab host."""

    name: str

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
        return self.told("deploy", "production", "--yes", *told())

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
    made = ForeignApp(project, host, name)
    made.page_of_init()
    return made
