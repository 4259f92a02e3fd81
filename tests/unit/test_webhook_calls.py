"""A call of the webhook, judged from its bytes: what is signed, what is asked for, and everything that is no call."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.secret import Secret
from towline.ops.webhook_calls import WINDOW, Call, Turned, judge, repository_of

SECRET = Secret("a-secret-that-nobody-tries-out")
NOW = 1_790_000_000
DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = f"ghcr.io/you/shop-api@{DIGEST}"


def sign(text: bytes, secret: Secret = SECRET) -> str:
    return "sha256=" + hmac.new(secret.reveal().encode(), text, hashlib.sha256).hexdigest()


def ours(body: bytes, at: int = NOW) -> dict[str, str]:
    """The headers of a call that is signed with its time."""
    return {"x-towline-timestamp": str(at), "x-towline-signature": sign(str(at).encode() + b"." + body)}


def body_of(**more: object) -> bytes:
    return json.dumps({"images": {"api": IMAGE}, **more}).encode()


def test_a_signed_call_is_what_it_says() -> None:
    """With the time in a header; who calls and why is for people."""
    body = body_of(source="you/shop run 77")
    call = judge("/deploy", {**ours(body), "x-towline-delivery": "run-77"}, body, SECRET, NOW + 3)
    assert isinstance(call, Call)
    assert call.images == {"api": IMAGE}
    assert call.trigger == "webhook run-77 from you/shop run 77"


def test_signed_as_github_does_it() -> None:
    """The body alone is signed, so the time is in it."""
    body = body_of(at=NOW)
    call = judge("/deploy", {"x-hub-signature-256": sign(body), "x-github-delivery": "72d3-11"}, body, SECRET, NOW)
    assert isinstance(call, Call)
    assert (call.at, call.delivery) == (NOW, "72d3-11")
    untimed = body_of()
    assert judge("/deploy", {"x-hub-signature-256": sign(untimed)}, untimed, SECRET, NOW) == Turned(
        400, "`at` in the body is to be the time, in seconds since 1970"
    )


def test_the_address_of_one_service_takes_its_image() -> None:
    """Without the name of a service in the body."""
    body = json.dumps({"image": IMAGE}).encode()
    call = judge("/deploy/api", ours(body), body, SECRET, NOW)
    assert isinstance(call, Call)
    assert call.images == {"api": IMAGE}


@given(st.binary(max_size=200), st.text(max_size=80), st.text(max_size=20))
def test_nobody_without_the_secret_gets_in(body: bytes, signature: str, stamp: str) -> None:
    """Whatever is sent, in whichever header, it is turned away with 401 and told nothing."""
    for name in ("x-towline-signature", "x-hub-signature-256"):
        turned = judge("/deploy", {name: signature, "x-towline-timestamp": stamp}, body, SECRET, NOW)
        assert turned == Turned(401, "no signature, or not the right one")
    assert judge("/deploy", {}, body, SECRET, NOW) == Turned(401, "no signature, or not the right one")


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_byte_changed_is_another_call(place: int, change: int) -> None:
    """In the body, whichever byte."""
    body = bytearray(body_of())
    headers = ours(bytes(body))
    body[place % len(body)] ^= change
    assert isinstance(judge("/deploy", headers, bytes(body), SECRET, NOW), Turned)


def test_the_time_cannot_be_changed() -> None:
    """It is signed with the body, also where the other form of signature would fit."""
    body = body_of()
    headers = {**ours(body, NOW - 1000), "x-towline-timestamp": str(NOW)}
    assert isinstance(judge("/deploy", headers, body, SECRET, NOW), Turned)
    without = {"x-hub-signature-256": ours(body)["x-towline-signature"]}
    assert isinstance(judge("/deploy", without, body, SECRET, NOW), Turned)


@pytest.mark.parametrize("off", [-WINDOW - 1, WINDOW + 1])
def test_a_call_of_another_time_is_turned_away(off: int) -> None:
    """Too old or from the future: nobody keeps calls for later."""
    body = body_of()
    turned = judge("/deploy", ours(body, NOW + off), body, SECRET, NOW)
    assert isinstance(turned, Turned)
    assert turned.status == 401
    assert f"{WINDOW + 1} s {'ago' if off < 0 else 'ahead'}" in turned.why


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"no json", "no JSON"),
        (b"[]", "to be an object"),
        (b"{}", "`images` is wanted"),
        (b'{"images": {}}', "`images` is wanted"),
        (b'{"image": "x"}', "`images` is wanted"),
        (b'{"images": {"api": "ghcr.io/you/shop-api:1.4"}}', "a tag may mean another image tomorrow"),
        (b'{"images": {"api": "ghcr.io/you/shop-api:1@' + DIGEST.encode() + b'"}}', "REPOSITORY@sha256"),
        (b'{"images": {"api": "--privileged@' + DIGEST.encode() + b'"}}', "REPOSITORY@sha256"),
        (b'{"images": {"../api": "x"}}', "no name of a service"),
        (b'{"images": {"api": 7}}', "REPOSITORY@sha256"),
        (b'{"images": {"api": "x"}, "command": "sh"}', "there is no `command`"),
    ],
)
def test_what_cannot_be_deployed_is_told_to_whoever_signed_it(body: bytes, why: str) -> None:
    """400, with the reason."""
    turned = judge("/deploy", ours(body), body, SECRET, NOW)
    assert isinstance(turned, Turned)
    assert turned.status == 400
    assert why in turned.why


def test_a_source_that_could_forge_a_line_is_turned_away() -> None:
    """It ends up in lists and messages."""
    body = body_of(source="x\ny")
    assert isinstance(judge("/deploy", ours(body), body, SECRET, NOW), Turned)
    named = body_of()
    odd = judge("/deploy", {**ours(named), "x-towline-delivery": "a b\nc"}, named, SECRET, NOW)
    assert isinstance(odd, Call)
    assert odd.delivery == odd.signature[:12]


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:1", "nginx"),
        ("registry:5000/you/api:1.4", "registry:5000/you/api"),
        (IMAGE, "ghcr.io/you/shop-api"),
    ],
)
def test_repository_of_an_image(image: str, repository: str) -> None:
    """Without tag and digest; a port is no tag."""
    assert repository_of(image) == repository
