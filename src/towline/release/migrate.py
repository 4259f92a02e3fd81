"""What surrounds a release command that changes a database, and what forbids the way back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.release.rollback import taken_back
from towline.steps.migration import BackUp, Migrate, Rehearse
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.artifacts.migrations import Migration
    from towline.release.journal import Begun, State
    from towline.steps.kinds import AnyStep, RunTask
    from towline.steps.migration import Database
    from towline.steps.model import Facts

    Steps = tuple[AnyStep, ...]


def safety(migration: Migration, task: RunTask, facts: Facts, release: int) -> Steps:
    """Back up every database that is there already, then rehearse the command on copies of them.

    Not for a command that has run in the same image before: another environment is no other migration.
    """
    there, beside = _there(migration, facts), _beside(migration, facts)
    if not ((there or beside) and migration.keep and is_new(task, facts)):
        return ()
    name, rehearsal = str(release), migration.rehearsal
    whole = rehearsal is not None and len(there) == len(migration.databases)
    backups = (
        *(BackUp(one, name, migration.keep, copied=whole) for one in there),
        *(BackUp(one, name, migration.keep) for one in beside),
    )
    if rehearsal is None or not whole:
        return backups
    rehearsed = Rehearse(name, migration.copies, rehearsal, task.env, task.within, migration.allow)
    return (*backups, rehearsed)


def is_new(task: RunTask, facts: Facts) -> bool:
    """Whether this image and command were never the last to work on the databases."""
    return facts.tasks.get(form_mark(task.name)) != _form(task)


def form_mark(name: str) -> str:
    """The name of the mark that tells with which image and command a release command was last done."""
    return f"{name}:form"


def all_answer(migration: Migration, facts: Facts) -> bool:
    """Whether every database that is there can be asked now, before anything is changed."""
    ready = {fact.service for fact in facts.instances if fact.state == "ready"}
    return all(one.store in ready for one in _there(migration, facts))


def migrate(migration: Migration, task: RunTask, facts: Facts, release: int) -> Migrate:
    """The release command itself. Raises ValueError for one without a container."""
    if task.container is None:
        raise ValueError(task.name)
    backed_up = migration.keep > 0 and bool(_there(migration, facts)) and is_new(task, facts)
    return Migrate(
        name=task.name,
        service=task.service,
        container=task.container,
        env=task.env,
        within=task.within,
        marker=task.marker,
        form=_form(task),
        databases=migration.databases,
        backup=str(release) if backed_up else None,
        network=migration.network,
        lock_timeout=migration.lock_timeout,
    )


def took_away(state: State, back_to: int) -> tuple[Begun, ...]:
    """The release commands since release `back_to` that took something away from what ran before, oldest first.

    None where a run is taken back that was never finished: the version before it serves all the time.
    """
    if not any(run.outcome == "done" and run.plan.intent == "deploy" for run in taken_back(state)):
        return ()
    begun = (one for run in state.runs if run.number > back_to for one in run.begun)
    return tuple(one for one in begun if one.step.kind == "migrate" and one.before.get("destructive"))


def refuse_way_back(taken: Iterable[Begun], target: str, marks: Mapping[str, Mapping[str, str]]) -> None:
    """Raise Refused when the databases lack what the release to go back to needs.

    `taken` are those of `took_away` that a rollback would leave behind; `marks` is `Facts.tasks` by site. A database
    that was restored since has the head of before, and forbids nothing.
    """
    for begun in taken:
        heads: Mapping[str, str] = begun.before.get("head") or {}
        now = marks.get(begun.site, {})
        if all(now.get(head_mark(store)) == head for store, head in heads.items()):
            continue
        backup = begun.before.get("backup")
        gone = ", ".join(begun.before["destructive"])
        way_out = f"towline restore {target} {backup}\ntowline rollback -t {target}" if backup else None
        raise Refused(
            f"the release to go back to needs what was taken from the database since ({gone})"
            + ("; restore the backup of before first" if backup else ", and there is no backup of before"),
            hint=way_out or f"towline deploy {target}",
        )


def head_mark(store: str) -> str:
    """The name of the mark that tells the head of a database: a digest of its catalogue and its applied migrations."""
    return f"head:{store}"


def _form(task: RunTask) -> str:
    made = task.container
    return digest_of([made.exact or made.image, made.entrypoint, made.command] if made is not None else [])


def _there(migration: Migration, facts: Facts) -> tuple[Database, ...]:
    data = {fact.name for fact in facts.stores if fact.major is not None}
    return tuple(one for one in migration.databases if one.store in data)


def _beside(migration: Migration, facts: Facts) -> tuple[Database, ...]:
    """Of the servers in stateful services those that run: another one can neither be asked nor be migrated."""
    running = {fact.service for fact in facts.instances if fact.state in ("ready", "starting")}
    return tuple(one for one in migration.beside if one.store in running)
