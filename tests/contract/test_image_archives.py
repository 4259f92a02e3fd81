"""Images as `docker save` writes them, parts as a host keeps them, and logins as `docker login` leaves them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import Defect, SiteUnreachable, StepFailed
from towline.core.secret import Secret
from towline.drivers.host.images import build_image, clear_away, load_image, taking
from towline.drivers.host.programs import program
from towline.drivers.host.stash import exports
from towline.drivers.host.upload import upload
from towline.ops.image_archive import read_archive
from towline.ops.registry_logins import Logins
from towline.steps.images import BuildImage, ClearAway, LoadImage

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = tuple(random.Random(number).randbytes(300_000) for number in range(3))
DIGESTS = tuple(f"sha256:{hashlib.sha256(one).hexdigest()}" for one in LAYERS)
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": list(DIGESTS)}}).encode()


def archive(file: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return file


def manifest(config: str, layers: list[str]) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": ["shop:1"], "Layers": layers}]).encode()


def test_an_archive_of_folders(tmp_path: Path) -> None:
    """Docker up to 24: a folder a layer, and a link where the same layer comes twice."""
    members = {"a/layer.tar": LAYERS[0], "b/layer.tar": LAYERS[1], "c.json": CONFIG}
    told = manifest("c.json", ["a/layer.tar", "b/layer.tar", "d/layer.tar"])
    twice = json.dumps({"rootfs": {"diff_ids": [DIGESTS[0], DIGESTS[1], DIGESTS[0]]}}).encode()
    file = archive(
        tmp_path / "a.tar", {**members, "c.json": twice, "manifest.json": told}, {"d/layer.tar": "../a/layer.tar"}
    )
    found = read_archive(file)
    assert found.config == twice
    assert {digest: size for digest, (_, size) in found.layers.items()} == dict.fromkeys(DIGESTS[:2], 300_000)
    assert gzip.decompress(b"".join(found.packed(DIGESTS[0]))) == LAYERS[0]


def test_an_archive_of_blobs(tmp_path: Path) -> None:
    """Docker since 25: blobs under their digests; an image store of containerd has them packed, and they go as is."""
    packed = gzip.compress(LAYERS[2], mtime=0)
    names = [f"blobs/sha256/{number}" for number in "123"]
    blobs = dict(zip(names, (LAYERS[0], LAYERS[1], packed), strict=True))
    file = archive(
        tmp_path / "b.tar", {**blobs, "blobs/sha256/c": CONFIG, "manifest.json": manifest("blobs/sha256/c", names)}
    )
    found = read_archive(file)
    assert b"".join(found.packed(DIGESTS[2])) == packed
    assert gzip.decompress(b"".join(found.packed(DIGESTS[1]))) == LAYERS[1]


@pytest.mark.parametrize(
    "members",
    [{}, {"manifest.json": b"[]"}, {"manifest.json": b"no json"}, {"manifest.json": manifest("c.json", ["x"])}],
)
def test_what_is_no_archive_is_told(tmp_path: Path, members: dict[str, bytes]) -> None:
    """Not a traceback: a Docker that saves otherwise is named."""
    with pytest.raises(SiteUnreachable, match="unknown form"):
        read_archive(archive(tmp_path / "x.tar", members))


def test_a_layer_that_only_some_hosts_can_unpack_is_refused(tmp_path: Path) -> None:
    """zstd: told before anything is sent."""
    blob = b"\x28\xb5\x2f\xfd" + LAYERS[0]
    one = json.dumps({"rootfs": {"diff_ids": [DIGESTS[0]]}}).encode()
    found = read_archive(archive(tmp_path / "z.tar", {"l": blob, "c": one, "manifest.json": manifest("c", ["l"])}))
    with pytest.raises(SiteUnreachable, match="zstd"):
        list(found.packed(DIGESTS[0]))


def taken(home: Path, name: str, data: bytes) -> None:
    upload(("sh", "-c", taking(str(home), name, "own")), [data[:1000], data[1000:]], "box")


def test_a_part_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """A connection that breaks ends the input like any other end: what is torn is told by its sum."""
    name = DIGESTS[0].removeprefix("sha256:")
    whole = gzip.compress(LAYERS[0])
    with pytest.raises(StepFailed, match="did not take a part"):
        taken(tmp_path, name, whole[:-20])
    assert list((tmp_path / "incoming").iterdir()) == []
    taken(tmp_path, name, whole)
    kept = tmp_path / "incoming" / name
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (whole, 0o600)
    assert [one.name for one in kept.parent.iterdir()] == [name]


def test_a_part_has_the_name_of_a_digest(tmp_path: Path) -> None:
    """Nothing that is sent can be written elsewhere."""
    for name in ("../x", "a b", "x.json"):
        with pytest.raises(Defect):
            taking(str(tmp_path), name, "own")


def test_a_broken_connection_is_told_as_one() -> None:
    """ssh ends with 255 when it was the way that failed."""
    with pytest.raises(SiteUnreachable, match="broke while an image was sent"):
        upload(("sh", "-c", "exit 255"), [b"x" * 1_000_000], "box")


def cleared(home: Path, step: ClearAway, tools: Path) -> str:
    work = home.parent / "work"
    work.mkdir(exist_ok=True)
    text = f"work={work}\n" + program(str(home), clear_away(step).apply, "words.sh")
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False, env=environ, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A `docker` that writes down what it is asked to remove, and has one image in use."""
    folder = tmp_path / "tools"
    folder.mkdir()
    asked = f'case "$*" in *"image rm used:1") exit 1 ;; *"image rm"*) echo "$last" >>{tmp_path}/removed ;; esac'
    text = f"#!/bin/sh\nfor last; do :; done\n{asked}\n"
    (folder / "docker").write_text(text)
    (folder / "docker").chmod(0o755)
    return folder


@pytest.mark.needs("sh", "flock")
def test_what_another_target_keeps_is_not_removed(tmp_path: Path, tools: Path) -> None:
    """Its list lies beside its journal; what a container has is refused by the engine, and the step goes on."""
    home, other = tmp_path / "apps/shop/production", tmp_path / "apps/blog/production"
    for folder in (home, other):
        (folder / "stash/.env").mkdir(parents=True)
    for digest in ("a" * 32, "b" * 32):
        (home / "stash" / digest).write_text("{}")
        (home / "stash/.env" / digest).write_text("")
    (home / "logs").mkdir()
    (home / "logs/release.log").write_text("x" * 2_000_000)
    (home / "incoming").mkdir()
    (other / "images").write_text("both:1\n")
    step = ClearAway(1, ("mine:2",), ("a" * 32,), ("both:1", "mine:1", "used:1"))
    said = cleared(home, step, tools)
    assert (tmp_path / "removed").read_text().split() == ["mine:1"]
    assert said.strip() == "removed 1 images and 1 environments"
    assert (home / "images").read_text() == "mine:2\n"
    assert sorted(one.name for one in (home / "stash").iterdir() if one.is_file()) == ["a" * 32]
    assert sorted(one.name for one in (home / "stash/.env").iterdir()) == ["a" * 32]
    assert (home / "logs/release.log").stat().st_size == 524_288
    assert not (home / "incoming").exists()
    again = cleared(home, ClearAway(1, ("mine:2",), ("a" * 32,)), tools)
    assert again.strip() == "removed 0 images and 0 environments"


STORE = """#!/bin/sh
shift 2
case "$*" in
'info '*) echo "$STORE" ;;
'image ls '*) echo sha256:old ;;
'save '*) cp "$FOLDER/old.tar" "$3" ;;
load) cat >"$FOLDER/loaded.tar" ;;
'image inspect -f {{range '*) printf '%s ' $HAS ;;
'image inspect -f {{json '*) cat "$FOLDER/layers" ;;
'image inspect -f {{.Id}}'*) echo sha256:0123456789abcdef ;;
esac
"""
"""A `docker` with one image, that says of whatever was loaded that it has the layers in a file."""


def loaded(folder: Path, store: str) -> dict[str, bytes]:
    """What `docker load` is given: the host has the first two layers in an image of its own, the third was sent."""
    home, tools, work = folder / "home", folder / "tools", folder / "work"
    for one in (home / "incoming", tools, work):
        one.mkdir(parents=True)
    (tools / "docker").write_text(STORE)
    (tools / "docker").chmod(0o755)
    (folder / "layers").write_text(json.dumps(list(DIGESTS), separators=(",", ":")))
    told = manifest("c", ["blobs/0", "blobs/1"])
    archive(folder / "old.tar", {"blobs/0": LAYERS[0], "blobs/1": LAYERS[1], "c": CONFIG, "manifest.json": told})
    (home / "incoming/abc.json").write_bytes(CONFIG)
    (home / "incoming" / DIGESTS[2].removeprefix("sha256:")).write_bytes(gzip.compress(LAYERS[2]))
    # The image is not there before: asked for its layers, it has others.
    step = load_image(LoadImage("shop:1", "abc", DIGESTS, 0))
    text = f"work={work}\n" + program(str(home), step.apply, "words.sh")
    told_here = {"FOLDER": str(folder), "STORE": store, "HAS": " ".join(DIGESTS[:2])}
    environ = {**os.environ, **told_here, "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False, env=environ, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip() == "image 0123456789ab"
    assert not (home / "incoming/.load").exists()
    with tarfile.open(folder / "loaded.tar") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


@pytest.mark.needs("sh", "tar")
def test_layers_that_the_host_has_are_left_out(tmp_path: Path) -> None:
    """An engine that keeps layers finds them by their chain; the list of layers is that of the whole image."""
    found = loaded(tmp_path, "[[Backing Filesystem extfs]]")
    sent = DIGESTS[2].removeprefix("sha256:")
    assert sorted(found) == sorted(["config.json", "manifest.json", sent])
    (told,) = json.loads(found["manifest.json"])
    assert told["RepoTags"] == ["shop:1"]
    assert told["Layers"] == [one.removeprefix("sha256:") for one in DIGESTS]
    assert found[told["Config"]] == CONFIG


@pytest.mark.needs("sh", "tar")
def test_an_image_store_of_containerd_gets_them_from_its_own_images(tmp_path: Path) -> None:
    """It takes whole archives only: what was not sent is saved there, and put between."""
    found = loaded(tmp_path, "[[driver-type io.containerd.snapshotter.v1]]")
    for digest, content in zip(DIGESTS[:2], LAYERS[:2], strict=True):
        assert found[digest.removeprefix("sha256:")] == content
    assert gzip.decompress(found[DIGESTS[2].removeprefix("sha256:")]) == LAYERS[2]


def logins(tmp_path: Path, config: dict[str, object], values: dict[str, str] | None = None) -> Logins:
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = {name: Secret(value) for name, value in (values or {}).items()}
    return Logins({"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}, told)


def told(found: Secret | None) -> dict[str, dict[str, str]]:
    assert found is not None
    entries: dict[str, dict[str, str]] = json.loads(found.reveal())["auths"]
    return entries


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_login_of_docker_is_used_for_its_registry_alone(tmp_path: Path) -> None:
    """The host gets one login, not the file with all of them."""
    mine = auth("ann", "secret")
    entries = {"ghcr.io": {"auth": mine}, "https://index.docker.io/v1/": {"auth": auth("hub", "x")}}
    found = logins(tmp_path, {"auths": entries, "HttpHeaders": {"X": "y"}})
    assert told(found.login_of("ghcr.io/ann/shop:1")) == {"ghcr.io": {"auth": mine}}
    assert list(told(found.login_of("postgres:18"))) == ["https://index.docker.io/v1/"]
    assert found.login_of("quay.io/x/y:1") is None


def test_a_helper_of_docker_is_asked(tmp_path: Path) -> None:
    """Where the password lies in the keychain of the system."""
    helper = tmp_path / "docker-credential-chain"
    helper.write_text('#!/bin/sh\nread -r server\nprintf \'{"Username":"ann","Secret":"of %s"}\' "$server"\n')
    helper.chmod(0o755)
    found = logins(tmp_path, {"credsStore": "chain"})
    assert told(found.login_of("ghcr.io/ann/shop:1")) == {"ghcr.io": {"auth": auth("ann", "of ghcr.io")}}
    assert logins(tmp_path, {"credsStore": "absent"}).login_of("ghcr.io/ann/shop:1") is None


def test_the_vault_goes_before_docker(tmp_path: Path) -> None:
    """A target may have a login of its own, for the registry that it names."""
    values = {"REGISTRY": "ghcr.io/ann", "REGISTRY_USER": "robot", "REGISTRY_PASSWORD": "token"}
    found = logins(tmp_path, {"auths": {"ghcr.io": {"auth": "x"}}}, values)
    assert told(found.login_of("ghcr.io/ann/shop:1")) == {"ghcr.io": {"auth": auth("robot", "token")}}
    assert found.login_of("postgres:18") is None


def test_without_any_login_there_is_none(tmp_path: Path) -> None:
    """No file, or one that is no JSON."""
    (tmp_path / "config.json").write_text("{")
    assert Logins({"DOCKER_CONFIG": str(tmp_path)}).login_of("postgres:18") is None
    assert Logins({"HOME": str(tmp_path / "nowhere")}).login_of("postgres:18") is None


@pytest.mark.needs("sh", "tar")
def test_build_arguments_may_be_called_as_anything_is(tmp_path: Path) -> None:
    """Names that the program has for its own words, and the path of programs: each is an argument, and nothing else."""
    home, tools, work, part = tmp_path / "home", tmp_path / "tools", tmp_path / "work", "0" * 64
    given = {name: f"no {name}" for name in ("PATH", "engine", "env", "folder", "how", "name", "names", "within")}
    for one in (home / "incoming", home / "stash/.env", tools, work):
        one.mkdir(parents=True)
    (home / "stash/.env/d1").write_text(exports(given))
    with tarfile.open(home / "incoming" / part, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("Dockerfile"))
    (tools / "docker").write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" "$name, $PATH" >{tmp_path}/asked\n')
    (tools / "docker").chmod(0o755)
    step = build_image(BuildImage("shop:1", part, {"towline.app": "shop"}, 2**30, args="d1"))
    text = f"work={work}\n" + program(str(home), step.apply, "words.sh")
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False, env=environ, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "built shop:1\n"), ran.stderr
    asked, told = (tmp_path / "asked").read_text().splitlines()
    assert "--tag shop:1 " in asked
    assert asked.endswith(f" {home}/incoming/.context/context")
    assert [word for word in given if f"--build-arg {word} " not in asked] == []
    assert told == "no name, no PATH"
