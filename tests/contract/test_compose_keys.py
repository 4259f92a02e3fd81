"""Every key of a Compose service: where the guide has it, and what is made of it as Compose itself reads it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.host_bundle import Making, site_bundle
from towline.core.secret import Secret
from towline.ops.render import material_of
from towline.ops.secrets import wanted_by
from towline.spec.compose import read_compose
from towline.spec.compose_keys import KEYS, RIGHTS, Fate
from towline.spec.given_files import Given
from towline.spec.read import read_with_mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.container import Container

HEADINGS: dict[Fate, str] = {
    "kept": "What is kept",
    "own": "What Towline decides",
    "left out": "What is left out, with a warning",
    "refused": "What is refused",
}
COMPOSE = """
services:
  web:
    image: shop:1
    ports: ["8000:8000"]
    cap_add: [IPC_LOCK, CAP_KILL]
    extra_hosts: {printer: 192.0.2.7, docker.example: host-gateway}
    init: false
    shm_size: 64m
    tmpfs: ["/run:size=1m,mode=700", /cache]
    volumes: [{type: tmpfs, target: /tmp, tmpfs: {size: 2mb, mode: 0o1777}}]
    user: "1000"
    hostname: shop
    labels: [traefik.enable=true]
    tty: true
    ulimits: {nofile: 65536, nproc: {soft: 512, hard: 1024}}
    security_opt: ["no-new-privileges:true"]
    secrets: [word, {source: told, target: /etc/told}]
    configs: [site]
  vpn:
    image: vpn:1
    privileged: true
    pid: host
    network_mode: none
    cap_add: [ALL]
secrets:
  word: {environment: WORD}
  told: {environment: TOLD}
configs:
  site: {content: "a = $$1"}
"""
PAGE = """
app: shop
services: {web: {kind: web, ready: /}, vpn: {omit: true}}
targets:
  production:
    sites:
      box: {kind: host, ssh: root@box.example}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with many keys."""
    made = tmp_path / "shop"
    made.mkdir()
    (made / "compose.yaml").write_text(COMPOSE)
    (made / "towline.yaml").write_text(PAGE)
    return made


def environ() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def read(project: Path, name: str) -> Container:
    found = read_compose((project / "compose.yaml",), env=environ()).container(name)
    assert found is not None
    return found


@pytest.mark.parametrize("fate", KEYS)
def test_the_guide_has_every_key_once(fate: Fate, checkout: Path) -> None:
    """Under the heading that says what becomes of it."""
    text = (checkout / "docs" / "guides" / "compose.md").read_text()
    part = text.split(f"## {HEADINGS[fate]}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    named = [key for row in rows for key in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(named) == sorted(KEYS[fate])
    if fate == "kept":
        assert set(re.findall(r"`([A-Z_]+)`", part)) == RIGHTS


def test_no_key_has_two_fates() -> None:
    """Nothing that is kept is refused."""
    assert sum(len(keys) for keys in KEYS.values()) == len(frozenset().union(*KEYS.values()))


def test_as_compose_reads_them(project: Path) -> None:
    """In the spelling of its JSON: lists, maps, defaults."""
    web, vpn = read(project, "web"), read(project, "vpn")
    assert web.rights == ("IPC_LOCK", "KILL")
    assert web.hosts == (("docker.example", "host-gateway"), ("printer", "192.0.2.7"))
    assert web.ulimits == ("nofile=65536", "nproc=512:1024")
    assert (web.init, web.shared_memory, web.user) == (False, 64 * 2**20, "1000")
    assert web.left_out == ("hostname", "labels", "tty")
    assert web.refused == ()
    assert vpn.refused == ("pid",)
    assert vpn.left_out == ("cap_add: ALL", "privileged")
    assert set(web.files) == {
        Given("secret", "/run/secrets/word", variable="WORD"),
        Given("secret", "/etc/told", variable="TOLD"),
        Given("config", "/site", content=Secret("a = $1")),
    }


def test_a_second_file_takes_a_key_away(project: Path) -> None:
    """As the hint says: for the server alone."""
    (project / "server.yaml").write_text("services: {vpn: {pid: !reset null}}\n")
    (project / "towline.yaml").write_text(
        f"compose: [compose.yaml, server.yaml]{PAGE.replace(', vpn: {omit: true}', '')}"
    )
    found = read_with_mistakes(project, "production", env=environ())
    assert [one.code for one in found.findings] == ["key-left-out", "key-left-out"]
    (project / "server.yaml").write_text("services: {}\n")
    found = read_with_mistakes(project, "production", env=environ())
    assert [one.code for one in found.findings if one.level == "error"] == ["key-refused"]


def test_what_a_build_does_not_get(project: Path) -> None:
    """It is told, since a Dockerfile may count on it."""
    text = "services: {web: {build: {context: ., secrets: [word], args: {A: b}, target: x, pull: true}}}\n"
    (project / "compose.yaml").write_text(text + "secrets: {word: {environment: WORD}}\n")
    assert read(project, "web").left_out == ("build.secrets",)


def test_the_password_of_a_store_as_a_file_is_the_one_it_has(project: Path) -> None:
    """An app that reads it from a file finds its database: nobody is asked for it."""
    database = "  db: {image: 'postgres:18'}\nsecrets:\n  pass: {environment: DB_PASSWORD}\n"
    text = COMPOSE.replace("secrets:\n  word:", f"{database}  word:").replace("[word, {", "[pass, word, {")
    (project / "compose.yaml").write_text(text)
    material = material_of(project, "production", project / "deploy/production", env=environ())
    assert wanted_by(material)["DB_PASSWORD"].generated


def test_what_is_kept_reaches_the_engine(project: Path) -> None:
    """And the values of secrets are asked for by name, and are in no environment, plan or mount."""
    material = material_of(project, "production", project / "deploy/production", env=environ())
    wanted = wanted_by(material)
    assert {"WORD", "TOLD"} <= wanted.keys()
    assert wanted["WORD"].services == ("web",)
    values = {name: Secret(f"canary-{name}") for name in (*wanted, "PUBLIC_HOST")}
    part = site_bundle(Making(material, material.target.sites[0], {}, values, b"salt"))
    (one,) = part.services[0].instances
    made = one.container
    assert made is not None
    assert made.capabilities == ("IPC_LOCK", "KILL")
    assert made.hosts == (("docker.example", "host-gateway"), ("printer", "192.0.2.7"))
    assert made.ulimits == ("nofile=65536", "nproc=512:1024")
    assert (made.init, made.shared_memory, made.user) == (False, 64 * 2**20, "1000")
    assert made.tmpfs == ("/tmp:size=2097152,mode=1777", "/run:size=1m,mode=700", "/cache")
    assert [(mount.kind, mount.target) for mount in made.mounts] == [
        ("file", "/run/secrets/word"),
        ("file", "/etc/told"),
        ("file", "/site"),
    ]
    assert "canary" not in repr(part.services)
    assert part.contents[made.mounts[0].source].reveal() == "canary-WORD"
    assert one.env is None or "canary-WORD" not in part.contents[one.env].reveal()
