"""What can be bought, as values: offers with prices and limits, each with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from towline.catalog.measures import Unit
    from towline.core.errors import Where

Vat = Literal["excluded", "included", "unknown"]
Clock = Literal["second", "minute", "hour", "day", "month", "use"]
Orderable = Literal["yes", "stock", "no", "unknown"]

METERS: dict[str, str] = {
    "fee": "the plan itself",
    "seat": "a person of the team",
    "instance": "a machine, or a copy of a service",
    "compute": "computing time as used",
    "memory": "memory as used",
    "storage": "data kept",
    "snapshot": "images and snapshots kept",
    "history": "changes kept for a restore to a moment",
    "egress": "data out to the internet, and to other providers",
    "origin-egress": "data from functions to the edge",
    "private-egress": "data over the provider's private network",
    "region-egress": "data to another region of the provider",
    "ipv4": "a public IPv4 address",
    "backup": "the provider's own backups of a machine",
    "pitr": "restore to any moment of the last days",
    "iops": "disk operations above what is included",
    "branch": "copies of the database",
    "requests": "requests of a queue or bucket",
    "class-a": "writing and listing requests of a bucket",
    "class-b": "reading requests of a bucket",
    "class-d": "event notifications of a bucket",
    "retrieval": "data read back from a cold class",
    "commands": "commands of a Redis",
    "read-region": "a further region with a copy for reading",
    "sla": "an assured uptime",
    "invocations": "calls of a function",
    "edge-requests": "requests at the edge",
    "builds": "build minutes",
    "builds-turbo": "build minutes on the large machine",
    "errors": "error events",
    "logs": "log lines",
    "monitors": "addresses watched",
    "cron-monitors": "timed jobs watched",
    "pack": "a pack of more",
    "balancer": "a load balancer",
}
"""What is metered: the keys of `prices` in the data files, and of the quantities that are priced."""

SERVES: dict[str, str] = {
    "web": "services that take requests from the internet",
    "private": "services that take requests from other services",
    "worker": "services that take none",
    "static": "built files",
    "task": "commands that run to their end",
    "server": "machines",
    "postgres": "Postgres databases",
    "redis": "Redis and Valkey",
    "bucket": "object storage",
    "sqs": "queues of the SQS kind",
    "account": "the account, workspace or plan that others need",
    "extra": "what is bought beside another offer",
    "registry": "container images",
    "errors": "error reports",
    "uptime": "watching from outside",
    "logs": "log storage",
    "panel": "a panel on one's own server",
}
"""What an offer can be used for."""

LIMITS: dict[str, str] = {
    "memory": "GB",
    "cpu": "count",
    "disk": "GB",
    "own-memory": "GB",
    "own-cpu": "count",
    "connections": "count",
    "pooled-connections": "count",
    "stop": "second",
    "run": "second",
    "instances": "count",
    "services": "count",
    "projects": "count",
    "databases": "count",
    "requests-per-second": "count",
    "message": "GB",
    "record": "GB",
    "retention": "day",
    "backups": "day",
    "monitors": "count",
    "interval": "second",
}
"""What can be limited, and what it is measured in. `own-` is what the offer itself takes of the machine."""

CONFIDENCES: dict[str, str] = {
    "official": "the vendor's page, document or repository",
    "official-mirror": "a copy of the vendor's text",
    "official-relay": "the vendor's rules, with a number that a third party quotes",
    "api-readback": "a third party's dated reading of the vendor's price API",
    "relay": "a dated third party that quotes the vendor's page",
    "relay-x2": "two such third parties agree",
    "relay-x3": "three such third parties agree",
    "relay-x4": "four such third parties agree",
    "derived": "computed from other rows",
    "third-party": "secondary or undated",
    "conflict": "copies disagree",
    "missing": "nobody says; the number is unknown",
    "own": "your own file",
}
"""How well a number is known."""


@dataclass(frozen=True)
class Source:
    """Where numbers come from. `read` is the day that they were surely so; `until` the latest day they can be of."""

    name: str
    url: str
    read: date
    until: date | None = None
    via: str = ""
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """Why a number is believed."""

    source: Source
    confidence: str
    read: date
    note: str = ""
    where: Where | None = field(default=None, compare=False)

    def age(self, today: date) -> int:
        """Days since the number was surely so."""
        return (today - self.read).days


@dataclass(frozen=True)
class Tier:
    """What one unit costs above so many units; None where nobody says."""

    above: Decimal
    amount: Decimal | None


@dataclass(frozen=True)
class Price:
    """What one meter of an offer costs, net or gross as its provider's `vat` says.

    `included` is in the own unit of the measure, None when unknown; `share_of` adds so many times the quantity of
    another meter. `percent_of` makes the amount a percentage of another meter's line. `others` are amounts that other
    copies give. What is included is for each offer; `pooled` makes it one allowance of the account, the sum of all
    or the same one `once`. `hourly` is charged up to the month's price.
    """

    meter: str
    unit: Unit
    tiers: tuple[Tier, ...]
    evidence: Evidence
    included: Decimal | None = Decimal(0)
    share_of: tuple[str, Decimal] | None = None
    percent_of: str | None = None
    round_up: bool = False
    minimum: Decimal | None = None
    hourly: Decimal | None = None
    pooled: Literal["sum", "once"] | None = None
    others: tuple[Decimal, ...] = ()

    @property
    def amount(self) -> Decimal | None:
        """The price of one unit in the first tier."""
        return self.tiers[0].amount

    @property
    def fixed(self) -> bool:
        """Whether it is the same every month, whatever the traffic."""
        return self.unit.measure in {"month", "percent"}


@dataclass(frozen=True)
class Limit:
    """What an offer allows at most; `value` is None when unknown and infinite when there is no limit."""

    name: str
    value: Decimal | None
    evidence: Evidence

    @property
    def measure(self) -> str:
        """What the value is counted in."""
        return LIMITS[self.name]


@dataclass(frozen=True)
class Rule:
    """A condition of an offer, mostly of a free one: what makes it stop, and what happens then.

    `after` is in days (`sleeps` and `scales-to-zero`: in seconds); `most` is a month's `meter` in `measure`.
    """

    kind: str
    then: str
    evidence: Evidence
    after: Decimal | None = None
    grace: Decimal | None = None
    meter: str | None = None
    most: Decimal | None = None
    measure: str = "count"


@dataclass(frozen=True)
class Credit:
    """Money of a plan that pays for other lines of the same account: at most `amount` a month."""

    amount: Decimal
    meters: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True)
class Offer:
    """One thing that can be bought, by its name `provider/product/plan`."""

    name: str
    provider: str
    serves: tuple[str, ...]
    evidence: Evidence
    title: str = ""
    regions: tuple[str, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    credit: Credit | None = None
    needs: tuple[str, ...] = ()
    orderable: Orderable = "yes"
    currency: str = "USD"
    vat: Vat = "unknown"

    def limit(self, name: str) -> Decimal | None:
        """The value of a limit; None when it is unknown or not written."""
        found = self.limits.get(name)
        return None if found is None else found.value


@dataclass(frozen=True)
class Region:
    """A place where a provider runs things: degrees north and east, and the part of the world."""

    name: str
    title: str
    north: float
    east: float
    area: str
    evidence: str
    same_as: str | None = None


@dataclass(frozen=True)
class Cap:
    """What a provider has against a bill without an end. `stops`: it ends the use, where others only tell of it."""

    how: str
    stops: bool
    url: str
    read: date


@dataclass(frozen=True)
class Provider:
    """How a provider bills. `clock` is the smallest time that is charged; `stopped` whether stopped machines cost.

    `cap` is None where nobody tells of one.
    """

    name: str
    title: str
    currency: str
    vat: Vat
    clock: Clock
    stopped: Literal["billed", "free", "unknown"]
    note: str = ""
    cap: Cap | None = None


@dataclass(frozen=True)
class Rate:
    """One unit of `base` in units of `quote`, on a day."""

    base: str
    quote: str
    rate: Decimal
    read: date
    url: str
