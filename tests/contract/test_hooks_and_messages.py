"""Hooks as real processes, and messages as a real server gets them."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.real_servers import free_port

from towline.core.errors import Refused
from towline.core.secret import Secret
from towline.ops import hooks, notify
from towline.ops.notify import form_by
from towline.ops.occasion import Occasion
from towline.spec.model import Hooks, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.core.events import Event

ABOUT = Occasion("shop", "production", "deploy", 7, "ann@laptop pid 1", {"web": "https://shop.example"})
WENT = ABOUT.went("VERIFIED 4 of 4 checks in 1.2 s", ok=True, seconds=3.21)
FAILED = ABOUT.failed("api.1 was not ready within 60 s", 61.0)


class Talk:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: Event) -> None:
        self.lines.append(getattr(event, "sentence", ""))


def test_a_hook_has_what_it_is_about_and_its_output_is_talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of the project, with the documented variables; not with the key of the vault."""
    monkeypatch.setenv("TOWLINE_AGE_KEY", "AGE-SECRET-KEY-1")
    talk = Talk()
    line = 'env | grep ^TOWLINE_ | sort >told; pwd; echo "to stderr" >&2'
    assert hooks.after(Hooks(after=line), tmp_path, WENT, talk) is None
    told = dict(one.split("=", 1) for one in (tmp_path / "told").read_text().splitlines())
    assert told == {
        "TOWLINE_APP": "shop",
        "TOWLINE_TARGET": "production",
        "TOWLINE_COMMAND": "deploy",
        "TOWLINE_HOOK": "after",
        "TOWLINE_RELEASE": "7",
        "TOWLINE_TRIGGER": "ann@laptop pid 1",
        "TOWLINE_URL": "https://shop.example",
        "TOWLINE_URLS": "web=https://shop.example",
        "TOWLINE_VERDICT": "VERIFIED 4 of 4 checks in 1.2 s",
        "TOWLINE_ERROR": "",
        "TOWLINE_SECONDS": "3.2",
    }
    assert f"  | {tmp_path}" in talk.lines
    assert "  | to stderr" in talk.lines


def test_before_stops_when_it_fails(tmp_path: Path) -> None:
    """With its status, and what to type to see it again."""
    with pytest.raises(Refused, match="`before` ended with status 3, so nothing was changed") as refused:
        hooks.before(Hooks(before="exit 3"), tmp_path, ABOUT, Talk())
    assert refused.value.hint == f"( cd {tmp_path} && exit 3 )"
    hooks.before(Hooks(before="exit 0"), tmp_path, ABOUT, Talk())
    hooks.before(Hooks(), tmp_path, ABOUT, Talk())


def test_what_to_type_again_works_in_any_folder(tmp_path: Path) -> None:
    """Also in one whose name has a blank and a quote."""
    folder = tmp_path / "ann's shop"
    folder.mkdir()
    with pytest.raises(Refused) as refused:
        hooks.before(Hooks(before="pwd; exit 3"), folder, ABOUT, Talk())
    ran = subprocess.run(["sh", "-c", refused.value.hint or ""], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, f"{folder}\n")


def test_a_hook_that_goes_on_and_on_is_ended(tmp_path: Path) -> None:
    """With all that it has started."""
    line = "sleep 300 & echo $! >pid; wait"
    with pytest.raises(Refused, match=r"was not done within 0\.5 s"):
        hooks.before(Hooks(before=line, within=0.5), tmp_path, ABOUT, Talk())
    status = tmp_path.joinpath("/proc", (tmp_path / "pid").read_text().strip(), "status")
    assert not status.exists() or "zombie" in status.read_text()


def test_after_a_failure_the_other_hook_runs(tmp_path: Path) -> None:
    """`failed` is told what went wrong; that it fails itself is only a warning."""
    both = Hooks(after="touch after", failed='echo "$TOWLINE_ERROR" >failed; exit 1')
    wrong = hooks.after(both, tmp_path, FAILED, Talk())
    assert wrong is not None
    assert wrong.level == "warning"
    assert (tmp_path / "failed").read_text() == "api.1 was not ready within 60 s\n"
    assert not (tmp_path / "after").exists()
    broken = hooks.after(Hooks(after="exit 1"), tmp_path, WENT, Talk())
    assert broken is not None
    assert broken.level == "error"
    assert "what runs on production is not changed" in broken.sentence


@dataclass
class Inbox:
    """A server that takes messages; `status` is what it answers."""

    port: int
    status: int = 200
    bodies: list[dict[str, object]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/T0/a-secret-part"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox(free_port())

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", found.port), Taker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def told(inbox: Inbox, occasion: Occasion, *notices: Notice) -> tuple[str, ...]:
    """What could not be sent."""
    return tuple(one.sentence for one in notify.notify(notices, {"OPS_URL": Secret(inbox.url)}, occasion))


def test_each_form_is_what_its_reader_takes(inbox: Inbox) -> None:
    """Everything for a program; one line for people, with the address and the verdict."""
    assert told(inbox, WENT, *(Notice("OPS_URL", form, "always") for form in (None, "slack", "discord"))) == ()
    plain, slack, discord = inbox.bodies
    assert plain["url"] == "https://shop.example"
    assert (plain["ok"], plain["release"], plain["verdict"]) == (True, 7, WENT.verdict)
    assert set(slack) == {"text"}
    for text in (str(slack["text"]), str(discord["content"])):
        assert "shop on production: release 7" in text
        assert "VERIFIED 4 of 4 checks" in text
        assert "https://shop.example" in text
    assert discord["allowed_mentions"] == {"parse": []}


def test_only_failures_where_only_failures_are_wanted(inbox: Inbox) -> None:
    """And then with the reason."""
    wanted = Notice("OPS_URL", "slack", "failed")
    assert told(inbox, WENT, wanted) == ()
    assert inbox.bodies == []
    assert told(inbox, FAILED, wanted) == ()
    assert "deploy FAILED: api.1 was not ready within 60 s" in str(inbox.bodies[0]["text"])


def test_what_is_not_sent_is_a_warning_without_the_address(inbox: Inbox) -> None:
    """A refusal, an address where nobody is, one that is none, one that nobody gave: each is said, and none more."""
    inbox.status = 404
    notice = Notice("OPS_URL", None, "always")
    assert told(inbox, WENT, notice) == ("Nobody was told by OPS_URL: it answered 404",)
    values = {"GONE": Secret(f"http://127.0.0.1:{free_port()}/a-secret-part"), "WRONG": Secret("ftp://a-secret-part")}
    values["TORN"] = Secret("http://[a-secret-part")
    wanted = [Notice(name, None, "always") for name in ("GONE", "WRONG", "TORN", "NONE")]
    warnings = notify.notify(wanted, values, WENT)
    assert [one.sentence.rpartition(": ")[2] for one in warnings] == [
        "it cannot be reached",
        "its value is no http address",
        "its value is no http address",
        "it has no value",
    ]
    assert all(one.level == "warning" and one.hint for one in warnings)
    assert "a-secret-part" not in repr(warnings)


@pytest.mark.parametrize(
    ("host", "form"), [("hooks.slack.com", "slack"), ("discord.com", "discord"), ("slack.com.evil.example", "json")]
)
def test_the_form_is_told_by_the_address(host: str, form: str) -> None:
    """Where nobody says it."""
    assert form_by(host) == form
