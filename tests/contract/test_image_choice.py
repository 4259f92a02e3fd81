"""Which images the hosts of a target get: found, asked for, built once for all, or refused all at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.host_bundle import Making
from towline.artifacts.images import name_of
from towline.core.errors import Findings, StepFailed
from towline.core.events import ignore
from towline.core.secret import Secret
from towline.ops.image_archive import Archive
from towline.ops.image_builds import Built, Order
from towline.ops.images import Images
from towline.ops.render import material_of
from towline.steps.images import BuildImage, FetchImage, ImageFact, ImageParts, LoadImage
from towline.steps.model import Facts, Room

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from towline.artifacts.rendered import Material
    from towline.steps.images import ClearAway
    from towline.steps.model import Line

A, B, C = (f"sha256:{one * 64}" for one in "abc")
COMPOSE = """
services:
  web: {build: ., ports: ["8000:8000"]}
  gen: {image: "worker:1"}
"""
PAGE = """
app: press
services: {web: {kind: web, ready: /}, gen: {kind: worker}}
targets:
  production:
    sites:
      one: {kind: host, ssh: root@one.example}
      two: {kind: host, ssh: root@two.example OPTIONS}
    place: {web: [one, two], gen: two}
"""


@dataclass
class Remote:
    """What a host has, and what it was sent; its registry knows one image."""

    site: str
    parts: ImageParts = field(default_factory=ImageParts)
    taken: dict[str, bytes] = field(default_factory=dict)

    def past(self) -> tuple[Line, ...]:
        return ()

    def image_parts(self) -> ImageParts:
        return self.parts

    def take_part(self, name: str, chunks: Iterable[bytes]) -> None:
        self.taken[name] = b"".join(chunks)

    def digest_of(self, image: str, login: Secret | None) -> str:
        if image != "worker:1":
            raise StepFailed("no such manifest", hint="docker login docker.io")
        return C


class Shed:
    """A builder whose outcome has two layers and does not depend on anything."""

    def __init__(self, file: Path) -> None:
        self.orders: list[Order] = []
        self._file = file

    def build(self, order: Order, source: str, *, anew: bool) -> Built:
        self.orders.append(order)
        return Built(name_of(order.app, order.service, "0" * 64), "0" * 64, "sha256:id", (A, B))

    def archive(self, built: Built) -> Archive:
        return Archive(self._file, b"{}", {A: ("a", 1000), B: ("b", 10)})


@dataclass
class Scene:
    """Two hosts of a target, what they have, and who brings their images."""

    material: Material
    seen: dict[str, Facts]
    live: dict[str, Remote]
    shed: Shed

    def images(self, *, renew: bool = False) -> Images:
        return Images(self.live, self.shed, {"HOME": "/nowhere"}, ignore, renew)  # type: ignore[arg-type]

    def makings(self, **values: str) -> dict[str, Making]:
        told = {name: Secret(value) for name, value in {"PUBLIC_HOST": "one.example", **values}.items()}
        return {site.name: Making(self.material, site, {}, told, b"salt") for site in self.material.target.sites}


def scene(folder: Path, options: str = "", compose: str = COMPOSE) -> Scene:
    project = folder / "press"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM scratch\n")
    (project / "compose.yaml").write_text(compose)
    (project / "towline.yaml").write_text(PAGE.replace(" OPTIONS", options))
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    material = material_of(project, "production", project / "deploy/production", env=env)
    caddy = ImageFact(C, ("caddy:2.11.7",))
    facts = Facts("", images=(caddy,), architecture="amd64", room=Room(10**9, 4 * 10**9), salt=Secret("salt"))
    seen = {one: replace(facts, site=one) for one in ("one", "two")}
    return Scene(material, seen, {one: Remote(one) for one in ("one", "two")}, Shed(folder / "none.tar"))


def test_what_is_built_is_built_once_and_sent_where_it_lacks(tmp_path: Path) -> None:
    """One build for both hosts; the one that has the lower layer is sent less. A tag is asked for where it is not."""
    made = scene(tmp_path)
    made.live["two"].parts = ImageParts(images=((A,),))
    found = made.images().choose(made.makings(), made.seen)
    (order,) = made.shed.orders
    assert (order.service, order.architecture) == ("web", "amd64")
    assert [one.images for one in found.values()] == [{"web": "press-web:" + "0" * 12}] * 2
    sizes = {
        site: [one.size for one in chosen.steps.values() if isinstance(one, LoadImage)]
        for site, chosen in found.items()
    }
    assert sizes == {"one": [1012], "two": [12]}
    assert found["two"].exact["gen"] == f"worker:1@{C}"
    assert [one for one in found["two"].steps.values() if isinstance(one, FetchImage)] == [FetchImage(f"worker:1@{C}")]
    assert found["one"].exact["caddy"] == C


def test_a_source_that_all_hosts_have_is_not_built(tmp_path: Path) -> None:
    """By its label; one host without it is enough to build, so that all run the same."""
    made = scene(tmp_path)
    images = made.images()
    images.choose(made.makings(), made.seen)
    source = made.shed.orders.pop().source(b"salt")
    there = ImageFact(B, ("press-web:1111",), labels={"source": source})
    with_it = {site: replace(facts, images=(*facts.images, there)) for site, facts in made.seen.items()}
    found = made.images().choose(made.makings(), with_it)
    assert made.shed.orders == []
    assert found["one"].images["web"] == "press-web:1111"
    assert not any(isinstance(step, LoadImage) for step in found["one"].steps.values())
    made.images().choose(made.makings(), {**with_it, "two": made.seen["two"]})
    assert len(made.shed.orders) == 1
    made.images(renew=True).choose(made.makings(), with_it)
    assert len(made.shed.orders) == 2


def test_a_host_may_build_by_itself(tmp_path: Path) -> None:
    """With its share of what is free; the other one is sent what was built here."""
    made = scene(tmp_path, ", build: host")
    found = made.images().choose(made.makings(), made.seen)
    (step,) = [one for one in found["two"].steps.values() if isinstance(one, BuildImage)]
    assert step.image == found["two"].images["web"] != found["one"].images["web"]
    assert (step.memory, step.labels["towline.app"]) == (2 * 10**9, "press")
    assert any(isinstance(one, LoadImage) for one in found["one"].steps.values())


def test_the_registry_of_a_ci_goes_before_building(tmp_path: Path) -> None:
    """Nothing is built where somebody says where the outcome is; what nobody knows is told for all at once."""
    made = scene(tmp_path, compose=COMPOSE.replace("worker:1", "unknown:1"))
    with pytest.raises(Findings) as told:
        made.images().choose(made.makings(REGISTRY="registry.example", VERSION="7"), made.seen)
    assert made.shed.orders == []
    assert [one.code for one in told.value.findings] == ["image-unknown", "image-unknown"]
    assert "`web`" in told.value.findings[0].sentence
    assert "`gen`" in told.value.findings[1].sentence


@pytest.mark.parametrize(
    ("options", "build", "code"),
    [
        (", build: there", ".", "image-build-where"),
        ("", "https://git.example/press.git", "image-no-context"),
        ("", "empty", "image-no-dockerfile"),
    ],
)
def test_what_cannot_be_built_is_told_before_anything(tmp_path: Path, options: str, build: str, code: str) -> None:
    """A finding with something to do, and no build was begun."""
    (tmp_path / "press-empty").mkdir()
    made = scene(tmp_path, options, COMPOSE.replace("build: .", f"build: {build.replace('empty', '../press-empty')}"))
    with pytest.raises(Findings) as told:
        made.images().choose(made.makings(), made.seen)
    assert [one.code for one in told.value.findings] == [code]
    assert told.value.findings[0].hint
    assert made.shed.orders == []


def test_a_disk_without_room_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """With what is needed and what is there."""
    made = scene(tmp_path)
    seen = {site: replace(facts, room=Room(2000, 4 * 10**9)) for site, facts in made.seen.items()}
    with pytest.raises(Findings, match="mistake") as told:
        made.images().choose(made.makings(), seen)
    assert {one.code for one in told.value.findings} == {"image-no-room"}
    assert "2.5 kB, and 2.0 kB are free" in told.value.findings[0].sentence


def clear_away_of(made: Scene) -> ClearAway | None:
    images, makings = made.images(), made.makings()
    found = images.choose(makings, made.seen)
    return images.part(makings["one"], found["one"], made.seen["one"], 5).clear_away


def test_what_a_release_in_the_making_needs_stays(tmp_path: Path) -> None:
    """Of the first release nothing is cleared away, and all of it is listed for others to see."""
    step = clear_away_of(scene(tmp_path))
    assert step is not None
    assert (step.oldest, step.gone) == (0, ())
    assert {"press-web:" + "0" * 12, C} <= set(step.images)
