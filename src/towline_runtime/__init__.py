"""What a Python app imports to run background jobs; it knows nothing of the deployer.

The names below are its public face; each is loaded when it is first asked for, so that an app pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline_runtime.database import Database as Database
    from towline_runtime.doorbell import open_doorbell as open_doorbell
    from towline_runtime.errors import GiveUp as GiveUp
    from towline_runtime.errors import LeaseLost as LeaseLost
    from towline_runtime.errors import PayloadInvalid as PayloadInvalid
    from towline_runtime.errors import RuntimeFault as RuntimeFault
    from towline_runtime.jobs import Jobs as Jobs
    from towline_runtime.jobs import Kind as Kind
    from towline_runtime.migrations import migrate as migrate
    from towline_runtime.outbox import Nudge as Nudge
    from towline_runtime.outbox import enqueue_many as enqueue_many
    from towline_runtime.progress import Progress as Progress
    from towline_runtime.relay import Relay as Relay
    from towline_runtime.retry import Backoff as Backoff
    from towline_runtime.running import Running as Running
    from towline_runtime.settings import Settings as Settings
    from towline_runtime.sweeper import Sweeper as Sweeper
    from towline_runtime.worker import Worker as Worker
    from towline_runtime.worker import WorkerOptions as WorkerOptions
    from towline_runtime.worker import serve as serve

__version__ = "0.1.0"

_HOMES = {
    "Backoff": "retry",
    "Database": "database",
    "GiveUp": "errors",
    "Jobs": "jobs",
    "Kind": "jobs",
    "LeaseLost": "errors",
    "Nudge": "outbox",
    "PayloadInvalid": "errors",
    "Progress": "progress",
    "Relay": "relay",
    "Running": "running",
    "RuntimeFault": "errors",
    "Settings": "settings",
    "Sweeper": "sweeper",
    "Worker": "worker",
    "WorkerOptions": "worker",
    "enqueue_many": "outbox",
    "migrate": "migrations",
    "open_doorbell": "doorbell",
    "serve": "worker",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a type checker reads the imports above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
