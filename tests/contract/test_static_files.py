"""Static services on a host: which need no image, what gives their files out, and which are built all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from towline.artifacts.host_bundle import Making, site_bundle
from towline.artifacts.host_layout import DOOR_IMAGE
from towline.artifacts.host_services import REGISTRY
from towline.artifacts.static_files import SETTINGS, is_given_out, settings_of
from towline.core.secret import Secret
from towline.ops.folders import folders_of, places
from towline.ops.render import material_of
from towline.steps.model import Facts

COMPOSE = """
services:
  site: {SITE, ports: ["8080:80"]}
  web: {image: "shop:1", ports: ["8000:8000"]}
"""
PAGE = """
app: shop
services: {site: {kind: static, output: public}, web: {kind: web, ready: /}}
targets:
  production:
    sites:
      box: {kind: host, ssh: root@box.example}
"""
IMAGE = "image: nginx:1, volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro']"
BUILT = "build: ./site"


def making(folder: Path, site: str, files: dict[str, str], page: str = PAGE) -> Making:
    """A project with these files, as a deploy makes its parts."""
    project = folder / "shop"
    for name, text in {"public/index.html": "hello", "nginx.conf": "", **files}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "compose.yaml").write_text(COMPOSE.replace("SITE", site))
    (project / "towline.yaml").write_text(page)
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    material = material_of(project, "production", project / "deploy/production", env=env)
    values = {"PUBLIC_HOST": Secret("box.example"), "REGISTRY": Secret("registry.example"), "VERSION": Secret("1")}
    return Making(material, material.target.sites[0], {}, values, b"salt", folders=folders_of(material))


def test_a_folder_of_the_project_is_given_out_by_the_door_s_own_program(tmp_path: Path) -> None:
    """Nothing that the named image needs is asked for: not its configuration, nor the image."""
    made = making(tmp_path, IMAGE, {})
    part = site_bundle(made)
    site = next(one for one in part.services if one.name == "site")
    (copy,) = site.instances
    assert copy.container is not None
    assert copy.container.image == DOOR_IMAGE
    assert {(one.kind, one.target, one.read_only) for one in copy.container.mounts} == {
        ("folder", "/srv", True),
        ("file", SETTINGS, True),
    }
    assert (site.swap, site.upstreams) == ("beside", (f"{copy.container.name}:80",))
    assert [one.source for one in places(made, part, Facts("box"))] == ["public"]


def test_its_settings_are_those_of_a_real_caddy(tmp_path: Path) -> None:
    """For the port that the Compose file names."""
    made = making(tmp_path, IMAGE, {})
    text = settings_of(made.material, made.material.app.service("site")).reveal()
    assert ":80 {" in text
    (tmp_path / "Caddyfile").write_text(text)
    caddy = Path(sys.executable).with_name("caddy")
    words = (str(caddy), "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile"))
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("site", "files", "page", "expected"),
    [
        (BUILT, {"site/public/index.html": "hello"}, PAGE, True),
        (BUILT, {"site/public/index.html": "hello", "site/Dockerfile": "FROM scratch"}, PAGE, False),
        (BUILT, {"site/public/index.html": "hello", "site/package.json": "{}"}, PAGE, False),
        (BUILT, {"site/public/a": "b"}, PAGE.replace("output:", "build: make, output:"), False),
        (IMAGE, {}, PAGE.replace("output: public", "output: nowhere"), False),
    ],
)
def test_what_has_to_be_made_first_has_an_image(
    tmp_path: Path, site: str, files: dict[str, str], page: str, expected: bool
) -> None:
    """By its own Dockerfile, or one that is rendered; it is told the port, and the front door leads there."""
    made = making(tmp_path, site, files, page)
    assert is_given_out(made.material, "site") is expected
    container = next(one for one in made.layout.containers if one.name == "site")
    if not expected and site == BUILT:
        assert REGISTRY in container.image
        assert container.environment["PORT"] == ("80",)
