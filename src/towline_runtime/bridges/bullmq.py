"""BullMQ's side of the bridges: a Node program adds jobs for Python workers, or works on jobs that Python added."""

from __future__ import annotations

from towline_runtime.errors import RuntimeFault

try:
    from towline_runtime.bridges.bullmq_intake import BullmqIntake
    from towline_runtime.bridges.bullmq_outlet import BullmqOutlet
except ImportError as error:
    raise RuntimeFault(
        "The bridge to BullMQ needs a package that is not installed", "pip install 'towline[bullmq]'"
    ) from error

__all__ = ["BullmqIntake", "BullmqOutlet"]
