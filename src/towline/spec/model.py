"""The app and where it runs, resolved: frozen values in which nothing is "maybe default"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from towline.core.secret import Secret

ServiceKind = Literal["web", "private", "worker", "static", "task", "stateful"]
StoreKind = Literal["postgres", "redis", "bucket", "sqs"]
SiteKind = Literal[
    "local", "host", "render", "vercel", "coolify", "dokploy", "supabase", "neon", "upstash", "s3", "sqs"
]
ShapeName = Literal["laptop", "combined", "vps", "hybrid", "managed"]

STORE_REFERENCES: dict[str, tuple[str, ...]] = {
    "postgres": ("url", "direct_url", "pooled_url", "host", "port", "user", "password", "database"),
    "redis": ("url", "host", "port", "user", "password"),
    "bucket": ("endpoint", "public_url", "public_endpoint", "bucket", "access_key", "secret_key", "region"),
    "sqs": ("url", "endpoint", "access_key", "secret_key", "region"),
}
"""What a binding may ask of a store, by its kind: a closed list."""

SERVICE_REFERENCES: dict[str, tuple[str, ...]] = {
    "web": ("url", "internal_url", "host", "port"),
    "private": ("url", "internal_url", "host", "port"),
    "static": ("url",),
    "stateful": ("host", "port"),
}
"""What a binding may ask of a service: `url` is what a browser uses, `internal_url` what other services use."""


@dataclass(frozen=True)
class Command:
    """How a service starts: an argument list, and whether its author wrote a shell line."""

    argv: tuple[str, ...]
    source: str
    """Where it was found, for messages: `run:`, `command:` or `CMD`."""


@dataclass(frozen=True)
class Health:
    """How a service says that it is ready: an http path, or None when being alive must do. Seconds."""

    path: str | None
    within: float


@dataclass(frozen=True)
class Service:
    """The user's code. Paths are absolute; spans in seconds; memory in bytes.

    `context` is what it is built from; `folder` is where its processes start: the context, or what `cwd:` says of it.

    `environment` is what Compose and the Dockerfile say, before bindings; `build_environment` is what a static build
    gets. `port` is the port inside a container; `port_variable` names the variable by which the process takes another
    one, None when it cannot. `hostname` is the name under the front door, such as "api" in api.postcards.localhost.
    """

    name: str
    kind: ServiceKind
    context: Path | None
    folder: Path
    dockerfile: Path | None
    image: str | None
    command: Command | None
    environment: dict[str, Secret]
    build_environment: dict[str, Secret]
    port: int | None
    port_variable: str | None
    hostname: str
    domain: str | None
    health: Health
    after: tuple[str, ...]
    setup: str | None
    setup_locks: tuple[Path, ...]
    build: str | None
    output: str | None
    max_job: float
    stop_signal: Literal["TERM", "INT", "QUIT"]
    replicas: int
    single: bool
    reload: bool
    memory: int | None
    volumes: tuple[str, ...]
    line: int | None = None
    most: int | None = None
    """How many copies there may be where a site scales by itself; None where `replicas` is all."""


@dataclass(frozen=True)
class Store:
    """What holds data. `service` is its name in the Compose file, None when Compose does not have it.

    `major` is the major version that the Compose image names, None when it names none. `use` is for redis only.
    `public` is the prefix under which everybody may read a bucket's objects: "" means all of them, None means none.
    `user` and `database` are what the Compose file gives its server, else the app's name; for a bucket `database` is
    the bucket's name.
    """

    name: str
    kind: StoreKind
    service: str | None
    image: str | None
    major: str | None
    use: Literal["queue", "cache"] | None
    public: str | None
    user: str
    database: str
    line: int | None = None


@dataclass(frozen=True)
class Binding:
    """A variable of a service that is filled by reference: `of` is a store or a service, `attribute` what of it."""

    service: str
    variable: str
    of: str
    attribute: str
    line: int | None = None

    @property
    def reference(self) -> str:
        """As written: `db.url`."""
        return f"{self.of}.{self.attribute}"


@dataclass(frozen=True)
class ReleaseCommand:
    """What runs once before the traffic shifts: in the environment of service `service`. Seconds.

    `allow` are changes of the database that may take something away, such as "drop-column orders.note".
    """

    service: str
    command: tuple[str, ...]
    backup_first: bool
    within: float
    rehearse: bool = True
    allow: tuple[str, ...] = ()
    lock_timeout: float = 5.0
    keep_backups: int = 5


@dataclass(frozen=True)
class SeedCommand:
    """What fills a new target with its first data, once: in the environment of service `service`. Seconds."""

    service: str
    command: tuple[str, ...]
    within: float


@dataclass(frozen=True)
class Hooks:
    """Shell lines that run beside a deploy to hosts, on the machine that deploys. Seconds."""

    before: str | None = None
    after: str | None = None
    failed: str | None = None
    within: float = 60.0


@dataclass(frozen=True)
class Notice:
    """Whom to tell how a deploy went: `secret` names the address; `form` is None where the address says it."""

    secret: str
    form: Literal["json", "slack", "discord"] | None
    on: Literal["always", "failed"]


@dataclass(frozen=True)
class JobCheck:
    """The job path that `verify` walks: send a request, follow it until it is done, load the object it made.

    `fields` is sent as form fields (with `file`) or as a JSON object. `follow` has {name} placeholders, filled from the
    accepted answer. `until` are fields and values of the followed answer; `failed` the same for giving up. `object` is
    the field that holds a URL, `content_type` what it must load as. A name with dots is a field inside a field.
    `bearer` is the variable of the service whose value lets the requests in.
    """

    service: str
    method: str
    path: str
    fields: dict[str, str]
    file: tuple[str, Path] | None
    accepted: int
    follow: str
    until: dict[str, str]
    failed: dict[str, str]
    within: float
    object: str | None
    content_type: str | None
    bearer: str | None


@dataclass(frozen=True)
class App:
    """One app, whole: what the Compose file and towline.yaml say together. `root` is the folder of the Compose file."""

    name: str
    root: Path
    services: tuple[Service, ...]
    stores: tuple[Store, ...]
    bindings: tuple[Binding, ...]
    release: ReleaseCommand | None
    job: JobCheck | None
    seed: SeedCommand | None = None
    hooks: Hooks = Hooks()
    notices: tuple[Notice, ...] = ()

    def service(self, name: str) -> Service:
        """The service of that name; KeyError when there is none."""
        return next_named(self.services, name)

    def store(self, name: str) -> Store:
        """The store of that name; KeyError when there is none."""
        return next_named(self.stores, name)

    def bindings_of(self, service: str) -> tuple[Binding, ...]:
        """The bindings of one service, those of "*" already spread."""
        return tuple(binding for binding in self.bindings if binding.service == service)


class Named(Protocol):
    """Anything that has a name."""

    @property
    def name(self) -> str:
        """What it is called in the user's files."""


AnyNamed = TypeVar("AnyNamed", bound=Named)


def next_named(among: Iterable[AnyNamed], name: str) -> AnyNamed:
    """The one with that name; KeyError when there is none."""
    for one in among:
        if one.name == name:
            return one
    raise KeyError(name)


@dataclass(frozen=True)
class Site:
    """A place that can run things; `options` are the rest of its fields as written (ssh, region, port, ...)."""

    name: str
    kind: SiteKind
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """An environment of the app: a shape, its sites and which site each service and store is on."""

    name: str
    shape: ShapeName
    sites: tuple[Site, ...]
    place: dict[str, tuple[str, ...]]
    """Service or store to sites; every one of the app's has an entry."""
    budget: str | None
    line: int | None = None
    keep: int = 5
    """How many releases before the running one can be gone back to."""
