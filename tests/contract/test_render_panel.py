"""The Compose file of a panel as Compose itself reads it: no port, no name, no anchor, and the panel's own conventions.

`TOWLINE_REGENERATE=1` writes what is rendered into the case files, to be reviewed as a diff.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from tests.render_scenes import material

from towline.artifacts import panel_compose
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).resolve().parent.parent / "cases" / "render"
PANELS = {
    ("nutri", "production"): "coolify",
    ("nutri", "dokploy"): "dokploy",
    ("cooly", "coolify"): "coolify",
    ("cooly", "dokploy"): "dokploy",
    ("cooly", "panel-named"): "dokploy",
}
ADDED = """
  coolify: {shape: vps, sites: {box: {kind: coolify}}}
  dokploy: {shape: vps, sites: {box: {kind: dokploy}}}
  panel-named: {shape: vps, sites: {box: {kind: dokploy, domain: app.example}}}
"""
DOKPLOY = """
  dokploy:
    shape: vps
    sites: {box: {kind: dokploy}, base: {kind: supabase}, bell: {kind: upstash}}
    place: {db: base, cache: bell, "*": box}
"""
REQUIRED = re.compile(r"\$\{(\w+):\?([^}]*)\}")


@pytest.fixture(scope="module")
def texts(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """The rendered file of an example's target, each made once."""
    made: dict[tuple[str, str], str] = {}

    def of(example: str, target: str) -> str:
        if (example, target) not in made:
            own = (checkout / "examples" / example / "towline.yaml").read_text()
            more = DOKPLOY if example == "nutri" else ADDED
            page = own.replace("\ntargets:\n", f"\ntargets:{more}")
            found = material(checkout, example, target, tmp_path_factory.mktemp("panel"), page)
            (file,) = panel_compose.files(found)
            assert file.path == "compose.yaml"
            made[example, target] = file.text
        return made[example, target]

    return of


def read(text: str, folder: Path) -> dict[str, Any]:
    """What Compose makes of it; it must have nothing to say to it."""
    path = folder / "compose.yaml"
    path.write_text(text)
    told = {name: f"told-{name.lower()}" for name, _ in REQUIRED.findall(text)}
    env = {**told, "PATH": os.environ["PATH"], "HOME": str(folder), "SERVICE_URL_API": "https://made.example"}
    env["SERVICE_URL_WEB"] = "https://made-too.example"
    words = [*find_compose(os.environ), "-f", str(path), "--profile", "*", "config", "--format", "json"]
    ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(("example", "target"), PANELS)
def test_the_file_is_that_of_the_case(example: str, target: str, texts: Callable[[str, str], str]) -> None:
    """Each is the one that was reviewed, to the letter."""
    case = CASES / example / target / "compose.yaml"
    if os.environ.get("TOWLINE_REGENERATE"):
        case.parent.mkdir(parents=True, exist_ok=True)
        case.write_text(texts(example, target))
    assert case.read_text() == texts(example, target)


@pytest.mark.parametrize(("example", "target"), PANELS)
def test_a_panel_can_take_it(example: str, target: str, texts: Callable[[str, str], str], tmp_path: Path) -> None:
    """Compose accepts it; no port of the machine, no name, no file beside it, no network but the panel's own."""
    text = texts(example, target)
    found = read(text, tmp_path)
    assert "caddy" not in found["services"]
    for name, one in found["services"].items():
        assert not {"ports", "container_name", "build"} & set(one), name
        assert all(mount["type"] in ("volume", "tmpfs") for mount in one.get("volumes", ())), name
        assert one["cap_drop"] == ["ALL"], name
    assert set(found["networks"]) <= {"default", "dokploy-network"}
    # Neither panel keeps anchors when it writes the file anew, and Coolify takes a hint for a value to begin with.
    assert not re.search(r"(?m)^[^#\n]*(<<:|: [&*]\w)", text)
    assert {hint for _, hint in REQUIRED.findall(text)} <= {""}


@pytest.mark.parametrize(("example", "target"), [one for one, kind in PANELS.items() if kind == "coolify"])
def test_coolify_is_told_what_is_public(example: str, target: str, texts: Callable[[str, str], str]) -> None:
    """The web services alone have the variable from which Coolify makes an address, with their port."""
    services = YAML(typ="safe").load(texts(example, target))["services"]
    told = {
        variable
        for one in services.values()
        for variable in one.get("environment", {})
        if variable.startswith("SERVICE_URL_")
    }
    wanted = {"nutri": {"SERVICE_URL_API_3000"}, "cooly": {"SERVICE_URL_API_5000", "SERVICE_URL_WEB_3000"}}
    assert told == wanted[example]


def test_an_address_of_the_panel_is_a_reference(texts: Callable[[str, str], str], tmp_path: Path) -> None:
    """Who is told of a public service is told the address that the panel makes, or its domain."""
    coolify = read(texts("cooly", "coolify"), tmp_path)["services"]["web"]["environment"]
    assert coolify["API_URL"] == "https://made.example"
    dokploy = read(texts("cooly", "dokploy"), tmp_path)["services"]["web"]["environment"]
    assert dokploy["API_URL"] == "https://told-api_domain"
    named = read(texts("cooly", "panel-named"), tmp_path)["services"]["web"]["environment"]
    assert named["API_URL"] == "https://api.app.example"


@pytest.mark.parametrize("target", ["dokploy", "panel-named"])
def test_traefik_of_dokploy_is_told_the_way(target: str, texts: Callable[[str, str], str], tmp_path: Path) -> None:
    """Public services are in Dokploy's network, with https at their domain; nothing else is in it."""
    services = read(texts("cooly", target), tmp_path)["services"]
    inside = {name for name, one in services.items() if "dokploy-network" in (one.get("networks") or {})}
    assert inside == {"web", "api"}
    assert all("default" in services[name]["networks"] for name in inside)
    labels = services["api"]["labels"]
    domain = "told-api_domain" if target == "dokploy" else "api.app.example"
    name = f"cooly-{target}-api"
    assert labels[f"traefik.http.routers.{name}.rule"] == f"Host(`{domain}`)"
    assert labels[f"traefik.http.routers.{name}.tls.certresolver"] == "letsencrypt"
    assert labels[f"traefik.http.services.{name}.loadbalancer.server.port"] == "5000"
    assert "traefik.enable" not in services["gen"].get("labels", {})


@pytest.mark.parametrize("target", ["coolify", "dokploy"])
def test_stores_stay_inside(target: str, texts: Callable[[str, str], str], tmp_path: Path) -> None:
    """Stores on the panel's server keep their data in volumes, with passwords that are asked for."""
    found = read(texts("cooly", target), tmp_path)
    assert {"db", "queue", "media"} <= set(found["services"])
    assert {"db", "queue", "media"} <= {name.removesuffix("-data") for name in found["volumes"]}
    assert "told-db_password" in json.dumps(found["services"]["api"]["environment"])
    assert "only-on-this-laptop" not in texts("cooly", target)
