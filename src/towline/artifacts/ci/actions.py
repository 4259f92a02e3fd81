"""The actions that the workflows use, pinned to a commit: a tag can be moved, a commit cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.yaml_text import Noted

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNNER = "ubuntu-24.04"
"""A named image: `latest` would change under the app."""

BRANCH = "main"

_STEP = ("name", "id", "if", "uses", "working-directory", "with", "env", "run")

PINNED: dict[str, tuple[str, str]] = {
    "actions/checkout": ("de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2"),
    "actions/setup-node": ("53b83947a5a98c8d113130e565377fae1a50d02f", "v6.3.0"),
    "actions/setup-python": ("a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/download-artifact": ("70fc10c6e5e1ce46ad2ea6f2b72d43f7d47b13c3", "v8.0.0"),
    "astral-sh/setup-uv": ("61cb8a9741eeb8a550a1b8544337180c0fc8476b", "v7.2.0"),
    "docker/setup-buildx-action": ("4d04d5d9486b7bd6fa91e7baf45bbb4f8b9deedd", "v4.0.0"),
    "docker/login-action": ("b45d80f862d83dbcd57f89517bcf500b2ab88fb2", "v4.0.0"),
    "docker/build-push-action": ("d08e5c354a6adb9ed34480a06d141179aa583294", "v7.0.0"),
    "aquasecurity/trivy-action": ("ed142fd0673e97e23eac54620cfb913e5ce36c25", "v0.36.0"),
}
"""Action to commit and version. Each was seen so in the workflows of several public repositories, in November 2026."""

TRIVY = "v0.70.0"
"""The scanner itself, which its action would otherwise choose."""


def uses(action: str, name: str = "", given: Mapping[str, object] | None = None) -> dict[str, object]:
    """A step that uses an action."""
    commit, version = PINNED[action]
    step: dict[str, object] = {"name": name} if name else {}
    step["uses"] = Noted(f"{action}@{commit}", behind=version)
    return {**step, "with": dict(given)} if given else step


def checkout(ref: str = "") -> dict[str, object]:
    """The code, without leaving a token in its folder."""
    return uses("actions/checkout", "", {**({"ref": ref} if ref else {}), "persist-credentials": False})


def run(name: str, script: str, env: Mapping[str, str] | None = None) -> dict[str, object]:
    """A step that runs a script. Whatever it reads comes through `env`: an expression inside would be code."""
    step: dict[str, object] = {"name": name}
    if env:
        step["env"] = dict(env)
    return {**step, "run": script.strip("\n")}


def ordered(step: Mapping[str, object]) -> dict[str, object]:
    """A step in the order in which it is read: what it is called, when it runs, what it does."""
    return {key: step[key] for key in _STEP if key in step}


def workflow(name: str, on: Mapping[str, object], jobs: Mapping[str, object], **more: object) -> dict[str, object]:
    """A workflow that may read the code and nothing else, unless a job says more."""
    for job in jobs.values():
        if isinstance(job, dict) and "steps" in job:
            job["steps"] = [ordered(step) for step in job["steps"]]
    head: dict[str, object] = {"name": name, "on": dict(on), "permissions": {"contents": "read"}}
    return {**head, **more, "defaults": {"run": {"shell": "bash"}}, "jobs": dict(jobs)}


def job_id(name: str) -> str:
    """A name as a job's id."""
    plain = "".join(letter if letter.isalnum() or letter in "_-" else "-" for letter in name)
    return plain if plain[:1].isalpha() or plain[:1] == "_" else f"_{plain}"


def setting(*words: str) -> str:
    """The name of a secret or variable of the repository: `BOX_SSH_KEY`."""
    plain = "_".join(words).upper()
    return "".join(letter if letter.isalnum() else "_" for letter in plain)
