"""A container as an engine is asked for it: plain data, no secret in it, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Mount:
    """What is seen inside at `target`: a volume by its name, or a folder on the site.

    A `folder` is the target's own; a `door` one lies with the machine's door, which sees it too.
    """

    kind: Literal["volume", "folder", "door", "file"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Test:
    """A command inside that ends with 0 when all is well; none at all switches the image's own off. Seconds."""

    argv: tuple[str, ...]
    interval: float = 10.0
    timeout: float = 5.0
    start_within: float = 60.0
    retries: int = 3


@dataclass(frozen=True)
class Network:
    """A network that a container joins, under these names besides its own; an `internal` one leads nowhere else.

    From an `inward` one nothing leads out either, and nobody in it sees another, but published ports lead in.
    """

    name: str
    internal: bool = False
    aliases: tuple[str, ...] = ()
    inward: bool = False


@dataclass(frozen=True)
class Container:
    """One container. `name` is unique on the machine. Bytes, seconds; a share of 1.0 is one processor.

    `command` and `entrypoint` are None where the image's own holds. All capabilities are dropped but
    `capabilities`, and nothing inside can gain one. `tmpfs` are folders in memory, which may be written to when the
    rest is `read_only`. `published` are ports that the whole machine answers at, as "443/tcp", or one address of
    it, as "192.0.2.1:443/tcp". `hosts` are names that lead to an address beyond the machine. `namespace` names the
    container whose network this one shares instead of having its own. `ulimits` are as `nofile=1024:4096`. Its
    environment is not here, but stashed: it is secret. `exact` is what `image` means on that machine, by digest or
    id: then it is that one, wherever the name has moved.
    """

    name: str
    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    working_dir: str | None = None
    user: str | None = None
    read_only: bool = True
    tmpfs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    init: bool = False
    networks: tuple[Network, ...] = ()
    namespace: str | None = None
    mounts: tuple[Mount, ...] = ()
    published: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    memory: int | None = None
    shared_memory: int | None = None
    ulimits: tuple[str, ...] = ()
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int = 512
    oom_score: int = 0
    test: Test | None = None
    labels: dict[str, str] = field(default_factory=dict)
    exact: str | None = None
