"""How much an app is used, and what its owner wishes: every field with its default, its unit and its meaning."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.units import Money

Kind = Literal[
    "number", "whole", "percent", "size", "span", "flag", "word", "money", "names", "sizes", "wholes", "spans", "words"
]
Number = Decimal
MONTH_SECONDS = Decimal(730 * 3600)
"""A month as most providers bill it: 365 days through 12."""


@dataclass(frozen=True)
class Field:
    """One field of usage.yaml by its dotted name; `default` as it would be written."""

    name: str
    kind: Kind
    default: str
    meaning: str
    choices: tuple[str, ...] = ()


ACCEPTABLE = ("sleeps", "scales-to-zero", "expires", "pauses", "quota", "non-commercial", "no-backups")
"""Rules of free offers that one may accept with open eyes."""

DOORBELLS = ("auto", "postgres", "redis", "bullmq", "sqs")

FIELDS: tuple[Field, ...] = (
    Field("users", "number", "100", "people at work at once in the busiest hour"),
    Field("busy_hours", "number", "200", "hours of that load that a month's whole use comes to"),
    Field("near", "word", "render/frankfurt", "where most users are: a region of the catalogue, PROVIDER/REGION"),
    Field("currency", "word", "USD", "the currency of the bill, by its three letters"),
    Field("vat", "percent", "0", "tax in percent, shown apart"),
    Field("commercial", "flag", "true", "whether money is earned with it: some free plans forbid that"),
    Field("seats", "whole", "1", "people of the team, where a plan is paid by the head"),
    Field("backups", "flag", "true", "buy the provider's backups of servers"),
    Field("arm", "flag", "false", "whether the images run on ARM too"),
    Field("stock", "flag", "true", "consider machines that are in stock on some days only"),
    Field("quiet", "span", "8h", "the longest time without any request"),
    Field("idle_days", "number", "0", "the most days in a row without any use"),
    Field("accept", "words", "", "rules of free offers that are accepted", ACCEPTABLE),
    Field("requests.per_user_hour", "number", "60", "requests that a user at work sends to the API in an hour"),
    Field("requests.in", "size", "2kB", "bytes of a request"),
    Field("requests.out", "size", "10kB", "bytes of its answer"),
    Field("requests.statements", "number", "3", "statements to the database in a request, one after the other"),
    Field("requests.commands", "number", "1", "commands to Redis in a request"),
    Field("requests.cpu", "span", "20ms", "computing time of a request"),
    Field("pages.per_user_hour", "number", "2", "times that a user loads the whole page in an hour"),
    Field("pages.size", "size", "500kB", "bytes of the page's files"),
    Field("pages.files", "number", "10", "files of the page"),
    Field("jobs.worker", "word", "", "the worker that takes the jobs; empty is the first that is not `single`"),
    Field("jobs.per_user_hour", "number", "1", "jobs that a user at work starts in an hour"),
    Field("jobs.seconds", "span", "10s", "how long a job takes"),
    Field("jobs.cv", "number", "1", "standard deviation of that through its mean: 0.1 always alike, 1 anything"),
    Field("jobs.slots", "whole", "5", "jobs at a time in one copy of the worker"),
    Field("jobs.cpu", "span", "200ms", "computing time of a job, without what it waits for others"),
    Field("jobs.within", "span", "10s", "jobs should begin within this"),
    Field("jobs.part", "percent", "95", "so many in a hundred of them"),
    Field("jobs.in", "size", "0B", "bytes that are uploaded for a job, through the API into the bucket"),
    Field("jobs.out", "size", "1MB", "bytes that a job makes, into the bucket"),
    Field("jobs.views", "number", "2", "times that a result is loaded by a browser"),
    Field("jobs.outside", "size", "0B", "bytes that a job sends to services of others"),
    Field("jobs.message", "size", "1kB", "bytes of a job in the queue"),
    Field("jobs.statements", "number", "8", "statements to the database in a job"),
    Field("jobs.doorbell", "word", "auto", "how workers learn of jobs; auto is told from the stores", DOORBELLS),
    Field("jobs.look", "span", "100ms", "pause between two looks of an idle relay, or worker without a doorbell"),
    Field("statement.query", "size", "300B", "bytes of a statement on the way to the database"),
    Field("statement.reply", "size", "1kB", "bytes of its answer"),
    Field(
        "storage",
        "sizes",
        "",
        "what each store keeps, by its name; else 1GB for Postgres, 10GB for a bucket, 50MB for Redis",
    ),
    Field("memory", "sizes", "", "what a copy of each service or store takes; else Compose's limit, else 256MB"),
    Field("pool", "wholes", "", "database connections of a copy of each service; 5 where nothing is said"),
    Field("copies", "wholes", "", "copies of each service that run at least; else towline.yaml's"),
    Field("offers", "names", "", "offers that are fixed, by service, store or site, or `server` for any server"),
    Field("measured", "spans", "", "round trips that you measured, by two regions with a blank between them"),
    Field("wishes.budget", "money", "", "what it may cost in a month, for example $40"),
    Field("wishes.availability", "percent", "0", "the part of a month that it must be there, in percent"),
    Field("wishes.rebuild", "span", "2h", "how long it takes you to build a lost server anew"),
    Field("wishes.area", "word", "", "where all data must stay: europe, north-america, ...; empty is anywhere"),
    Field("wishes.api_latency", "span", "0s", "the most that a request may take, high end; 0 is no wish"),
    Field("wishes.backups", "flag", "false", "the database is backed up by who runs it"),
    Field("wishes.growth", "number", "1", "times today's jobs that must fit without buying more"),
)
"""The file, field by field, in its order. The reader, the schema and the manual are made of it."""

SECTIONS = ("requests", "pages", "jobs", "statement", "wishes")


@dataclass(frozen=True)
class Requests:
    """Sizes in GB, times in seconds."""

    per_user_hour: Number
    size_in: Number
    size_out: Number
    statements: Number
    commands: Number
    cpu: Number


@dataclass(frozen=True)
class Pages:
    """Sizes in GB."""

    per_user_hour: Number
    size: Number
    files: Number


@dataclass(frozen=True)
class Jobs:
    """Sizes in GB, times in seconds, `part` between 0 and 1."""

    worker: str
    per_user_hour: Number
    seconds: Number
    cv: Number
    slots: int
    cpu: Number
    within: Number
    part: Number
    size_in: Number
    size_out: Number
    views: Number
    outside: Number
    message: Number
    statements: Number
    doorbell: str
    look: Number


@dataclass(frozen=True)
class Wishes:
    """What a placement must meet to be recommended. Times in seconds, `availability` between 0 and 1, 0 is no wish."""

    budget: Money | None
    availability: Number
    rebuild: Number
    area: str
    api_latency: Number
    backups: bool
    growth: Number


@dataclass(frozen=True)
class Usage:
    """All of usage.yaml: sizes in GB, times in seconds."""

    users: Number
    busy_hours: Number
    near: str
    currency: str
    vat: Number
    commercial: bool
    seats: int
    backups: bool
    arm: bool
    stock: bool
    quiet: Number
    idle_days: Number
    accept: tuple[str, ...]
    requests: Requests
    pages: Pages
    jobs: Jobs
    query: Number
    reply: Number
    wishes: Wishes
    storage: Mapping[str, Number] = field(default_factory=dict)
    memory: Mapping[str, Number] = field(default_factory=dict)
    pool: Mapping[str, Number] = field(default_factory=dict)
    copies: Mapping[str, Number] = field(default_factory=dict)
    offers: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, Number] = field(default_factory=dict)

    def with_users(self, users: Number | int) -> Usage:
        """The same with so many users at work."""
        return replace(self, users=Number(users))

    def with_wishes(self, **changed: object) -> Usage:
        """The same with other wishes."""
        return replace(self, wishes=replace(self.wishes, **changed))  # type: ignore[arg-type]

    @property
    def measured_ms(self) -> dict[frozenset[str], float]:
        """What was measured, in milliseconds by both ends."""
        return {frozenset(ends.split()): float(span) * 1000 for ends, span in self.measured.items()}

    @property
    def requests_a_month(self) -> Number:
        """Requests to the API."""
        return self.users * self.requests.per_user_hour * self.busy_hours

    @property
    def pages_a_month(self) -> Number:
        """Loads of the whole page."""
        return self.users * self.pages.per_user_hour * self.busy_hours

    @property
    def jobs_an_hour(self) -> Number:
        """Jobs in the busiest hour."""
        return self.users * self.jobs.per_user_hour

    @property
    def jobs_a_month(self) -> Number:
        """Jobs."""
        return self.jobs_an_hour * self.busy_hours
