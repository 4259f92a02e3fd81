"""Every kind of step on this machine: one table from kind to who does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.errors import Defect
from towline.drivers.local.door import Door
from towline.drivers.local.instances import Instances
from towline.drivers.local.stores import Stores
from towline.drivers.local.tasks import Tasks

if TYPE_CHECKING:
    from towline.drivers.local.ground import Ground, Handler
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Before


class LocalActor:
    """What `steps.carry` asks of each step."""

    def __init__(self, ground: Ground) -> None:
        families = (Instances(ground), Door(ground), Stores(ground), Tasks(ground))
        self.handlers: dict[str, Handler[Any]] = {
            kind: handler for family in families for kind, handler in family.handlers().items()
        }

    def holds(self, step: AnyStep) -> str | None:
        """What was seen when nothing is left to do."""
        return self._of(step).holds(step)

    def before(self, step: AnyStep) -> Before:
        """What leads back."""
        return self._of(step).before(step)

    def apply(self, step: AnyStep) -> str:
        """Do it."""
        return self._of(step).apply(step)

    def _of(self, step: AnyStep) -> Handler[Any]:
        try:
            return self.handlers[step.kind]
        except KeyError:
            raise Defect(f"no handler for steps of kind {step.kind}") from None
