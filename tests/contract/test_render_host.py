"""The files of a host as Compose and Caddy themselves read them: accepted, closed to the internet, without a secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.render_scenes import TARGETS, material

from towline.artifacts import caddyfile, host_compose
from towline.artifacts.containers import HealthTest, HostContainer, HostLayout
from towline.artifacts.front_door import hosts
from towline.artifacts.yaml_text import yaml_text
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from towline.artifacts.containers import Text
    from towline.artifacts.rendered import Material

CASES = Path(__file__).resolve().parent.parent / "cases" / "render"
CADDY = str(Path(sys.executable).with_name("caddy"))
NO_HOST = {("kirby-gen", "production"), ("nutri", "production"), ("repolens", "production")}
HOSTS = [one for one in TARGETS if one not in NO_HOST]
NEEDED = re.compile(r"\$\{(\w+):\?")


@pytest.fixture(scope="module")
def every(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """The host's files of each example and target, by path."""
    root = tmp_path_factory.mktemp("scenes")
    return {one: of_host(material(checkout, *one, root / "-".join(one))) for one in HOSTS}


@pytest.fixture
def files(example: str, target: str, every: dict[tuple[str, str], dict[str, str]]) -> dict[str, str]:
    """Those of one."""
    return every[example, target]


def of_host(made: Material) -> dict[str, str]:
    """The files that a host runs from."""
    return {one.path: one.text for one in (*host_compose.files(made), *caddyfile.files(made))}


def settings(text: str) -> dict[str, str]:
    """A value for everything that the file cannot do without."""
    return {name: f"told-{name.lower()}" for name in NEEDED.findall(text)}


def as_compose_reads(text: str, folder: Path, told: dict[str, str]) -> dict[str, Any]:
    """What Compose makes of a rendered file, services behind profiles included; it must have nothing to say to it."""
    path = folder / "compose.yaml"
    path.write_text(text)
    (folder / "Caddyfile").touch()
    words = [*find_compose(os.environ), "-f", str(path), "--profile", "*", "config", "--format", "json"]
    env = {**told, "PATH": os.environ["PATH"], "HOME": str(folder)}
    ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(("example", "target"), HOSTS)
def test_the_files_are_those_of_the_cases(example: str, target: str, files: dict[str, str]) -> None:
    """Compose file and Caddyfile of each example are those that were reviewed, to the letter."""
    folder = CASES / example / target
    if os.environ.get("TOWLINE_REGENERATE"):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    assert {name: (folder / name).read_text() for name in files} == files


@pytest.mark.parametrize(("example", "target"), HOSTS)
def test_compose_accepts_it_and_nothing_is_open(
    example: str, target: str, files: dict[str, str], tmp_path: Path
) -> None:
    """Compose has no complaint; only the front door has ports, 80 and 443; every container is confined and limited."""
    folder = tmp_path / "read"
    folder.mkdir()
    found = as_compose_reads(files["compose.yaml"], folder, settings(files["compose.yaml"]))
    for name, one in found["services"].items():
        ports = [(port["published"], port["protocol"]) for port in one.get("ports", ())]
        assert ports == ([("80", "tcp"), ("443", "tcp"), ("443", "udp")] if name == "caddy" else []), name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert int(one["mem_limit"]) >= 64 * 2**20, name
        assert one["pids_limit"] > 0, name
        assert one["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        assert re.fullmatch(r".+(:[\w.-]+|@sha256:\w+)", one["image"]), name
        assert not one["image"].endswith(":latest"), name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(one) or name in {
            "caddy",
            "media-setup",
        }, name


@pytest.mark.parametrize(("example", "target"), HOSTS)
def test_stores_are_reached_by_those_who_are_told_of_them(
    example: str, target: str, files: dict[str, str], tmp_path: Path
) -> None:
    """A store is in one network that leads nowhere else; whoever is in it has its address in a variable."""
    folder = tmp_path / "read"
    folder.mkdir()
    found = as_compose_reads(files["compose.yaml"], folder, settings(files["compose.yaml"]))
    networks = {name for name in found["networks"] if name != "app"}
    assert networks
    for name in networks:
        assert found["networks"][name]["internal"] is True
        store = name.removeprefix("to-")
        assert list(found["services"][store]["networks"]) == [name]
        inside = {other for other, one in found["services"].items() if name in one.get("networks", {})}
        for other in inside - {store, "caddy"}:
            told = " ".join(found["services"][other]["environment"].values())
            assert re.search(rf"[@/]{store}:\d+", told), (other, store)
        if "caddy" in inside:
            assert store == "media"


@pytest.mark.parametrize(("example", "target"), HOSTS)
def test_no_password_stands_in_it(example: str, target: str, files: dict[str, str]) -> None:
    """What reaches a store is the name of a setting without a default; a laptop's own is gone."""
    text = files["compose.yaml"]
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*)[:}]", text):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    assert "laptop" not in text
    assert not re.search(r"://[^/\s:@]*:(?!\$\{)[^/\s@]+@", text)


@pytest.mark.parametrize(("example", "target"), HOSTS)
def test_caddy_accepts_it(example: str, target: str, files: dict[str, str], tmp_path: Path) -> None:
    """The Caddyfile is valid, in Caddy's own format, and the administration listens to the container alone."""
    path = tmp_path / "Caddyfile"
    path.write_text(files["Caddyfile"])
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    words = [CADDY, "adapt", "--validate", "--adapter", "caddyfile", "--config", str(path)]
    adapted = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert adapted.returncode == 0, adapted.stderr
    assert "not formatted" not in adapted.stderr
    assert json.loads(adapted.stdout)["admin"] == {"listen": "localhost:2019"}


def test_another_host_is_told_by_setting(checkout: Path, tmp_path: Path) -> None:
    """What runs on another site is asked for by name: the database that a platform has is `DB_URL` of `.env`."""
    made = material(checkout, "cooly", "production", tmp_path)
    text = host_compose.files(made)[0].text
    assert "DATABASE_URL: ${DB_URL:?set it in .env}" in text
    assert "\n  db:" not in text
    assert [(one.origin, one.setting) for one in made.variables_of("db")] == [("asked", "DB_URL")]


def test_several_hosts_have_a_file_each(checkout: Path, tmp_path: Path) -> None:
    """Two hosts: two Compose files and Caddyfiles by the names of the sites; a copy of a spread service on each."""
    page = (checkout / "examples" / "repolens" / "towline.yaml").read_text()
    two = (
        "targets:\n  two:\n    shape: vps\n    sites: {one: {kind: host, domain: app.example}, two: {kind: host}}\n"
        '    place: {worker: [one, two], "*": one}\n'
    )
    made = material(checkout, "repolens", "two", tmp_path, page.replace("targets:\n", two))
    found = of_host(made)
    assert sorted(found) == ["Caddyfile.one", "compose.one.yaml", "compose.two.yaml"]
    assert "./Caddyfile.one:/etc/caddy/Caddyfile:ro" in found["compose.one.yaml"]
    assert "\n  worker:" in found["compose.one.yaml"]
    assert "\n  worker:" in found["compose.two.yaml"]
    assert "DATABASE_URL: ${DB_URL:?set it in .env}" in found["compose.two.yaml"]
    assert [site.name for site in hosts(made.target)] == ["one", "two"]
    read = tmp_path / "read"
    read.mkdir()
    for text in (found["compose.one.yaml"], found["compose.two.yaml"]):
        as_compose_reads(text, read, settings(text))


ODD = [
    "", " ", "  two", "two  ", "yes", "No", "null", "~", "1", "1.0", "0x10", "1_000", "08:30", "2024-01-01", "on", "=",
    "<<",
    "a: b", "a #b", "#a", "- a", "-", "?", "!tag", "&a", "*a", "|", ">", "%", "@", "`", "'", '"', "\\", "\\n", "a\tb",
    "{a}",
    "[a]", "{", "}", ",", "$", "$$", "${A}", "$A", "$$A", "a\nb", "a\n", "\na", "a\n\n  b\n", "é", "\u2028", "漢字",
    "🚢", "\x7f",
    "key: [1, 2]", "'quoted'", '"quoted"', "a'b\"c", "--flag=value", "-c", "/path", "http://a:b@c/d?e=f&g#h", "x" * 300,
]  # fmt: skip


def test_whatever_stands_in_a_value_comes_back(tmp_path: Path) -> None:
    """Text that YAML, Compose or a shell would take for something else reaches the container as it was written."""
    environment: dict[str, Text] = {f"V{number:03}": (text,) for number, text in enumerate(ODD)}
    script = "\n".join(text for text in ODD if "\n" not in text)
    one = HostContainer(
        "one", "service", ("x:1",), command=tuple((text,) for text in ODD), environment=environment,
        health=HealthTest(("/bin/sh", "-c", script)),
    )  # fmt: skip
    text = yaml_text(host_compose.document(HostLayout("shop", "t", "box", (one,), (), ())))
    answer = as_compose_reads(text, tmp_path, {"A": "must-not-be-seen"})["services"]["one"]
    # Compose writes every dollar sign twice, so that its answer is a Compose file again.
    said = json.loads(json.dumps(answer).replace("$$", "$"))
    assert [said["environment"][name] for name in environment] == ODD
    assert said["command"] == ODD
    assert said["healthcheck"]["test"] == ["CMD-SHELL", script]
