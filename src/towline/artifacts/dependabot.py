"""`.github/dependabot.yml`: weekly, grouped updates of what the app is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.blueprint_platform import inner_path
from towline.artifacts.ci.pipeline import pipeline_of
from towline.artifacts.rendered import RenderedFile
from towline.artifacts.yaml_text import Inline, Noted, comment, spaced, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.ci.pipeline import Pipeline
    from towline.artifacts.rendered import Material
    from towline.spec.stack import Stack

_ECOSYSTEMS = {"uv": "uv", "pip": "pip", "poetry": "pip", "pipenv": "pip", "npm": "npm", "pnpm": "npm", "yarn": "npm"}
_OPEN_AT_ONCE = 5


def files(material: Material) -> tuple[RenderedFile, ...]:
    """The configuration; nothing for a target for which there are no workflows either."""
    pipeline = pipeline_of(material)
    if not (pipeline.deploys or pipeline.databases):
        return ()
    document = {"version": 2, "updates": updates(pipeline)}
    head = comment(f"{pipeline.app}: one pull request a week and kind, so that updating stays a habit of five minutes.")
    text = "\n".join([*head, "", spaced(yaml_text(document), r"\w|  - ")])
    said = "Weekly updates of packages, base images and actions."
    return (RenderedFile(".github/dependabot.yml", text, said, shared=True),)


def updates(pipeline: Pipeline) -> list[dict[str, object]]:
    """One entry for each ecosystem, with the folders that it looks into."""
    folders: dict[str, list[str]] = {}
    for stack in pipeline.material.stacks.values():
        ecosystem = _ecosystem(stack)
        if ecosystem is not None:
            folders.setdefault(ecosystem, []).append(f"/{stack.root}")
    for folder in _of_dockerfiles(pipeline):
        folders.setdefault("docker", []).append(folder)
    folders.setdefault("docker-compose", []).append("/")
    folders["github-actions"] = ["/"]
    return [_entry(name, sorted(set(found))) for name, found in sorted(folders.items())]


def _of_dockerfiles(pipeline: Pipeline) -> Iterator[str]:
    """Where Dockerfiles lie: the app's own, and those that are rendered, of whichever target."""
    rendered = pipeline.platform.rendered.rpartition("/")
    for service in pipeline.material.app.services:
        own = inner_path(pipeline.material, service.dockerfile) if service.dockerfile is not None else None
        if own is not None:
            yield "/" + own.rpartition("/")[0]
        elif service.name in pipeline.material.stacks:
            yield f"/{rendered[0]}/*/dockerfiles" if rendered[0] else f"/{rendered[2]}/dockerfiles"


def _ecosystem(stack: Stack) -> str | None:
    if stack.language not in {"node", "python"} or not (stack.manifests or stack.locks):
        return None
    return _ECOSYSTEMS.get(stack.installer or ("npm" if stack.language == "node" else "pip"))


def _entry(ecosystem: str, folders: list[str]) -> dict[str, object]:
    where: dict[str, object] = {"directory": folders[0]} if len(folders) == 1 else {"directories": folders}
    groups: dict[str, object] = {
        "security": {"applies-to": "security-updates", "patterns": Inline(("*",))},
        "small": {"update-types": Inline(("minor", "patch"))},
    }
    if ecosystem == "github-actions":
        groups = {"all": {"patterns": Inline(("*",))}}
    cooled = Noted({"default-days": 5}, above="A release that was taken over is mostly found out within days.")
    return {
        "package-ecosystem": ecosystem,
        **where,
        "schedule": {"interval": "weekly", "day": "monday"},
        "open-pull-requests-limit": _OPEN_AT_ONCE,
        "cooldown": cooled,
        "groups": groups,
    }
