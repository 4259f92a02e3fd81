"""Runs single steps of a rendered workflow as GitHub does: bash, an environment, and files for what is said."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass(frozen=True)
class Ran:
    """How a step ended, what it wrote, and what it leaves for the steps after it."""

    status: int
    said: str
    outputs: dict[str, str]
    summary: str


class Runner:
    """A workflow in a folder of its own. `knows` are the values of expressions such as `secrets.RENDER_API_KEY`."""

    def __init__(self, text: str, folder: Path, knows: Mapping[str, str]) -> None:
        self.jobs: dict[str, Any] = YAML(typ="safe", pure=True).load(text)["jobs"]
        self.folder, self.knows = folder, dict(knows)
        self.work = folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def step(self, job: str, name: str, **beside: str) -> Ran:
        """Run the step of that name; `beside` is set in its environment whatever the workflow says."""
        steps = [one for one in self.jobs[job]["steps"] if one.get("name") == name]
        assert len(steps) == 1, [one.get("name") for one in self.jobs[job]["steps"]]
        env = {**self.jobs[job].get("env", {}), **steps[0].get("env", {})}
        return self._run(steps[0]["run"], {key: self._told(str(value)) for key, value in env.items()} | beside)

    def _told(self, text: str) -> str:
        """Every expression by its value; one that the test does not know is an error of the test."""
        return _EXPRESSION.sub(lambda match: self.knows[match[1]], text)

    def _run(self, script: str, env: dict[str, str]) -> Ran:
        output, summary, temp = (self.folder / name for name in ("output", "summary", "temp"))
        for path in (output, summary):
            path.write_text("")
        temp.mkdir(exist_ok=True)
        (self.folder / "step.sh").write_text(script)
        whole = {
            "PATH": env.pop("PATH", os.environ["PATH"]),
            "HOME": str(self.folder),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_SERVER_URL": "https://git.example",
            "GITHUB_REPOSITORY": "Kirby/kirby-gen",
            "GITHUB_RUN_ID": "77",
            "RUNNER_TEMP": str(temp),
            **env,
        }
        ran = subprocess.run(
            [*_SHELL, str(self.folder / "step.sh")],
            cwd=self.work,
            env=whole,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return Ran(ran.returncode, ran.stdout, _outputs(output.read_text()), summary.read_text())


def _outputs(text: str) -> dict[str, str]:
    """`name=value`, and `name<<END` with the lines up to `END`."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, several, end = line.partition("<<")
        if several and "=" not in name:
            found[name] = "\n".join(iter(lambda end=end: next(lines), end))  # type: ignore[misc]  # until that line
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found
