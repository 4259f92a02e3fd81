"""A server that the rendered workflows reach over a real sshd."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING

from tests.contract.render_projects import workflow_case
from tests.lab.workflow_runner import Ran, Runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.loopback_sshd import LoopbackSshd

GOOD, BAD = "c" * 40, "d" * 40
TOKEN = "ghs_of_the_test"


def images(commit: str) -> dict[str, str]:
    """The digests of a release."""
    return {name: f"ghcr.io/kirby/nutri-{name}@sha256:{commit[:8]}" for name in ("api", "ml", "elsewhere")}


class Server:
    """A host behind a real sshd, whose programs come first from a folder, and the workflows that reach it."""

    def __init__(self, sshd: LoopbackSshd, folder: Path, programs: Path) -> None:
        self.sshd, self.folder = sshd, folder
        self.images: Callable[[str], dict[str, str]] = images
        self.texts: dict[str, str] = {}
        self.place = folder / "apps" / "nutri"
        # What logs in gets that program first; the rest is as the command of the script says.
        forced = f'command="export PATH={programs}:/usr/local/bin:/usr/bin:/bin; eval \\"$SSH_ORIGINAL_COMMAND\\""'
        (sshd.folder / "authorized").write_text(f"{forced} {(sshd.folder / 'user.pub').read_text()}")

    def step(self, file: str, job: str, name: str, commit: str = GOOD, **beside: str) -> Ran:
        """Run one step of a workflow about the release of a commit."""
        release = json.dumps({"commit": commit, "images": self.images(commit)})
        knows = {
            "needs.release.outputs.release": release,
            "needs.release.outputs.commit": commit,
            "inputs.release": release,
            "fromJSON(inputs.release).commit": commit,
            "vars.PRODUCTION_BOX_SSH": f"{getpass.getuser()}@127.0.0.1:{self.sshd.port}",
            "vars.PRODUCTION_BOX_SSH_KNOWN_HOSTS": (self.sshd.folder / "known").read_text(),
            "secrets.PRODUCTION_BOX_SSH_KEY": (self.sshd.folder / "user").read_text(),
            "secrets.GITHUB_TOKEN": TOKEN,
            "github.actor": "dependabot[bot]",
            "github.repository_owner": "Kirby",
        }
        runner = Runner(workflow_case("nutri-sources", file), self.folder / "runner", knows)
        rendered = runner.work / "deploy" / "production"
        rendered.mkdir(parents=True, exist_ok=True)
        for path in beside.pop("FILES", "compose.yaml Caddyfile").split():
            (rendered / path).write_text(self.texts.get(path, f"# {path} of {commit}\n"))
        ran = runner.step(job, name, **{"PLACE": str(self.place), **beside})
        key = (self.sshd.folder / "user").read_text().splitlines()[1]
        assert not [one for one in (TOKEN, key) if one in ran.said + ran.summary]
        return ran

    def deploy(self, commit: str, **beside: str) -> Ran:
        """Send a release and bring it up."""
        sent = self.step("deploy", "box", "Send the release", commit, FILES="compose.yaml Caddyfile")
        assert sent.status == 0, sent.said
        return self.step("deploy", "box", "Bring it up, or go back", commit, **beside)

    @property
    def runs(self) -> dict[str, str]:
        """The images of the release that the server holds for its own."""
        services = json.loads((self.place / "images.json").read_text())["services"]
        return {name: one["image"] for name, one in services.items()}
