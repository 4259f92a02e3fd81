"""The story of `render`: read the project, let every renderer say its files, write what has changed."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from towline.artifacts import (
    blueprint,
    caddyfile,
    cloud_init,
    combined_image,
    dependabot,
    deployment_docs,
    dev_compose,
    dockerfiles,
    host_compose,
    panel_compose,
    static_files,
    variables_page,
    workflows,
)
from towline.artifacts.front_door import with_domains
from towline.artifacts.rendered import MARK, SHARED_MARK, Material, RenderedFile
from towline.artifacts.store_settings import settings_of
from towline.artifacts.variables import variables_of
from towline.catalog.read import own_file, read_catalog
from towline.core.errors import Defect, Findings, Refused, UsageError
from towline.core.files import write_atomic
from towline.ops.compare import known_of, usage_file
from towline.ops.vendored import supervisor_files
from towline.planner.choose import cheapest
from towline.planner.cost import inputs_of
from towline.planner.market import World
from towline.planner.place import place
from towline.planner.target import shape_of_target
from towline.planner.usage_file import read_usage
from towline.spec.bound import bound_of
from towline.spec.codes import TO_RUN_HERE
from towline.spec.given_files import contents_of
from towline.spec.nearest import did_you_mean
from towline.spec.read import read_with_mistakes
from towline.spec.spelled import spelled_in
from towline.spec.stack import read_stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from towline.planner.choose import Chosen
    from towline.spec.bound import Bound
    from towline.spec.checks.view import View
    from towline.spec.model import App, Service
    from towline.spec.read import Reading
    from towline.spec.stack import Stack

State = Literal["new", "changed", "same", "foreign"]

# The page of variables reads what the files before it ask for, and the docs, which come last, list them all.
RENDERERS = (
    host_compose.files,
    panel_compose.files,
    caddyfile.files,
    dev_compose.files,
    cloud_init.files,
    dockerfiles.files,
    combined_image.files,
    blueprint.files,
    workflows.files,
    dependabot.files,
    variables_page.files,
    deployment_docs.files,
)

_FIRST_LINES = ("#!", "#cloud-config", "# syntax=", "# escape=")
"""What has to stay the first line of a file to be understood."""

_NO_COMMENTS = (".json", ".crt", ".pem")
_LOOKED_AT = 4096


@dataclass(frozen=True)
class Placed:
    """A rendered file against what lies at its path. `foreign`: something else is there, and Towline did not write it.

    `same` and `changed` are about the text.
    """

    file: RenderedFile
    state: State


def material_of(project: Path, target: str, out: Path, *, env: Mapping[str, str] = os.environ) -> Material:
    """Everything that the renderers read.

    Raises Findings with all that is wrong with the files, UsageError when there is no such folder, SiteUnreachable when
    there is no Compose to read with.
    """
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="ls")
    project = project.resolve()
    reading = read_with_mistakes(project, target, env=env)
    errors = tuple(one for one in reading.findings if one.level == "error" and one.code not in TO_RUN_HERE)
    if errors or reading.view is None or reading.target is None:
        raise Findings(errors or reading.findings)
    app, compose = reading.view.app, reading.view.compose
    placement = with_domains(place(app, reading.target))
    containers = {one.name: one for one in compose.containers}
    spelled = spelled_in(compose.sources, containers)
    stacks = {one.name: read_stack(project, one) for one in app.services if _is_here(one)}
    chosen, rests_on = _bought(project, app, reading)
    return Material(
        placement=placement,
        containers=containers,
        variables=(*variables_of(app, containers, spelled), *settings_of(placement)),
        stacks=stacks,
        project=project.name,
        chosen=chosen,
        rests_on=rests_on,
        up=posixpath.relpath(project.as_posix(), out.resolve().as_posix()),
        supervisor=supervisor_files(),
        out=posixpath.relpath(out.resolve().as_posix(), project.as_posix()),
        given={path: one for each in compose.containers for path, one in contents_of(each, compose.root).items()},
        copied={name: ground.copied for name, ground in reading.view.ground.items() if ground.copied},
        bound=_bound(reading.view, stacks),
    )


def _bound(view: View, stacks: Mapping[str, Stack]) -> dict[str, tuple[Bound, ...]]:
    """What services mount, and the files that a static one gives out."""
    root = view.app.root
    found = {one.name: bound_of(one, view.ground_of(one.name), root) for one in view.compose.containers}
    for service in view.app.services:
        folder = static_files.files_of(service, stacks.get(service.name))
        if folder is not None:
            found[service.name] = (static_files.bound_of(folder, root),)
    return found


def rendered(material: Material) -> tuple[RenderedFile, ...]:
    """Every file of the target, each with the line that says that it is Towline's."""
    made: tuple[RenderedFile, ...] = ()
    for files in RENDERERS:
        made += files(replace(material, rendered=made))
    twice = sorted({one.path for one in made if sum(other.path == one.path for other in made) > 1})
    if twice or any(_leads_out(one.path) for one in made):
        raise Defect(f"two renderers write {', '.join(twice)}" if twice else "a renderer writes outside of its folder")
    return tuple(marked(one, material.target.name) for one in made)


def only(files: Iterable[RenderedFile], pattern: str | None) -> tuple[RenderedFile, ...]:
    """The files whose path fits `pattern`, as a shell would match it. Raises UsageError when none does."""
    known = tuple(files)
    found = tuple(one for one in known if pattern is None or fnmatchcase(one.path, pattern))
    if pattern is not None and not found:
        raise UsageError(f"no file fits `{pattern}`", hint=f"files: {', '.join(one.path for one in known) or 'none'}")
    return found


def one_of(files: Iterable[RenderedFile], path: str) -> RenderedFile:
    """The file of that path. Raises UsageError when the target has none."""
    known = {one.path: one for one in files}
    if path not in known:
        raise UsageError(f"there is no file `{path}`{did_you_mean(path, known)}", hint=f"files: {', '.join(known)}")
    return known[path]


def placed(files: Iterable[RenderedFile], out: Path) -> tuple[Placed, ...]:
    """What each file would do to the folder `out`."""
    return tuple(Placed(one, _state(one, out / one.path)) for one in files)


def left_over(files: Iterable[RenderedFile], out: Path, target: str) -> tuple[str, ...]:
    """Files of an earlier rendering of this target in `out` that it would not write any more."""
    wanted = {one.path for one in files}
    inside = sorted(path for path in out.rglob("*") if path.is_file()) if out.is_dir() else []
    names = {path.relative_to(out).as_posix(): path for path in inside}
    return tuple(name for name, path in names.items() if name not in wanted and _is_ours(path, target))


def write(found: Iterable[Placed], out: Path, *, force: bool) -> None:
    """Write what is new or has changed; all of it, or nothing when it would overwrite a file of somebody else's.

    Raises Refused for such a file unless `force`, UsageError when a file cannot be written.
    """
    known = tuple(found)
    foreign = [one.file.path for one in known if one.state == "foreign"]
    if foreign and not force:
        names = ", ".join(foreign)
        sentence = f"{names} in {out} was not rendered by towline, and differs; nothing was written"
        raise Refused(sentence, hint="move it away, choose another folder with --out, or --force")
    for one in known:
        if one.state != "same":
            _write(out / one.file.path, one.file)


def marked(file: RenderedFile, target: str) -> RenderedFile:
    """The file with the line that says where it comes from, where its form has comments and it is not there yet."""
    mark = SHARED_MARK if file.shared else MARK.format(target=target)
    if file.path.endswith(_NO_COMMENTS) or mark in file.text[:_LOOKED_AT]:
        return file
    line = f"<!-- {mark} -->\n" if file.path.endswith((".md", ".html")) else f"# {mark}\n"
    head = file.text.splitlines(keepends=True)
    kept = 0
    while kept < len(head) and head[kept].startswith(_FIRST_LINES):
        kept += 1
    return replace(file, text="".join((*head[:kept], line, *head[kept:])))


def _bought(project: Path, app: App, reading: Reading) -> tuple[Chosen | None, Mapping[str, str]]:
    """What the planner buys for the target where the project says how much it is used, and the numbers behind it."""
    path = usage_file(project, None)
    if path is None or reading.target is None:
        return None, {}
    catalog = read_catalog(own_file(project, None))
    usage = read_usage(path, known_of(app, reading.page), catalog)
    shape, slots = shape_of_target(app, reading.target, catalog)
    return cheapest(World.of(app, usage, catalog), shape, slots), inputs_of(usage)


def _is_here(service: Service) -> bool:
    return service.context is not None and service.context.is_dir()


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/") or not path


def _state(file: RenderedFile, path: Path) -> State:
    if not path.exists():
        return "new"
    if not path.is_file():
        return "foreign"
    there = path.read_bytes()
    if there == file.text.encode():
        return "same" if os.access(path, os.X_OK) == file.executable else "changed"
    return "changed" if b"Rendered by towline" in there[:_LOOKED_AT] else "foreign"


def _is_ours(path: Path, target: str) -> bool:
    with path.open("rb") as handle:
        return MARK.format(target=target).encode() in handle.read(_LOOKED_AT)


def _write(path: Path, file: RenderedFile) -> None:
    try:
        # Not by `write_atomic`, which would close the folders to others: these files are meant to be committed.
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, file.text, mode=0o755 if file.executable else 0o644, durable=False)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"{path} cannot be written: {reason}", hint="choose a folder: --out DIR") from error
