"""The Blueprint of every example: as its case says, valid by the platform's own schema, and read back as the same app.

`TOWLINE_REGENERATE=1` writes what is rendered into the case files, to be reviewed as a diff.
"""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from tests.contract.compose_projects import ENV
from tests.contract.render_projects import RENDERINGS, ROOT, Rendering, differences

from towline.ops.init import proposed
from towline.spec.read import read_with_mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.model import App, Service

SCHEMA = json.loads((ROOT / "tests" / "schemas" / "render-blueprint.schema.json").read_text())
ELSEWHERE = {("cooly", "alone"), ("kirby-whole", "server"), ("postcards", "server")}
AT_RENDER = [one for one in RENDERINGS if "nutri" not in one.name and (one.name, one.target) not in ELSEWHERE]
NOT_SOURCES = shutil.ignore_patterns("compose*.yaml", "towline.yaml", "usage*", ".towline", "node_modules", "deploy")


def told(one: Rendering) -> str:
    """The name of a test."""
    return f"{one.name}-{one.target}"


@pytest.mark.parametrize("one", AT_RENDER, ids=told)
def test_blueprint_is_as_its_case_says_and_valid(one: Rendering, tmp_path: Path) -> None:
    """The file is the reviewed one, and the platform's strict schema finds nothing."""
    file = one.files(tmp_path)["render.yaml"]
    assert differences(one, [file]) == []
    found = [error.message for error in Draft202012Validator(SCHEMA).iter_errors(loaded(file.text))]
    assert found == []


def test_nothing_is_rendered_for_a_target_that_is_elsewhere(tmp_path: Path) -> None:
    """A target on one's own server has no Blueprint."""
    alone = next(one for one in RENDERINGS if one.target == "alone")
    assert "render.yaml" not in alone.files(tmp_path)


def test_the_document_that_it_replaces_is_refused() -> None:
    """The schema is strict: `env:` for `runtime:`, a Redis among the databases and the property `url` do not pass."""
    old = {
        "services": [{"type": "web", "name": "a", "env": "node", "startCommand": "npm start"}],
        "databases": [{"name": "a-redis", "plan": "huge"}],
    }
    assert list(Draft202012Validator(SCHEMA).iter_errors(old))


@pytest.mark.parametrize("one", [one for one in AT_RENDER if one.name != "repolens"], ids=told)
def test_read_back_it_is_the_same_app(one: Rendering, tmp_path: Path) -> None:
    """`towline init` beside the Blueprint and the sources finds the services, stores and references again."""
    before = one.material(tmp_path).app
    after = read_back(one, tmp_path)
    here = at_render(one, tmp_path)
    name = f"{before.name}-"
    assert services_of(after, name) == {key: value for key, value in services_of(before, "").items() if key in here}
    assert stores_of(after, name) == {key: value for key, value in stores_of(before, "").items() if key in here}
    assert bindings_of(before, "", here) <= bindings_of(after, name, here)
    singles = {one.name for one in before.services if one.single} & here
    assert singles <= {one.name.removeprefix(name) for one in after.services if one.single}
    expected = None if before.release is None else (before.release.service, before.release.command)
    found = None if after.release is None else (after.release.service.removeprefix(name), after.release.command)
    assert found == expected


def test_the_one_container_is_read_back_as_one_web_service(tmp_path: Path) -> None:
    """Combined, the processes are one service of the platform, with the path of the one that takes requests."""
    repolens = next(one for one in AT_RENDER if one.name == "repolens")
    app = read_back(repolens, tmp_path)
    assert [(one.name, one.kind, one.health.path, one.max_job) for one in app.services] == [
        ("repolens", "web", "/api/health", 120)
    ]


def read_back(one: Rendering, root: Path) -> App:
    """The app that `init` makes of the rendered Blueprint beside the project's sources."""
    project = root / "back" / one.material(root).app.name
    shutil.copytree(one.laid_out(root), project, ignore=NOT_SOURCES)
    (project / "render.yaml").write_text(one.files(root)["render.yaml"].text)
    for path, text in proposed(project, env=ENV).files.items():
        (project / path).write_text(text)
    reading = read_with_mistakes(project, "laptop", env=ENV)
    assert reading.view is not None
    return reading.view.app


def at_render(one: Rendering, root: Path) -> frozenset[str]:
    """The services and stores that the target places at the platform."""
    target = one.material(root).target
    sites = {site.name for site in target.sites if site.kind == "render"}
    return frozenset(name for name, places in target.place.items() if sites & set(places))


def services_of(app: App, prefix: str) -> dict[str, tuple[object, ...]]:
    """What a Blueprint can say of each service."""
    return {
        one.name.removeprefix(prefix): (
            one.kind,
            one.domain,
            one.health.path if one.kind == "web" else None,
            one.max_job if one.kind == "worker" else None,
            one.replicas,
            line_of(one) if one.context else None,
        )
        for one in app.services
    }


def line_of(service: Service) -> str | None:
    """How a service starts, as a shell line."""
    argv = service.command.argv if service.command else ()
    return argv[2] if argv[:2] == ("/bin/sh", "-c") else shlex.join(argv) or None


def stores_of(app: App, prefix: str) -> dict[str, tuple[object, ...]]:
    """What a Blueprint can say of each store; of a Key Value it is not the version."""
    return {
        one.name.removeprefix(prefix): (
            one.kind,
            one.use,
            *((one.major, one.user, one.database) if one.kind == "postgres" else ()),
        )
        for one in app.stores
    }


def bindings_of(app: App, prefix: str, here: frozenset[str]) -> set[tuple[str, str, str]]:
    """The references between parts that are both there; an address of a domain of one's own is plain text."""
    domains = {one.name for one in app.services if one.domain}
    return {
        (one.service.removeprefix(prefix), one.variable, f"{one.of.removeprefix(prefix)}.{one.attribute}")
        for one in app.bindings
        if {one.service.removeprefix(prefix), one.of.removeprefix(prefix)} <= here and one.of not in domains
    }


def loaded(text: str) -> Any:
    """The file as YAML 1.2 reads it."""
    return YAML(typ="safe", pure=True).load(text)
