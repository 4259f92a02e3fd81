"""Stages in the making: steps by site, in an order, the empty ones left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.steps.model import Batch, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.steps.kinds import AnyStep


class Draft:
    """Collects stages; `stages()` numbers those that have steps."""

    def __init__(self) -> None:
        self._stages: list[tuple[str, dict[str, tuple[AnyStep, ...]]]] = []

    def add(self, name: str, steps: Mapping[str, tuple[AnyStep, ...]]) -> None:
        """The next stage: what each site does in it."""
        some = {site: steps[site] for site in sorted(steps) if steps[site]}
        if some:
            self._stages.append((name, some))

    @property
    def empty(self) -> bool:
        """True while no stage has a step."""
        return not self._stages

    def stages(self) -> tuple[Stage, ...]:
        """The stages, numbered from 0."""
        return tuple(
            Stage(name, tuple(Batch(site, number, steps) for site, steps in batches.items()))
            for number, (name, batches) in enumerate(self._stages)
        )
