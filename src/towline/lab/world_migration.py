"""What backups, rehearsals and release commands do to the world of a fake site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.steps.migration import BackUp, EndMigration, Migrate, Rehearse, Restore

    World = dict[str, Any]


def back_up(world: World, step: BackUp) -> str:
    """A backup is a mark; only a store that runs can be backed up."""
    _answers(world, step.database.store)
    world["tasks"][f"backup:{step.name}"] = step.database.store
    return "1 MB, read to its end"


def rehearse(world: World, step: Rehearse) -> str:
    """Needs its backup; changes nothing."""
    if f"backup:{step.name}" not in world["tasks"]:
        raise StepFailed(f"there is no backup {step.name}")
    return "it took 0.1 s and takes nothing away"


def migrate(world: World, step: Migrate) -> str:
    """The command has run, and each database has another head."""
    for one in step.databases:
        _answers(world, one.store)
        world["tasks"][f"head:{one.store}"] = step.marker or ""
    world["tasks"][f"{step.name}:form"] = step.form
    if step.marker is not None:
        world["tasks"][step.name] = step.marker
    return "it ended with status 0"


def end_migration(world: World, step: EndMigration) -> str:
    """Nothing of it lasts."""
    del world, step
    return "nothing of it is left"


def restore(world: World, step: Restore) -> str:
    """The tasks that wrote into the data are due again."""
    _answers(world, step.database.store)
    for name in step.tasks:
        world["tasks"].pop(name, None)
    return f"backup {step.name} is in place"


def has_migrated(world: World, step: Migrate) -> str | None:
    """Done with the same marker."""
    return "done before" if step.marker is not None and world["tasks"].get(step.name) == step.marker else None


def is_backed_up(world: World, step: BackUp) -> str | None:
    """Under the same name."""
    return "it is there" if f"backup:{step.name}" in world["tasks"] else None


ACTS: dict[str, Callable[[World, Any], str]] = {
    "back-up": back_up,
    "rehearse": rehearse,
    "migrate": migrate,
    "end-migration": end_migration,
    "restore": restore,
}
HOLDS: dict[str, Callable[[World, Any], str | None]] = {"back-up": is_backed_up, "migrate": has_migrated}


def _answers(world: World, store: str) -> None:
    entries = world["instances"].values()
    if not any(one["instance"]["service"] == store and one["state"] == "ready" for one in entries):
        raise StepFailed(f"store {store} does not run")
