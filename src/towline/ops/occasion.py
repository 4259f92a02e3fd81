"""A deploy as others are told of it: by hooks of one's own, by messages. No secret is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from towline.ops.hosts import Hosts

Command = Literal["deploy", "rollback"]


@dataclass(frozen=True)
class Occasion:
    """What is done to a target, and how it went.

    `release` is the number it makes or goes back to. `trigger` is who or what asked for it. `addresses` are those that
    a browser can open, by service. `verdict` is empty until it is known; `error` is what went wrong; seconds.
    """

    app: str
    target: str
    command: Command
    release: int
    trigger: str
    addresses: dict[str, str]
    ok: bool = True
    verdict: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def url(self) -> str:
        """The address that a newcomer wants; empty where there is none."""
        return next(iter(self.addresses.values()), "")

    @property
    def sentence(self) -> str:
        """All of it for people, on one line."""
        what = f"{self.app} on {self.target}"
        done = f"release {self.release}" if self.command == "deploy" else f"back to release {self.release}"
        if not self.ok:
            return f"{what}: {self.command} FAILED: {self.error or self.verdict} ({self.trigger})"
        verdict = f", {self.verdict}" if self.verdict else ""
        return f"{what}: {done}{verdict}{f', {self.url}' if self.url else ''} ({self.trigger})"

    def went(self, verdict: str, *, ok: bool, seconds: float) -> Occasion:
        """With the verdict."""
        return replace(self, ok=ok, verdict=verdict, seconds=round(seconds, 1))

    def failed(self, error: str, seconds: float) -> Occasion:
        """With what went wrong."""
        return replace(self, ok=False, error=error, seconds=round(seconds, 1))

    def environment(self) -> dict[str, str]:
        """What a hook is told, by the names of variables."""
        return {
            "TOWLINE_APP": self.app,
            "TOWLINE_TARGET": self.target,
            "TOWLINE_COMMAND": self.command,
            "TOWLINE_RELEASE": str(self.release),
            "TOWLINE_TRIGGER": self.trigger,
            "TOWLINE_URL": self.url,
            "TOWLINE_URLS": " ".join(f"{name}={url}" for name, url in self.addresses.items()),
            "TOWLINE_VERDICT": self.verdict,
            "TOWLINE_ERROR": self.error,
            "TOWLINE_SECONDS": f"{self.seconds:g}",
        }

    def as_json(self) -> dict[str, object]:
        """All that is known, as plain data."""
        return {
            "app": self.app,
            "target": self.target,
            "command": self.command,
            "release": self.release,
            "ok": self.ok,
            "verdict": self.verdict,
            "error": self.error,
            "url": self.url,
            "addresses": self.addresses,
            "trigger": self.trigger,
            "seconds": self.seconds,
            "text": self.sentence,
        }


def occasion_of(hosts: Hosts, command: Command, release: int, trigger: str) -> Occasion:
    """What is about to be done."""
    return Occasion(hosts.app.name, hosts.target.name, command, release, trigger, hosts.public_urls())
