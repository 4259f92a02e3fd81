"""The Blueprint of every example: as its case says, valid by a strict model, and read back as the same app.

`TOWLINE_REGENERATE=1` writes what is rendered into the case files, to be reviewed as a diff.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from tests.contract.compose_projects import ENV
from tests.contract.render_projects import RENDERINGS, ROOT, Rendering, differences

from towline.ops.init import proposed
from towline.spec.read import read_with_mistakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.spec.model import App, Service

MODEL = json.loads((ROOT / "tests" / "schemas" / "render-blueprint.model.json").read_text())
THEIRS = os.environ.get("RENDER_BLUEPRINT_SCHEMA")
"""Render's own schema where somebody has it: it names no licence, so it is not here."""

SCHEMAS = (MODEL, json.loads(Path(THEIRS).read_text())) if THEIRS else (MODEL,)
ELSEWHERE = {("cooly", "alone"), ("kirby-whole", "server"), ("postcards", "server")}
AT_RENDER = [one for one in RENDERINGS if "nutri" not in one.name and (one.name, one.target) not in ELSEWHERE]
NOT_SOURCES = shutil.ignore_patterns("compose*.yaml", "towline.yaml", "usage*", ".towline", "node_modules", "deploy")


def told(one: Rendering) -> str:
    """The name of a test."""
    return f"{one.name}-{one.target}"


@pytest.mark.parametrize("one", AT_RENDER, ids=told)
def test_blueprint_is_as_its_case_says_and_valid(one: Rendering, tmp_path: Path) -> None:
    """The file is the reviewed one, and the strict model of a Blueprint finds nothing."""
    file = one.files(tmp_path)["render.yaml"]
    assert differences(one, [file]) == []
    assert mistakes(loaded(file.text)) == []


def test_nothing_is_rendered_for_a_target_that_is_elsewhere(tmp_path: Path) -> None:
    """A target on one's own server has no Blueprint."""
    alone = next(one for one in RENDERINGS if one.target == "alone")
    assert "render.yaml" not in alone.files(tmp_path)


def test_the_document_that_it_replaces_is_refused() -> None:
    """The model is strict: `env:` for `runtime:`, a Redis among the databases and the property `url` do not pass."""
    old = {
        "services": [{"type": "web", "name": "a", "env": "node", "startCommand": "npm start"}],
        "databases": [{"name": "a-redis", "plan": "huge"}],
    }
    assert mistakes(old)


SCALING = {"minInstances": 1, "maxInstances": 2, "targetCPUPercent": 70}
CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown key at the top": lambda page: page.update(crons=[]),
    "an unknown key of a service": lambda page: page["services"][0].update(autoDeploy=False),
    "a type that is none": lambda page: page["services"][0].update(type="website"),
    "a runtime that is none": lambda page: page["services"][0].update(runtime="deno"),
    "a plan of databases": lambda page: page["services"][0].update(plan="basic-1gb"),
    "a plan that is gone": lambda page: page["databases"][0].update(plan="starter"),
    "a region that is none": lambda page: page["services"][0].update(region="paris"),
    "a number for a version": lambda page: page["databases"][0].update(postgresMajorVersion=15),
    "a database without its door": lambda page: page["databases"][0].pop("ipAllowList"),
    "a queue without its policy": lambda page: by_type(page, "keyvalue").pop("maxmemoryPolicy"),
    "a policy that is none": lambda page: by_type(page, "keyvalue").update(maxmemoryPolicy="never"),
    "a worker with a health check": lambda page: by_type(page, "worker").update(healthCheckPath="/"),
    "a worker with a domain": lambda page: by_type(page, "worker").update(domains=["a.example"]),
    "a private service for nothing": lambda page: by_type(page, "pserv").update(plan="free"),
    "a shutdown of an hour": lambda page: by_type(page, "worker").update(maxShutdownDelaySeconds=3600),
    "scaling beside a number": lambda page: page["services"][0].update(numInstances=2, scaling=SCALING),
    "a service without a start": lambda page: page["services"][0].pop("startCommand"),
    "an image without a name": lambda page: page["services"][0].update(runtime="image"),
    "a variable that is a number": lambda page: variables(page).append({"key": "A", "value": 1}),
    "a variable without a value": lambda page: variables(page).append({"key": "A"}),
    "a variable that has two": lambda page: variables(page).append({"key": "A", "value": "1", "sync": False}),
    "a name with a blank": lambda page: variables(page).append({"key": "A B", "value": "1"}),
    "a property that is none": lambda page: variables(page).append(
        {"key": "A", "fromDatabase": {"name": "b", "property": "url"}}
    ),
    "a service without its type": lambda page: variables(page).append(
        {"key": "A", "fromService": {"name": "b", "property": "host"}}
    ),
    "a property and a variable": lambda page: variables(page).append(
        {"key": "A", "fromService": {"type": "web", "name": "b", "property": "host", "envVarKey": "C"}}
    ),
    "a page that is not published": lambda page: static(page).pop("staticPublishPath"),
    "a page with a region": lambda page: static(page).update(region="frankfurt"),
    "a header without a value": lambda page: static(page)["headers"].append({"path": "/*", "name": "A"}),
    "a group that asks": lambda page: page["envVarGroups"][0]["envVars"].append({"key": "A", "sync": False}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_mistake_is_found(change: str, once: Path) -> None:
    """What is wrong in one place of a good Blueprint is refused: the model lets nothing through by being loose."""
    whole = next(one for one in AT_RENDER if one.name == "kirby-whole")
    page = loaded(whole.files(once)["render.yaml"].text)
    assert not list(Draft202012Validator(MODEL).iter_errors(page))
    CHANGES[change](page)
    assert list(Draft202012Validator(MODEL).iter_errors(page))


def mistakes(page: Any) -> list[str]:
    """What the model says of a Blueprint, and the platform's own schema where it is at hand."""
    return [error.message for one in SCHEMAS for error in Draft202012Validator(one).iter_errors(page)]


def by_type(page: dict[str, Any], kind: str) -> Any:
    """The first service of a type."""
    return next(one for one in page["services"] if one["type"] == kind)


def static(page: dict[str, Any]) -> Any:
    """The first static site."""
    return next(one for one in page["services"] if one.get("runtime") == "static")


def variables(page: dict[str, Any]) -> Any:
    """The variables of the first service."""
    return page["services"][0]["envVars"]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a project is laid out once."""
    return tmp_path_factory.mktemp("blueprint")


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
