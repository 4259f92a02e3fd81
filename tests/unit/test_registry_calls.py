"""What a host is told by a registry: the digest for its processor, or why there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import StepFailed
from towline.drivers.host.registry_calls import digest_there
from towline.drivers.host.shell import Answer
from towline.drivers.host.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator


class Link:
    """A host on which the question ends as it is told to."""

    def __init__(self, out: str, status: int = 0, err: str = "") -> None:
        self._answer = Answer(status, out.encode(), err.encode())

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        del program, within, data
        return self._answer

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        raise NotImplementedError


def one(digest: str, architecture: str, system: str = "linux") -> dict[str, object]:
    return {"Descriptor": {"digest": digest, "platform": {"architecture": architecture, "os": system}}}


def asked(out: str, status: int = 0, err: str = "") -> str:
    return digest_there(Target(Link(out, status, err), "/var/lib/towline/shop/test", "box"), "nginx:1", None)


def test_each_processor_has_its_own() -> None:
    """Of several images the one for the machine; of a single one without a word about it that one."""
    several = json.dumps([one("sha256:a", "amd64"), one("sha256:b", "arm64"), one("sha256:c", "amd64", "windows")])
    assert asked(f"aarch64\n{several}") == "sha256:b"
    assert asked(f"x86_64\n{several}") == "sha256:a"
    assert asked('x86_64\n{"Descriptor": {"digest": "sha256:d"}}') == "sha256:d"
    with pytest.raises(StepFailed, match="there for amd64, arm64, and `box` is 386"):
        asked(f"i686\n{several}")


@pytest.mark.parametrize("told", ["", "<html>", "[1]", '{"Descriptor": {"platform": {}}}', "null"])
def test_what_is_no_list_of_images_is_said(told: str) -> None:
    """A proxy's page, or another form: with the words, and what shows them again."""
    with pytest.raises(StepFailed, match="something else than manifests of nginx:1") as failed:
        asked(f"x86_64\n{told}")
    assert failed.value.hint == "docker manifest inspect -v nginx:1, there"


def test_a_refusal_has_the_words_of_the_registry() -> None:
    """And what to do about it."""
    with pytest.raises(StepFailed, match="unauthorized: no") as failed:
        asked("x86_64\n", 1, "unauthorized: no\n")
    assert "docker login" in str(failed.value.hint)
