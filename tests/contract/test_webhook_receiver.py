"""The receiver of the webhook over real HTTP: what is taken, in which order, and what is turned away."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from towline.core.errors import UsageError
from towline.core.secret import Secret
from towline.ops.webhook import against
from towline.ops.webhook_seen import Seen
from towline.ops.webhook_server import ASKED_MOST, TAKEN_MOST, Desk, Rate, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = Secret("a-secret-that-nobody-tries-out")
ALLOWED = {"api": "ghcr.io/you/shop-api"}


class Scene:
    """A receiver, and somebody with the secret. `clock` is what the rates go by."""

    def __init__(self, folder: Path) -> None:
        self.seconds = 0.0
        self.file = folder / "seen.json"
        self.desk = self.fresh()
        self.receiver = Receiver(("127.0.0.1", 0), self.desk)
        self.url = f"http://127.0.0.1:{self.receiver.server_address[1]}"
        self.thread = threading.Thread(target=self.receiver.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def fresh(self) -> Desk:
        """Another process with the same file."""
        return Desk(SECRET, Seen(self.file), lambda call: against(ALLOWED, call), clock=lambda: self.seconds)

    def call(self, digit: str = "0", *, service: str = "api", repository: str = ALLOWED["api"]) -> httpx.Response:
        """A signed call for an image whose digest is made of one digit."""
        return self.send(*self.signed(digit, service=service, repository=repository))

    def signed(
        self, digit: str, *, service: str = "api", repository: str = ALLOWED["api"]
    ) -> tuple[bytes, dict[str, str]]:
        body = json.dumps({"images": {service: f"{repository}@sha256:{digit * 64}"}}).encode()
        stamp = str(int(time.time()))
        text = stamp.encode() + b"." + body
        signature = hmac.new(SECRET.reveal().encode(), text, hashlib.sha256).hexdigest()
        return body, {"X-Towline-Timestamp": stamp, "X-Towline-Signature": f"sha256={signature}"}

    def send(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{self.url}/deploy", content=body, headers=headers, timeout=20)

    def close(self) -> None:
        self.receiver.shutdown()
        self.thread.join()
        self.receiver.server_close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_one_is_at_work_one_waits_and_a_third_comes_again(scene: Scene) -> None:
    """In the order in which they came; when one is done there is room again."""
    assert [scene.call(digit).status_code for digit in "012"] == [202, 202, 429]
    first = scene.desk.next()
    assert first is not None
    assert first.images == {"api": f"ghcr.io/you/shop-api@sha256:{'0' * 64}"}
    assert scene.call("2").headers["Retry-After"] == "30"
    scene.desk.done()
    assert scene.call("2").status_code == 202
    second = scene.desk.next()
    assert second is not None
    assert second.images["api"].endswith("1" * 64)


def test_a_replay_is_turned_away_also_after_a_restart(scene: Scene, tmp_path: Path) -> None:
    """The very same bytes count once, and only their signatures are kept."""
    body, headers = scene.signed("0")
    assert scene.send(body, headers).status_code == 202
    again = scene.send(body, {**headers, "X-Towline-Delivery": "another"})
    assert (again.status_code, again.json()["error"]) == (409, "this very call came before")
    scene.receiver.desk = scene.fresh()
    assert scene.send(body, headers).status_code == 409
    assert scene.file.stat().st_mode & 0o077 == 0
    assert "shop-api" not in scene.file.read_text()


def test_a_replay_uses_up_nothing(scene: Scene) -> None:
    """Who has overheard a call cannot keep others from calling."""
    body, headers = scene.signed("0")
    answers = [scene.send(body, headers).status_code for _ in range(TAKEN_MOST + 2)]
    assert answers == [202] + [409] * (TAKEN_MOST + 1)
    assert scene.call("1").status_code == 202
    assert scene.send(body, headers).status_code == 409


def test_calls_come_in_over_ipv6(tmp_path: Path) -> None:
    """At the address that somebody gives."""
    desk = Desk(SECRET, Seen(tmp_path / "seen.json"), lambda _: None)
    try:
        receiver = Receiver(("::1", 0), desk)
    except OSError:
        pytest.skip("this machine has no ::1")
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        assert httpx.get(f"http://[::1]:{receiver.server_address[1]}/health").json() == {"ok": True}
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()


def test_only_images_of_a_service_are_deployed_as_it(scene: Scene) -> None:
    """Of its own repository, and of no service that is not there."""
    foreign = scene.call(repository="ghcr.io/somebody/else")
    assert foreign.status_code == 403
    assert "come from ghcr.io/you/shop-api" in foreign.json()["error"]
    assert "no image of `db` may be deployed" in scene.call(service="db").json()["error"]
    assert not scene.file.exists()


def test_without_the_secret_nothing_is_told(scene: Scene) -> None:
    """One answer for a wrong signature and for none, whatever the body is."""
    body, headers = scene.signed("0")
    wrong = {**headers, "X-Towline-Signature": "sha256=" + "0" * 64}
    answers = [scene.send(body, wrong), scene.send(b"{}", {}), scene.send(b"", headers)]
    assert [(one.status_code, one.json()) for one in answers] == [
        (401, {"error": "no signature, or not the right one"})
    ] * 3


def test_who_asks_too_often_waits(scene: Scene) -> None:
    """Who tries signatures out learns nothing more; who has the secret is heard all the time, from the same address."""
    answers = [scene.send(b"{}", {}).status_code for _ in range(ASKED_MOST + 1)]
    assert answers == [401] * ASKED_MOST + [429]
    assert scene.call("1").status_code == 202
    scene.seconds = 60.0
    assert scene.send(b"{}", {}).status_code == 401


def test_no_more_calls_than_anybody_means_are_taken() -> None:
    """A CI gone wild deploys six times a minute and no more."""
    rate = Rate(TAKEN_MOST)
    assert [rate.allows(float(second)) for second in range(TAKEN_MOST + 1)] == [True] * TAKEN_MOST + [False]
    assert rate.allows(60.0)
    assert not rate.allows(60.5)


def test_other_requests_do_no_harm(scene: Scene) -> None:
    """Another address, another method, too much, nothing at all, half of it."""
    assert httpx.get(f"{scene.url}/health").json() == {"ok": True}
    assert httpx.get(f"{scene.url}/deploy").status_code == 404
    assert httpx.post(f"{scene.url}/", content=b"{}").status_code == 404
    assert httpx.post(f"{scene.url}/deploy", content=b"x" * 65537).status_code == 413
    assert httpx.post(f"{scene.url}/deploy", content=iter([b"{}"])).status_code == 411
    with socket.create_connection(("127.0.0.1", int(scene.receiver.server_address[1]))) as half:
        half.sendall(b"POST /deploy HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert scene.call().status_code == 202


def test_what_is_taken_is_done_before_the_end(scene: Scene) -> None:
    """Ctrl-C ends the receiver after the calls that it took."""
    assert scene.call("0").status_code == 202
    scene.desk.close()
    assert scene.desk.next() is not None
    assert scene.desk.next() is None


def test_a_file_that_is_none_of_ours_is_not_believed(tmp_path: Path) -> None:
    """Nobody is let in twice because a list was lost."""
    path = tmp_path / "seen.json"
    for text in ("{", "[]", '{"a": "b"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="no list of the calls"):
            Seen(path)
