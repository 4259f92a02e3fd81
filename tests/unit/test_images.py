"""Names of images: what a reference means, what an image holds, and what a host lacks of it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from towline.artifacts.images import (
    architecture_of,
    chains_of,
    content_of,
    familiar,
    lacking,
    name_of,
    pinned,
    registry,
    repository,
    source_label,
)
from towline.core.secret import Secret
from towline.steps.images import FetchImage, ImageFact, ImageParts, LoadImage

A, B, C = (f"sha256:{one * 64}" for one in "abc")


@pytest.mark.parametrize(
    ("reference", "listed", "without_tag", "host"),
    [
        ("postgres", "postgres:latest", "postgres", "docker.io"),
        ("postgres:18.6", "postgres:18.6", "postgres", "docker.io"),
        ("docker.io/library/postgres:18.6", "postgres:18.6", "postgres", "docker.io"),
        ("docker.io/valkey/valkey:9", "valkey/valkey:9", "valkey/valkey", "docker.io"),
        ("ghcr.io/ann/shop:1", "ghcr.io/ann/shop:1", "ghcr.io/ann/shop", "ghcr.io"),
        ("localhost:5000/shop", "localhost:5000/shop:latest", "localhost:5000/shop", "localhost:5000"),
        ("127.0.0.1:5000/a/b:2", "127.0.0.1:5000/a/b:2", "127.0.0.1:5000/a/b", "127.0.0.1:5000"),
        (f"shop:1@{A}", f"shop:1@{A}", "shop", "docker.io"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(reference: str, listed: str, without_tag: str, host: str) -> None:
    """Short names, other registries, ports, tags and digests."""
    assert (familiar(reference), repository(reference), registry(reference)) == (listed, without_tag, host)


def test_a_tag_is_pinned_by_the_digest_that_its_registry_gave_it() -> None:
    """So another host with the same registry can have the very same one."""
    images = (ImageFact(B, ("postgres:18.6",), (f"postgres@{A}", f"mirror.example/postgres@{C}")),)
    pin = pinned("docker.io/library/postgres:18.6", images)
    assert pin is not None
    assert (pin.image, pin.known) == (f"docker.io/library/postgres:18.6@{A}", True)


def test_a_tag_that_no_registry_knows_is_pinned_by_its_id() -> None:
    """It was loaded or built there: the name may move, the id does not."""
    pin = pinned("shop-api:1", (ImageFact(B, ("shop-api:1",)),))
    assert pin is not None
    assert (pin.image, pin.known) == (B, False)


def test_what_is_not_there_has_no_pin() -> None:
    """Neither another tag, nor the same name in another registry, nor another digest of it."""
    images = (ImageFact(B, ("shop:1",), (f"shop@{A}",)),)
    assert pinned("shop:2", images) is None
    assert pinned("ghcr.io/ann/shop:1", images) is None
    assert pinned(f"shop:1@{C}", images) is None
    exact = pinned(f"shop:1@{A}", images)
    assert exact is not None
    assert exact.image == f"shop:1@{A}"


def test_an_image_is_named_after_what_it_holds() -> None:
    """Times, ids, history and Towline's own labels do not count; layers, environment and the user's labels do."""
    config: dict[str, Any] = {"Env": ["A=1"], "Cmd": ["run"], "Labels": {"towline.source": "x"}, "Hostname": ""}
    one: dict[str, Any] = {"Id": A, "Created": "now", "Os": "linux", "Architecture": "amd64", "Config": config,
                           "RootFS": {"Layers": [A, B]}}  # fmt: skip
    again = {**one, "Id": B, "Created": "then", "Config": {**config, "Labels": None, "Domainname": "", "Volumes": None}}
    assert content_of(one) == content_of(again)
    for changed in (
        {**one, "RootFS": {"Layers": [A, C]}},
        {**one, "RootFS": {"Layers": [B, A]}},
        {**one, "Architecture": "arm64"},
        {**one, "Config": {**config, "Env": ["A=2"]}},
        {**one, "Config": {**config, "Labels": {"towline.source": "x", "version": "1"}}},
    ):
        assert content_of(changed) != content_of(one)


def test_names_have_only_letters_that_a_reference_may_have() -> None:
    """Compose takes capitals and underscores in the name of a service, a reference takes no capitals."""
    assert name_of("shop", "Web_App", "0123456789abcdef") == "shop-web_app:0123456789ab"


def test_chains_are_those_of_the_image_specification() -> None:
    """The second layer is found by the digest over the first one's and its own."""
    first, second = chains_of((A, B))
    assert first == A
    assert second == f"sha256:{hashlib.sha256(f'{A} {B}'.encode()).hexdigest()}"


def test_only_what_a_host_lacks_is_sent() -> None:
    """A layer counts with those below it; what was sent before is not sent again."""
    assert lacking((A, B, C), ImageParts()) == (A, B, C)
    assert lacking((A, B, C), ImageParts(images=((A, B),))) == (C,)
    assert lacking((A, B, C), ImageParts(images=((B, C),))) == (A, B, C)
    assert lacking((A, B, C), ImageParts(images=((A,),), sent=frozenset({C.removeprefix("sha256:")}))) == (B,)
    assert lacking((A, B, B), ImageParts()) == (A, B)


def test_what_an_image_was_made_from_is_keyed() -> None:
    """A build argument may be secret, and the label can be read by all who have the image."""
    told = {"TOKEN": Secret("hunter2")}
    label = source_label(b"salt", ("code",), told)
    assert label == source_label(b"salt", ("code",), told)
    assert label != source_label(b"other", ("code",), told)
    assert label != source_label(b"salt", ("code",), {"TOKEN": Secret("hunter3")})
    assert label != source_label(b"salt", ("other code",), told)


def test_processors_have_dockers_names() -> None:
    """`uname -m` and Docker call them differently."""
    assert [architecture_of(one) for one in ("x86_64", "aarch64", "riscv64")] == ["amd64", "arm64", "riscv64"]


def test_titles_say_what_is_brought() -> None:
    """A person reads the name and how much has to travel; a digest in twelve digits."""
    assert LoadImage("shop-web:1", "1", (A,), 1_500_000).title == "load the image shop-web:1 (at most 1.5 MB to send)"
    assert FetchImage(f"postgres:18.6@{A}").title == "fetch the image postgres:18.6 (aaaaaaaaaaaa)"
