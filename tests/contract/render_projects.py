"""Projects whose files are rendered: the examples, the ones with sources, and one with everything at one platform."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.compose_projects import ENV

from towline.artifacts import blueprint, caddyfile, combined_image, dependabot, host_compose, workflows
from towline.ops.render import material_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.artifacts.rendered import Material, RenderedFile

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = ROOT / "tests" / "cases" / "render"
_NOT_COPIED = shutil.ignore_patterns(".venv", ".towline", "__pycache__", ".env", "deploy", "node_modules")
_SOURCES = ROOT / "tests" / "cases" / "render_sources"


_SERVER = "{shape: vps, sites: {box: {kind: host, ssh: deploy@203.0.113.7}}}"
_CLOUD = (
    "{shape: managed, sites: {cloud: {kind: render, region: frankfurt}, files: {kind: s3}}, "
    'place: {media: files, "*": cloud}}'
)

_DOKPLOY = (
    "{shape: vps, sites: {box: {kind: dokploy}, base: {kind: supabase}, bell: {kind: upstash}}, "
    'place: {db: base, cache: bell, "*": box}}'
)


@dataclass(frozen=True)
class Rendering:
    """A project and one of its targets; `name` is the folder of its cases."""

    name: str
    project: Path
    target: str = "production"
    over: Path | None = None
    """A folder whose files lie over those of the project."""
    added: str = ""
    """A target that its page gets besides its own."""

    def laid_out(self, root: Path) -> Path:
        """The project's folder; a copy below `root` where something is changed."""
        there = root / self.target / self.project.name
        if self.over is None and not self.added:
            return self.project
        if not there.exists():
            shutil.copytree(self.project, there, ignore=_NOT_COPIED)
            for path in self.over.glob("*.yaml") if self.over else ():
                shutil.copy(path, there / path.name)
            if self.added:
                page = there / "towline.yaml"
                own = page.read_text()
                head = own if "\ntargets:\n" in own else f"{own}\ntargets:\n"
                page.write_text(head.replace("\ntargets:\n", f"\ntargets:\n  {self.target}: {self.added}\n", 1))
        return there

    def material(self, root: Path) -> Material:
        """What the renderers read."""
        project = self.laid_out(root)
        return material_of(project, self.target, project / "deploy" / self.target, env=ENV)

    def files(self, root: Path) -> dict[str, RenderedFile]:
        """What `made` gives, made once."""
        return _made_once(self, root)

    def made(self, root: Path) -> dict[str, RenderedFile]:
        """The Blueprint, the workflows and Dependabot's file, by path, made after the files that they speak of."""
        material = self.material(root)
        for module in (host_compose, caddyfile, combined_image):
            material = replace(material, rendered=(*material.rendered, *module.files(material)))
        made = (*blueprint.files(material), *workflows.files(material), *dependabot.files(material))
        return {one.path: one for one in made}


@functools.cache
def _made_once(one: Rendering, root: Path) -> dict[str, RenderedFile]:
    return one.made(root)


RENDERINGS = (
    Rendering("cooly", ROOT / "examples" / "cooly"),
    Rendering("cooly", ROOT / "examples" / "cooly", "alone"),
    Rendering("kirby-gen", ROOT / "examples" / "kirby-gen"),
    Rendering("repolens", ROOT / "examples" / "repolens"),
    Rendering("nutri", ROOT / "examples" / "nutri"),
    Rendering("nutri", ROOT / "examples" / "nutri", "dokploy", added=_DOKPLOY),
    Rendering("kirby-sources", _SOURCES / "kirby-gen"),
    Rendering("nutri-sources", _SOURCES / "nutri"),
    Rendering("kirby-whole", _SOURCES / "kirby-gen", over=CASES / "kirby-whole"),
    Rendering("kirby-whole", _SOURCES / "kirby-gen", "server", over=CASES / "kirby-whole"),
    Rendering("postcards", ROOT / "examples" / "postcards", "server", added=_SERVER),
    Rendering("postcards", ROOT / "examples" / "postcards", "cloud", added=_CLOUD),
    Rendering("reference", ROOT / "reference", "cloud", added=_CLOUD),
)


def differences(one: Rendering, files: Iterable[RenderedFile]) -> list[str]:
    """Which of the files differ from their cases; with TOWLINE_REGENERATE=1 the cases are written anew."""
    found = []
    for file in files:
        case = CASES / one.name / one.target / file.path
        if os.environ.get("TOWLINE_REGENERATE") == "1":
            case.parent.mkdir(parents=True, exist_ok=True)
            case.write_text(file.text)
        if not case.exists() or case.read_text() != file.text:
            found.append(case.relative_to(ROOT).as_posix())
    return found


def workflow_case(name: str, file: str, target: str = "production") -> str:
    """A reviewed workflow; that it is what is rendered, the contract tests see."""
    folder = CASES / name / target / ".github" / "workflows"
    own = folder / f"{file}-{target}.yml"
    return (own if own.exists() else folder / f"{file}.yml").read_text()
