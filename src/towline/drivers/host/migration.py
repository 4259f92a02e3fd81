"""Backup, rehearsal, the release command on a database and the restored one, as the programs of a batch (pure)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from towline.drivers.host.batch import StepProgram
from towline.drivers.host.containers import asked_for
from towline.drivers.host.programs import part, quote, settings
from towline.drivers.host.tasks import file_name
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.drivers.host.target import Target
    from towline.steps.migration import BackUp, CopyServer, Database, EndMigration, Migrate, Rehearse, Restore

_REHEARSAL = ("--label", "towline.rehearsal=yes")


def back_up(step: BackUp) -> StepProgram:
    """A dump, read to its end."""
    one = step.database
    call = f"back_up {_words(one.store, one.user, one.name, step.name, str(step.keep), 'copy' if step.copied else '')}"
    if one.engine == "mysql":
        call = f"back_up_mysql {_words(one.store, step.name, str(step.keep))}"
    return StepProgram(
        holds=f"{_body('backup.sh')}is_there {_words(step.name, one.store)}\n",
        apply=f"{_body('backup.sh', *_parts(one))}only_one\n{call}\n",
    )


def rehearse(step: Rehearse) -> StepProgram:
    """Copies, the command, and what it took away; nothing of it is left, however it ends."""
    digest = digest_of(json.dumps(asdict(step), sort_keys=True))
    body = _body("backup.sh", "rehearsal.sh") + settings(rehearsal=step.container.name, allowed="\n".join(step.allow))
    copies = [one for one in step.copies if one.database is not None]
    several = len(copies) > 1
    lines = [
        "only_one",
        "trap end_rehearsal EXIT",
        "end_rehearsal",
        "news= && : >\"$work/findings\" || fail 'there is no room for temporary files'",
        *(_started(one, step.name) for one in step.copies),
        f"started {asked_for(step.container, step.env, *_REHEARSAL)}",
        f"rehearsed {_whole(step.within)}",
        *(f"judged {_of_copy(one)} {quote(f'{_database(one).store}:' if several else '')}" for one in copies),
        "or_too_much",
        # First what is left, then the outcome: whoever finds that has nothing to clear away.
        "end_rehearsal",
        "trap - EXIT",
        f"went_well {_words(step.name, digest)}",
    ]
    return StepProgram(
        holds=f"{body}rehearsed_before {_words(step.name, digest)}\n", apply=body + "\n".join(lines) + "\n"
    )


def migrate(step: Migrate) -> StepProgram:
    """The release command under the lock of its first database."""
    body = _body("backup.sh", "migration.sh")
    name, mark = _mark(step.name, step.marker)
    databases = [word for one in step.databases for word in (one.store, one.user, one.name)]
    heads = [word for one in step.databases for word in (one.store, one.user, one.name, _head_file(one))]
    first = step.databases[0]
    waits = f"{max(1, round(step.lock_timeout))}"
    # What the tool itself is told; the one who asks it may know better, so that it comes before the environment.
    told = ("--env", f"PGOPTIONS=-c lock_timeout={waits}s")
    lines = [
        "only_one",
        settings(store=first.store, user=first.user, database=first.name).rstrip(),
        'server_of "$store"',
        '[ -s "$work/$store.was" ] || catalogue "$id" "$user" "$database" "$work/$store.was"',
        f'alone "$user" "$database" {waits}',
        f"ended_for_good {_words(step.container.name, *databases)}",
        'server_of "$store"',
        f"started {asked_for(step.container, step.env, *told)}",
        'server_of "$store"',
        f"migrated {_words(step.container.name, _whole(step.within), waits, step.backup or '')}",
        f"heads=$(told_heads {_words(*heads)}) || exit 1",
        f"mark {_words(*_mark(f'{step.name}:form', step.form))}",
        f"mark {_words(name, mark)}",
        "printf '%s\\n' \"$heads\"",
    ]
    return StepProgram(
        holds=f"{body}marked_with {_words(name, mark)}\n",
        before=f"{body}was_migrated {_words(step.backup or '', *databases)}\n",
        apply=body + "\n".join(lines) + "\n",
    )


def end_migration(step: EndMigration) -> StepProgram:
    """No container, volume or network of it."""
    body = _body("backup.sh", "rehearsal.sh", "migration.sh") + settings(rehearsal=step.network)
    databases = [word for one in step.databases for word in (one.store, one.user, one.name)]
    return StepProgram(apply=f"{body}end_migration {_words(step.container, *databases)}\n")


def restore(step: Restore) -> StepProgram:
    """Read beside what is there, then exchanged with it."""
    one = step.database
    tasks = [file_name(name) for name in step.tasks]
    call = f"restore {_words(one.store, one.user, one.name, step.name, step.aside, _head_file(one), *tasks)}"
    if one.engine == "mysql":
        call = f"restore_mysql {_words(one.store, step.name, step.run, _head_file(one), *tasks)}"
    return StepProgram(apply=f"{_body('backup.sh', *_parts(one))}only_one\n{call}\n")


def _body(*parts: str) -> str:
    return "".join(part(name) for name in ("files.sh", "docker.sh", "catalogue.sh", *parts))


def _parts(database: Database) -> tuple[str, ...]:
    """What must be known beyond Postgres."""
    return ("mysql.sh",) if database.engine == "mysql" else ()


def _started(copy: CopyServer, name: str) -> str:
    made = copy.container
    lines = [
        *(f"place_for {quote(mount.source)}" for mount in made.mounts),
        f"started {asked_for(made, copy.env, *_REHEARSAL)}",
    ]
    if made.test is not None and made.test.argv:
        lines.append(f"answers {_words(made.name, _words(*made.test.argv))}")
    if copy.database is not None:
        lines += [f"copied {_of_copy(copy)} {quote(name)}", f"watched {_of_copy(copy)}"]
    return "\n".join(lines)


def _of_copy(copy: CopyServer) -> str:
    one = _database(copy)
    return _words(copy.container.name, one.store, one.user, one.name)


def _database(copy: CopyServer) -> Database:
    if copy.database is None:
        raise ValueError(copy.container.name)
    return copy.database


def _mark(name: str, marker: str | None) -> tuple[str, str]:
    """The file of a mark, and what is in it."""
    return file_name(name), "" if marker is None else json.dumps({"name": name, "marker": marker})


def _head_file(database: Database) -> str:
    return file_name(f"head:{database.store}")


def _words(*words: str) -> str:
    return " ".join(map(quote, words))


def _whole(span: float) -> str:
    return str(max(1, round(span)))


def backups_of(target: Target) -> tuple[dict[str, Any], ...]:
    """What is known of each backup, with `restored`: when it was last read into a server, "" for never."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in target.ask("backups\n", "backup.sh").split("\n"):
        word, _, rest = line.partition(" ")
        if word == "backup":
            plain = json.loads(rest)
            found[plain["name"], plain["store"]] = {**plain, "restored": ""}
        elif word == "restored":
            name, store, at = rest.split(" ")
            found[name, store]["restored"] = at
    return tuple(found.values())


PROGRAMS: Final[Mapping[str, Callable[[Any], StepProgram]]] = {
    "back-up": back_up,
    "rehearse": rehearse,
    "migrate": migrate,
    "end-migration": end_migration,
    "restore": restore,
}
"""By kind of step, what makes its programs."""
