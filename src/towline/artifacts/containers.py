"""A container on a host, as plain data: what a Compose file says in text, and an engine is asked for over its API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from towline.steps.container import Test

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Setting:
    """A value that is told from outside: `.env` beside a Compose file, the vault of a driver.

    `default` stands in its place when nobody tells it, None where somebody must; `hint` says what is wanted.
    """

    name: str
    default: str | None = None
    hint: str = ""


Text = tuple["str | Setting", ...]
"""A text with settings in it: `("redis://:", Setting("QUEUE_PASSWORD"), "@queue:6379/0")`."""


def text_of(text: Text, values: Mapping[str, str]) -> str:
    """The text with its settings filled in from `values`. KeyError where one is missing and has no default."""
    parts = []
    for part in text:
        if isinstance(part, str):
            parts.append(part)
        elif part.default is not None:
            parts.append(values.get(part.name) or part.default)
        else:
            parts.append(values[part.name])
    return "".join(parts)


def settings_in(*texts: Text) -> tuple[Setting, ...]:
    """The settings that some texts ask for, each once, in their order."""
    return tuple(dict.fromkeys(part for text in texts for part in text if isinstance(part, Setting)))


HealthTest = Test
"""What is asked inside the container: the same in a text as over an engine's API."""


@dataclass(frozen=True)
class Attached:
    """A volume, or a file that lies beside the description, seen inside the container at `target`."""

    kind: Literal["volume", "file"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Published:
    """A port of the container that the whole machine answers at."""

    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class Need:
    """Another container that comes first."""

    name: str
    until: Literal["started", "healthy", "completed"]


@dataclass(frozen=True)
class HostContainer:
    """One container, or `replicas` alike. Spans in seconds, `shared_memory` in bytes, `memory` as `512m`.

    `command` and `entrypoint` are None where the image's own holds. All capabilities are dropped but `capabilities`.
    `tmpfs` are folders in memory that may be written to where `read_only` says that the rest may not. `role`: `once` is
    run to its end, and starts by itself only where `profile` is None. `namespace` is the container whose network it
    shares instead of having its own; `hosts` are further names, each with its address. `why` is what a reader is told.
    """

    name: str
    role: Literal["service", "store", "door", "once"]
    image: Text
    why: str = ""
    command: tuple[Text, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, Text] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    read_only: Text = ("true",)
    tmpfs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    init: bool = False
    networks: tuple[str, ...] = ()
    namespace: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    attached: tuple[Attached, ...] = ()
    published: tuple[Published, ...] = ()
    memory: Text = ()
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int = 512
    shared_memory: int | None = None
    ulimits: tuple[str, ...] = ()
    oom_score: int = 0
    stop_signal: str | None = None
    stop_within: float = 10.0
    health: HealthTest | None = None
    needs: tuple[Need, ...] = ()
    replicas: int = 1
    profile: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def restarts(self) -> bool:
        """Whether it is started again when it ends, and after the machine did."""
        return self.role != "once"


@dataclass(frozen=True)
class Network:
    """A network of containers; an `internal` one has no way to the internet, and the internet none to it."""

    name: str
    internal: bool
    why: str


@dataclass(frozen=True)
class HostLayout:
    """Everything that runs on one host, in the order of reading; `volumes` keep what must outlive a container."""

    app: str
    target: str
    site: str
    containers: tuple[HostContainer, ...]
    networks: tuple[Network, ...]
    volumes: tuple[str, ...]

    def of_role(self, role: str) -> tuple[HostContainer, ...]:
        """The containers of one role."""
        return tuple(one for one in self.containers if one.role == role)
