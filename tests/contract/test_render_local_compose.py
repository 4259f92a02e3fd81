"""compose.dev.yaml and compose.prod.yaml as Compose reads them: complete, closed, and runnable without settings."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.render_scenes import TARGETS, material

from towline.artifacts import dev_compose
from towline.ops.render import material_of
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.artifacts.rendered import Material

CASES = Path(__file__).resolve().parent.parent / "cases"
SOURCES = ("kirby-gen", "nutri")
DEV, PROD = "compose.dev.yaml", "compose.prod.yaml"
REVIEWED = (("cooly", "production"), ("postcards", "server"), ("reference", "named"))


@dataclass(frozen=True)
class Scene:
    """One target of an example, and what Compose makes of both files."""

    material: Material
    read: dict[str, dict[str, Any]]


def as_compose_reads(made: Material, folder: Path) -> dict[str, dict[str, Any]]:
    """What Compose makes of both files where they lie, with no variable set; it must have nothing to say to them."""
    found = {}
    out = folder / "deploy" / made.target.name
    out.mkdir(parents=True, exist_ok=True)
    for file in dev_compose.files(made):
        (out / file.path).write_text(file.text)
        words = [*find_compose(os.environ), "-f", str(out / file.path), "config", "--format", "json"]
        env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, ""), file.path
        found[file.path] = json.loads(ran.stdout)
    return found


def of_example(checkout: Path, example: str, target: str, folder: Path) -> tuple[Material, Path]:
    made = material(checkout, example, target, folder)
    return made, made.app.root


def of_sources(name: str) -> tuple[Material, Path]:
    project = CASES / "render_sources" / name
    return material_of(project, "production", project / "deploy" / "production", env=dict(os.environ)), project


@pytest.fixture(scope="module")
def scenes(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Scene]:
    """Renders a target, and asks Compose about it, when it is first asked for."""

    @cache
    def made(example: str, target: str) -> Scene:
        found, root = of_example(checkout, example, target, tmp_path_factory.mktemp(f"{example}-{target}"))
        return Scene(found, as_compose_reads(found, root))

    return made


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_everything_of_the_app_is_there_and_only_this_machine_reaches_it(
    example: str, target: str, scenes: Callable[[str, str], Scene]
) -> None:
    """Wherever a target has its parts, both files have all services and stores; every port is one of 127.0.0.1."""
    made = scenes(example, target).material
    for path, found in scenes(example, target).read.items():
        parts = {one.name for one in made.app.services} | {one.name for one in made.app.stores if one.kind != "sqs"}
        assert parts <= set(found["services"]), path
        for name, one in found["services"].items():
            ports = one.get("ports", ())
            assert all(port["host_ip"] == "127.0.0.1" for port in ports), name
            assert not one.get("profiles"), name
        published = {name for name, one in found["services"].items() if one.get("ports")}
        stores = {one.name for one in made.app.stores if one.kind in ("postgres", "redis")}
        assert stores <= published if path == DEV else stores.isdisjoint(published), path


@pytest.mark.parametrize(("example", "target"), TARGETS)
def test_production_confines_and_development_does_not(
    example: str, target: str, scenes: Callable[[str, str], Scene]
) -> None:
    """As in production, every container is limited, starts again by itself and mounts nothing of the machine."""
    made, found = scenes(example, target).material, scenes(example, target).read
    for name, one in found[PROD]["services"].items():
        assert one["cap_drop"] == ["ALL"], name
        assert int(one["mem_limit"]) >= 64 * 2**20, name
        assert one["restart"] == ("no" if name == "release" or name.endswith("-setup") else "unless-stopped"), name
        assert all(mount["type"] != "bind" for mount in one.get("volumes", ())), name
    for service in made.app.services:
        one = found[DEV]["services"][service.name]
        assert "cap_drop" not in one
        assert "mem_limit" not in one
        assert "restart" not in one


@pytest.mark.parametrize("example", ["postcards", "reference"])
def test_the_source_is_mounted_where_the_image_has_it(example: str, checkout: Path, tmp_path: Path) -> None:
    """Folders that a Dockerfile copies are mounted over themselves and watched; what pins packages is built in."""
    made, root = of_example(checkout, example, "server", tmp_path)
    found = as_compose_reads(made, root)[DEV]["services"]
    for service in made.app.services:
        one = found[service.name]
        folders = [mount for mount in one["volumes"] if mount["type"] == "bind"]
        assert folders
        for mount in folders:
            assert mount["read_only"]
            assert Path(mount["source"]).exists()
            assert mount["target"].startswith("/app/")
        rules = {(rule["action"], rule["path"]) for rule in one["develop"]["watch"]}
        assert {("restart", mount["source"]) for mount in folders} <= rules
        pins = [path for action, path in rules if action == "rebuild"]
        assert {Path(path).name for path in pins} == {"requirements.txt"}
        assert Path(one["build"]["context"]).is_dir()
        assert (Path(one["build"]["context"]) / one["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SOURCES)
def test_a_service_without_a_dockerfile_runs_from_its_folder(name: str, tmp_path: Path) -> None:
    """The rendered Dockerfile is built: Python with its folder over the code, Node with all packages."""
    made, _ = of_sources(name)
    found = as_compose_reads(made, tmp_path)[DEV]["services"]
    for service in made.app.services:
        one, stack = found[service.name], made.stacks[service.name]
        assert one["build"]["dockerfile"].endswith(f"deploy/production/dockerfiles/{service.name}.Dockerfile")
        actions = {rule["action"] for rule in one["develop"]["watch"]}
        if service.kind == "static":
            assert actions == {"rebuild"}
            continue
        assert actions == {"restart", "rebuild"}
        targets = [mount["target"] for mount in one["volumes"]]
        assert targets[0] == "/app"
        assert ("/app/node_modules" in targets) == (stack.language == "node")
        assert one["environment"].get("NODE_ENV") == ("development" if stack.language == "node" else None)


def test_what_a_browser_is_told_leads_to_this_machine(checkout: Path, tmp_path: Path) -> None:
    """Addresses for browsers are ports of localhost that the same file opens; what services use stays inside."""
    made, root = of_example(checkout, "postcards", "named", tmp_path)
    for found in as_compose_reads(made, root).values():
        env = found["services"]["api"]["environment"]
        assert env["S3_PUBLIC_URL"] == "http://localhost:8333/postcards"
        assert env["S3_ENDPOINT"] == "http://media:8333"
        assert [port["published"] for port in found["services"]["media"]["ports"]] == ["8333"]
        assert found["services"]["api"]["depends_on"]["release"]["condition"] == "service_completed_successfully"


def test_two_of_one_port_get_two(checkout: Path, tmp_path: Path) -> None:
    """Ports of containers may be alike, those of one machine may not; low ones are moved up."""
    page = (
        "app: twins\nservices:\n  one: {kind: web, port: 80, ready: /}\n  two: {kind: web, port: 80, ready: /}\n"
        "stores: {}\ntargets:\n  live: {shape: vps, sites: {box: {kind: host}}}\n"
    )
    project = tmp_path / "twins"
    project.mkdir()
    (project / "towline.yaml").write_text(page)
    (project / "compose.yaml").write_text("services:\n  one: {image: 'a/one:1'}\n  two: {image: 'a/two:1'}\n")
    made = material_of(project, "live", project / "deploy" / "live", env=dict(os.environ))
    services = as_compose_reads(made, project)[DEV]["services"]
    assert [services[name]["ports"][0]["published"] for name in ("one", "two")] == ["8080", "8081"]


@pytest.mark.parametrize(("example", "target"), REVIEWED)
def test_the_files_are_those_of_the_cases(example: str, target: str, checkout: Path, tmp_path: Path) -> None:
    """Both files are those that were reviewed, to the letter."""
    folder = CASES / "render" / example / target
    files = {file.path: file.text for file in dev_compose.files(material(checkout, example, target, tmp_path))}
    if os.environ.get("TOWLINE_REGENERATE"):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (folder / path).write_text(text)
    assert {path: (folder / path).read_text() for path in files} == files


@pytest.mark.parametrize("name", SOURCES)
def test_the_sources_are_those_of_the_cases(name: str) -> None:
    """The same for the examples with sources."""
    folder = CASES / "render" / f"{name.removesuffix('-gen')}-sources" / "production"
    files = {file.path: file.text for file in dev_compose.files(of_sources(name)[0])}
    if os.environ.get("TOWLINE_REGENERATE"):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            (folder / path).write_text(text)
    assert {path: (folder / path).read_text() for path in files} == files
