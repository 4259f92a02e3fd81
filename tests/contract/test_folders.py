"""Folders of the project on their way to a host: what is read, under which name, and what is there afterwards."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.folders import Folder, Travelling, read_folder
from towline.artifacts.host_bundle import Making, site_bundle
from towline.artifacts.model import SiteBundle
from towline.core.errors import Findings
from towline.core.events import ignore
from towline.core.secret import Secret
from towline.drivers.host.folders import place_folder
from towline.drivers.host.programs import part, program
from towline.ops import folders
from towline.ops.folders import folders_of, packed, places
from towline.ops.images import Chosen, Images
from towline.ops.render import material_of
from towline.release.retained import clear_away
from towline.spec.bound import lies_of
from towline.spec.container import Container, Mount
from towline.steps.folders import PlaceFolder
from towline.steps.images import ImageParts
from towline.steps.model import Batch, Facts, InstanceFact, Plan, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from towline.artifacts.rendered import Material
    from towline.steps.model import Line

COMPOSE = """
services:
  web:
    image: shop:1
    ports: ["8000:8000"]
    volumes:
      - ./public:/srv
      - ./start.sh:/start.sh:ro
      - ./small.conf:/etc/small.conf
      - ./uploads:/uploads
  gen:
    image: shop:1
    volumes: ["./public:/pages:ro"]
"""
PAGE = """
app: shop
services: {web: {kind: web, ready: /}, gen: {kind: worker}}
targets:
  production:
    sites:
      box: {kind: host, ssh: root@box.example}
"""
SALT = b"salt"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose services mount a folder, a program, a small file, and a folder that is not there."""
    made = tmp_path / "shop"
    (made / "public" / "deep" / "empty").mkdir(parents=True)
    (made / "public" / "index.html").write_text("hello")
    (made / "public" / "deep" / "page.html").write_text("deep")
    (made / "public" / "latest").symlink_to("deep/page.html")
    (made / "public" / "inside-only").symlink_to("/usr/share/nothing-of-that-name")
    (made / "start.sh").write_text("#!/bin/sh\n")
    (made / "start.sh").chmod(0o755)
    (made / "small.conf").write_text("a = 1\n")
    (made / "compose.yaml").write_text(COMPOSE)
    (made / "towline.yaml").write_text(PAGE)
    return made


def material(project: Path) -> Material:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return material_of(project, "production", project / "deploy/production", env=env)


def making(project: Path) -> Making:
    found = material(project)
    return Making(
        found, found.target.sites[0], {}, {"PUBLIC_HOST": Secret("box.example")}, SALT, folders=folders_of(found)
    )


def placed(folder: Folder, home: Path, digits: str) -> subprocess.CompletedProcess[str]:
    """The step on this very machine, with what was sent of a folder; under the mask of a batch."""
    (home / "incoming").mkdir(parents=True, exist_ok=True)
    (home / "incoming" / digits).write_bytes(b"".join(packed(folder)))
    made = place_folder(PlaceFolder(f"folders/{digits}", "public", ("web",), 2, 9))
    return subprocess.run(
        ["sh", "-c", program(str(home), f"fail() {{ echo \"$1\"; exit 1; }}\n{made.apply}")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_mounted_travels_by_what_it_is(project: Path) -> None:
    """Folder and program in folders named by their content, a small file with the environments, the rest a volume."""
    made = making(project)
    part = site_bundle(made)
    gen, web = (one.instances[0] for one in part.services)
    assert web.container is not None
    kinds = {one.target: (one.kind, one.read_only) for one in web.container.mounts}
    assert kinds == {
        "/srv": ("folder", True),
        "/start.sh": ("folder", True),
        "/etc/small.conf": ("file", True),
        "/uploads": ("volume", False),
    }
    assert part.services[1].swap == "after"
    sources = {one.target: one.source for one in web.container.mounts}
    assert sources["/start.sh"].endswith("/file")
    assert sources["/uploads"] == "shop-production-folder-uploads"
    assert gen.container is not None
    assert {one.source for one in gen.container.mounts} == {sources["/srv"]}


def test_a_folder_is_brought_once_and_only_where_something_starts(project: Path) -> None:
    """Two services share it; whoever runs already has its own, and so the plan stays empty."""
    made = making(project)
    part, nothing = site_bundle(made), Facts("box")
    steps = list(places(made, part, nothing))
    titles = [one.title for one in steps]
    assert titles == ["bring public for gen, web (2 files, 9 B)", "bring start.sh for web (10 B)"]
    running = tuple(
        InstanceFact(one.name, one.service, one.revision, "ready") for each in part.services for one in each.instances
    )
    assert places(made, part, Facts("box", instances=running)) == {}
    half = tuple(one for one in running if one.service == "web")
    assert [one.services for one in places(made, part, Facts("box", instances=half))] == [("gen",)]


def test_what_is_inside_and_nothing_else_names_it(project: Path) -> None:
    """Times, owners and rights but one do not count, so that a colleague's checkout changes nothing; a letter does."""
    public = project / "public"
    before = read_folder(public, project).digest()
    os.utime(public / "index.html", (1, 1))
    (public / "index.html").chmod(0o600)
    (public / "__pycache__").mkdir()
    (public / "__pycache__" / "a.pyc").write_text("made by a tool")
    assert read_folder(public, project).digest() == before
    (public / "index.html").chmod(0o700)
    program = read_folder(public, project).digest()
    (public / "index.html").chmod(0o600)
    (public / "index.html").write_text("hallo")
    other = read_folder(public, project).digest()
    (public / "index.html").write_text("hello")
    (public / "latest").unlink()
    (public / "latest").symlink_to("index.html")
    assert len({before, program, other, read_folder(public, project).digest()}) == 4


def test_a_changed_file_is_another_revision(project: Path) -> None:
    """Of all who mount it; of nobody else, and again the first one when it is changed back."""

    def revisions() -> list[str]:
        return [one.instances[0].revision for one in site_bundle(making(project)).services]

    first = revisions()
    assert revisions() == first
    (project / "public" / "index.html").write_text("bye")
    second = revisions()
    assert all(one != other for one, other in zip(first, second, strict=True))
    (project / "public" / "index.html").write_text("hello")
    (project / "start.sh").write_text("#!/bin/sh\nexit\n")
    third = revisions()
    assert third[0] == first[0]
    assert third[1] != first[1]


def test_it_is_there_whole_for_everybody_to_read_and_nobody_to_change(project: Path, tmp_path: Path) -> None:
    """With links, empty folders, and the right to be executed; whatever an earlier try has left is gone."""
    home, digits = tmp_path / "home", "a" * 64
    (home / "folders" / f".{digits}" / "half").mkdir(parents=True)
    ran = placed(read_folder(project / "public", project), home, digits)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    there = home / "folders" / digits
    assert (there / "latest").read_text() == "deep"
    assert (there / "inside-only").is_symlink()
    assert (there / "deep" / "empty").is_dir()
    assert not (there / "half").exists()
    modes = {one.relative_to(there).as_posix(): one.stat().st_mode & 0o777 for one in (there, *there.rglob("*.html"))}
    assert modes == {".": 0o555, "index.html": 0o444, "deep/page.html": 0o444}
    assert (there / "deep").stat().st_mode & 0o777 == 0o555
    ran = placed(read_folder(project / "start.sh", project), home, "b" * 64)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (home / "folders" / ("b" * 64) / "file").stat().st_mode & 0o777 == 0o555


def test_what_was_never_sent_is_said(tmp_path: Path) -> None:
    """And nothing appears under the name."""
    made = place_folder(PlaceFolder("folders/" + "c" * 64, "public", ("web",), 1, 1))
    text = program(str(tmp_path), f'fail() {{ echo "$1"; exit 1; }}\n{made.apply}')
    ran = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "these files were never sent to this host\n")
    assert not (tmp_path / "folders").exists()


def test_what_cannot_travel_is_told_at_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that leads out, a socket; and then the size, with what is largest."""
    (project / "public" / "out").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as made:
        monkeypatch.chdir(project / "public")
        made.bind("talk.sock")
        with pytest.raises(Findings) as refused:
            folders_of(material(project))
    assert [(one.code, one.sentence) for one in refused.value.findings] == [
        ("files-special", "`public/out` is a link that leads out of the project"),
        ("files-special", "`public/talk.sock` is no file: a socket, a pipe or a device"),
    ]
    (project / "public" / "out").unlink()
    (project / "public" / "talk.sock").unlink()
    monkeypatch.setattr(folders, "MOST", 12)
    with pytest.raises(Findings) as large:
        folders_of(material(project))
    (finding,) = large.value.findings
    assert finding.code == "files-too-large"
    assert "services mount 19 B of the project, and at most 12 B travel" in finding.sentence
    assert "start.sh" in finding.sentence


def test_a_kept_release_keeps_its_folder(project: Path) -> None:
    """Whoever mounts a folder, or a file in it, needs it; the release in the making does as well."""
    made = making(project)
    part = replace(site_bundle(made), images=tuple(places(made, site_bundle(made), Facts("box"))))
    kept = clear_away((), part, 5, ()).contents
    assert {one.folder for one in places(made, part, Facts("box"))} <= set(kept)
    bare = SiteBundle("box", (), part.services, None, None, None, {})
    assert {one for one in clear_away((), bare, 5, ()).contents if one.startswith("folders/")} == {
        one for one in kept if one.startswith("folders/")
    }


def test_what_no_kept_release_mounts_is_cleared_away(tmp_path: Path) -> None:
    """With what a broken try has left, and the readable copy of a secret that has been replaced."""
    kept, gone, half = "a" * 64, "b" * 64, "." + "c" * 64
    for name in (kept, gone, half):
        (tmp_path / "folders" / name).mkdir(parents=True)
        (tmp_path / "folders" / name / "index.html").write_text("hello")
    for digest in ("1" * 32, "2" * 32):
        for place in ("stash", "files"):
            (tmp_path / place).mkdir(exist_ok=True)
            (tmp_path / place / digest).write_text("told-once")
    (tmp_path / "folders" / gone).chmod(0o555)
    text = f"{part('images.sh')}clear_contents 'folders/{kept}\n{'1' * 32}'\n"
    ran = subprocess.run(["sh", "-c", program(str(tmp_path), text)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [one.name for one in (tmp_path / "folders").iterdir()] == [kept]
    assert [one.name for one in (tmp_path / "stash").iterdir()] == ["1" * 32]
    assert [one.name for one in (tmp_path / "files").iterdir()] == ["1" * 32]


def test_the_name_tells_nothing_of_a_short_content(project: Path) -> None:
    """It is keyed with what only the host and its operators know."""
    folder = read_folder(project / "small.conf", project)
    one = Travelling(folder, folder.digest(), "small.conf")
    assert one.name(b"one") != one.name(b"two")
    assert folder.digest() not in one.mounted(b"one")


def test_what_lies_at_a_mount(project: Path) -> None:
    """As the disk has it: also what Git is told to ignore, and links that lead out."""
    (project / ".gitignore").write_text("/made/\n")
    (project / "made").mkdir()
    (project / "made" / "rows").write_text("1")
    (project / "empty").mkdir()
    (project / "away").symlink_to("/usr/share")
    names = ("public", "small.conf", "made", "empty", "away", "gone", "../beside", "public/../public/index.html")
    mounts = tuple(Mount("bind", str(project / name), f"/{name}") for name in names)
    found = lies_of(Container("web", mounts=mounts), project)
    assert [found[str(project / name)] for name in names[:7]] == [
        "folder", "file", "ignored", "empty", "outside", "absent", "outside",
    ]  # fmt: skip


@dataclass
class Remote:
    """A host that has what was sent to it."""

    taken: dict[str, bytes] = field(default_factory=dict)

    def past(self) -> tuple[Line, ...]:
        return ()

    def image_parts(self) -> ImageParts:
        return ImageParts(sent=frozenset(self.taken))

    def take_part(self, name: str, chunks: Iterable[bytes]) -> None:
        assert name not in self.taken, "it was there"
        self.taken[name] = b"".join(chunks)


def test_it_is_sent_before_the_lock_and_only_where_it_is_not(project: Path) -> None:
    """Under the name that its step asks for; a plan that starts nothing sends nothing."""
    made, host = making(project), Remote()
    images = Images({"box": host}, None, {}, ignore)  # type: ignore[arg-type,dict-item]  # no image is built here
    part = images.part(made, Chosen(), Facts("box"), 5)
    stage = Stage("images", (Batch("box", 0, part.images),))
    plan = Plan("shop", "production", 1, "deploy", (stage,), {})
    assert part.clear_away is not None
    for _ in range(2):
        images.deliver(plan)
    steps = [one for one in part.images if one.kind == "place-folder"]
    assert host.taken.keys() == {one.part for one in steps}
    (public,) = (one for one in steps if one.source == "public")
    with tarfile.open(fileobj=io.BytesIO(host.taken[public.part])) as tar:
        names = {one.name: (one.mode, one.uid, one.mtime) for one in tar}
    assert names["index.html"] == (0o444, 0, 0)
    assert names["deep"] == names["deep/empty"] == (0o555, 0, 0)
    assert len(names) == 6
