"""What every family of steps works with, and how a family answers for its kinds of step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.core.events import Listener
    from towline.drivers.local.binaries import Programs
    from towline.drivers.local.blobs import Blobs
    from towline.drivers.local.home import Home
    from towline.drivers.local.journal import Journal
    from towline.drivers.local.slots import Slots
    from towline.drivers.local.supervisor import Supervisor
    from towline.drivers.local.tables import Table
    from towline.steps.model import Before

StepT = TypeVar("StepT")


@dataclass(frozen=True)
class Ground:
    """One local target: its folders, its tables, its supervisor, the programs it starts.

    `ports`: names to ports that stay (`NAME/...` are inner ones of a store). `tasks`: names to markers.
    `instances`: names to the instances last started, stopped ones too.
    """

    site: str
    home: Home
    environ: Mapping[str, str]
    programs: Programs
    supervisor: Supervisor
    blobs: Blobs
    slots: Slots
    ports: Table
    tasks: Table
    instances: Table
    journal: Journal
    listener: Listener


def _nothing_holds(_step: object) -> str | None:
    return None


def _nothing_before(_step: object) -> Before:
    return {}


@dataclass(frozen=True)
class Handler(Generic[StepT]):
    """How one kind of step is done, asked and remembered; see `Actor` for what each owes."""

    apply: Callable[[StepT], str]
    holds: Callable[[StepT], str | None] = field(default=_nothing_holds)
    before: Callable[[StepT], Before] = field(default=_nothing_before)
