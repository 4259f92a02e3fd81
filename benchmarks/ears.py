"""What servers were asked: Valkey by its MONITOR, Postgres and the SQS server by their logs, with the time of each."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import redis

from jobs import ROOT

sys.path.append(str(ROOT))

from tests.real_servers import Postgres, Sqs, Valkey

if TYPE_CHECKING:
    from collections.abc import Iterable

BURST = 0.6
"""Seconds: what follows something of its kind sooner belongs to the same burst."""

FREE = frozenset({"AUTH", "HELLO", "SELECT", "COMMAND", "CONFIG", "INFO", "PING", "RESET", "QUIT", "ECHO", "MONITOR"})
"""Commands that Upstash does not charge."""

LOGGED = re.compile(r"^(\S+ \S+) \S+ (\S+) \[\d+\] LOG:  (?:statement|execute [^:]*): (.*)$", re.MULTILINE)
POSTED = re.compile(r"\[(\d+/\w+/\d+ [\d:]+)\] \"POST /")


@dataclass(frozen=True)
class Event:
    """Something that was asked: when, what kind of thing, and whether a script on the server asked it."""

    at: float
    what: str
    inside: bool = False


@dataclass
class Ear:
    """All that a server was asked while somebody listened for so many seconds, by the name of who asked."""

    name: str
    seconds: float
    events: list[Event] = field(default_factory=list)

    def rate(self, *, inside: bool) -> float:
        """Asked in a second; with `inside` also by scripts."""
        kinds: dict[str, list[float]] = {}
        for one in self.events:
            if inside or not one.inside:
                kinds.setdefault(one.what, []).append(one.at)
        return sum(steady(ones, self.seconds) for ones in kinds.values())

    @property
    def pause(self) -> float:
        """The longest time without anything, in seconds."""
        times = sorted(one.at for one in self.events)
        return max((after - before for before, after in pairwise(times)), default=self.seconds)


def steady(times: list[float], seconds: float) -> float:
    """Events a second, counted from the first burst to the last; one burst alone over all seconds."""
    ordered = sorted(times)
    begins = [0] + [place + 1 for place, (a, b) in enumerate(pairwise(ordered)) if b - a > BURST]
    if len(begins) < 2:
        return len(ordered) / seconds
    return begins[-1] / (ordered[begins[-1]] - ordered[0])


class Talkative(Postgres):
    """Postgres that logs every statement with its time and database."""

    def argv(self) -> list[str]:
        """As the tests have it, and the log."""
        return [
            *super().argv(),
            "-c",
            "log_statement=all",
            "-c",
            "log_line_prefix=%m %d [%p] ",
            "-c",
            "log_timezone=UTC",
        ]

    def ears(self, names: Iterable[str], since: datetime, seconds: float) -> list[Ear]:
        """What each database was asked in so many seconds from then."""
        found = {name: Ear(name, seconds) for name in names}
        for at, database, text in LOGGED.findall(self.log.read_text("utf-8", "replace")):
            moment = datetime.fromisoformat(f"{at}+00:00")
            if 0 <= (moment - since).total_seconds() <= seconds and database in found:
                found[database].events.append(Event(moment.timestamp(), text[:120]))
        return list(found.values())


class Overheard(threading.Thread):
    """Listens to a Valkey until it is told to stop."""

    def __init__(self, server: Valkey, name: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self.ear = Ear(name, seconds)
        # No limit on a read, and connections that are greeted already, so that what is heard is not our own.
        self._listener, self._client = (redis.Redis.from_url(server.url, socket_timeout=None) for _ in range(2))
        self._listener.ping()
        self._client.ping()

    def run(self) -> None:
        """Note each command until the one that says the end."""
        with self._listener.monitor() as monitor:  # type: ignore[no-untyped-call]
            for one in monitor.listen():
                words = str(one["command"]).split()
                if words[:2] == ["ECHO", "enough"]:
                    return
                if words[0].upper() not in FREE:
                    inside = one["client_type"] == "lua"
                    self.ear.events.append(Event(float(one["time"]), " ".join(words[:2]).upper(), inside))

    def end(self) -> None:
        """Stop listening."""
        self._client.echo("enough")
        self.join(30)


def posted(server: Sqs, name: str, since: datetime, seconds: float) -> Ear:
    """The requests to the SQS server in so many seconds from then; its log has whole ones, of local time."""
    ear = Ear(name, seconds)
    for text in POSTED.findall(server.log.read_text("utf-8", "replace")):
        moment = datetime.strptime(text, "%d/%b/%Y %H:%M:%S").astimezone()
        if 0 <= (moment - since).total_seconds() <= seconds:
            ear.events.append(Event(moment.timestamp(), "request"))
    return ear
