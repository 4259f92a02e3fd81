"""Files that the Compose file gives to a service: which travel to a host, in which form, and which are missed."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.host_files import ENCODED, files_of
from towline.core.errors import Findings
from towline.core.secret import Secret
from towline.spec.container import Container, Mount, container_of
from towline.spec.given_files import MOST, Given, contents_of
from towline.steps.container import Mount as HostMount

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = {
    "secrets": {"word": {"file": "/app/word.txt"}, "told": {"environment": "TOLD"}, "kept": {"external": True}},
    "configs": {"rules": {"file": "/app/rules.txt"}, "site": {"content": "name = shop\n"}},
}
RAW = {
    "secrets": [{"source": "word"}, {"source": "told"}, {"source": "kept", "target": "kept"}],
    "configs": [{"source": "rules", "target": "/etc/rules"}, {"source": "rules"}, "site"],
}


def test_secrets_and_configs_of_a_service() -> None:
    """At the path that Compose gives them; those that only its own platform has are not among them."""
    assert container_of("web", RAW, None, WHOLE).files == (
        Given("secret", "/run/secrets/word", path="/app/word.txt"),
        Given("secret", "/run/secrets/told", variable="TOLD"),
        Given("config", "/etc/rules", path="/app/rules.txt"),
        Given("config", "/rules", path="/app/rules.txt"),
        Given("config", "/site", content=Secret("name = shop\n")),
    )


def test_what_is_read(tmp_path: Path) -> None:
    """A file of the project, byte for byte; no folder, nothing too large, nothing from elsewhere but a secret."""
    project = tmp_path / "project"
    (project / "folder").mkdir(parents=True)
    for name, content in (("a.conf", b"\x00\xff\n"), ("large", b"." * (MOST + 1)), ("../outside", b"no")):
        (project / name).write_bytes(content)
    mounts = tuple(
        Mount("bind", str(project / name), f"/{name}") for name in ("a.conf", "folder", "large", "gone", "../outside")
    )
    secret = Given("secret", "/run/secrets/outside", path=str(tmp_path / "outside"))
    found = contents_of(Container("web", mounts=mounts, files=(secret,)), project)
    assert {path: one.reveal().encode("latin-1") for path, one in found.items()} == {
        str(project / "a.conf"): b"\x00\xff\n",
        str(tmp_path / "outside"): b"no",
    }


def test_a_secret_is_kept_as_it_is_and_a_configuration_encoded() -> None:
    """So that the lines of one are masked in what people read, and those of the other are not."""
    written = Container(
        "web",
        mounts=(Mount("bind", "/app/a.conf", "/etc/a.conf"), Mount("volume", "data", "/data")),
        files=(
            Given("secret", "/run/secrets/word", path="/app/word"),
            Given("secret", "/run/secrets/json", path="/app/json"),
            Given("secret", "/run/secrets/told", variable="TOLD"),
            Given("config", "/site", content=Secret("caf\xe9")),
        ),
    )
    contents = {
        "/app/a.conf": Secret("listen \xff"),
        "/app/word": Secret("the-word"),
        "/app/json": Secret('{"a": "b"}'),
    }
    stashed: dict[str, str] = {}

    def stash(content: Secret) -> str:
        stashed[f"digest-{len(stashed)}"] = content.reveal()
        return f"digest-{len(stashed) - 1}"

    found = list(files_of(written, contents, {"TOLD": Secret("told-once")}, stash))
    assert found == [
        HostMount("file", "digest-0", "/run/secrets/word", read_only=True),
        HostMount("file", "digest-1", "/run/secrets/json", read_only=True),
        HostMount("file", "digest-2", "/run/secrets/told", read_only=True),
        HostMount("file", "digest-3", "/site", read_only=True),
        HostMount("file", "digest-4", "/etc/a.conf", read_only=True),
    ]
    assert stashed["digest-0"] == "the-word"
    assert base64.b64decode(stashed["digest-1"].removeprefix(ENCODED)) == b'{"a": "b"}'
    assert stashed["digest-2"] == "told-once"
    assert base64.b64decode(stashed["digest-3"].removeprefix(ENCODED)) == "caf\xe9".encode()
    assert base64.b64decode(stashed["digest-4"].removeprefix(ENCODED)) == b"listen \xff"


def test_a_secret_that_is_not_here_is_said() -> None:
    """All of them at once, each with what to look at."""
    files = (
        Given("secret", "/one", path="/app/one"),
        Given("config", "/two", path="/app/two"),
        Given("secret", "/three", variable="THREE"),
    )
    with pytest.raises(Findings) as missed:
        list(files_of(Container("web", files=files), {}, {}, lambda _: ""))
    hints = [one.hint for one in missed.value.findings]
    assert hints == ["ls -l /app/one", "ls -l /app/two", "towline secrets set THREE -t TARGET"]
