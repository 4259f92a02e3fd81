"""The steps around a release command that changes a database: backup, rehearsal on a copy, the run, the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from towline.steps.container import Container  # noqa: TC001 - pydantic reads the annotation


@dataclass(frozen=True)
class Database:
    """A database inside the running server of a store, reached as its owner `user`.

    Of the engine "mysql" (MariaDB too) it stands for all databases in the server of a stateful service: `store` is the
    service, and `user` and `name` are empty, since the container itself knows them.
    """

    store: str
    user: str
    name: str
    engine: Literal["postgres", "mysql"] = "postgres"


@dataclass(frozen=True)
class BackUp:
    """Dump a database into a file of its site, read the file to its end, and keep it under `name`, the run's number.

    `keep`: how many of those made for releases stay; 0 deletes none, and marks this one as asked for by a person.
    `copied`: there must be room for a restored copy besides.
    """

    database: Database
    name: str
    keep: int = 0
    copied: bool = False
    kind: Literal["back-up"] = "back-up"

    @property
    def title(self) -> str:
        """What a person reads."""
        proof = "to its end" if self.database.engine == "postgres" else "into a throwaway server"
        return f"back up {self.database.store} as {self.name}, and read the backup {proof}"


@dataclass(frozen=True)
class CopyServer:
    """A throwaway server in the place of a store's: `database` is what it gets a backup of; without one it is empty."""

    container: Container
    env: str | None = None
    database: Database | None = None


@dataclass(frozen=True)
class Rehearse:
    """Run the release command against restored copies of backup `name`, in a network that leads nowhere else.

    Compares the catalogues of before and after: what takes something away from the version that runs fails the step,
    unless `allow` names it, as in "drop-column orders.note". `container` is the command's, `env` the digest of its
    stashed environment. `within` is in seconds.
    """

    name: str
    copies: tuple[CopyServer, ...]
    container: Container
    env: str | None
    within: float
    allow: tuple[str, ...] = ()
    kind: Literal["rehearse"] = "rehearse"

    @property
    def title(self) -> str:
        """What a person reads."""
        stores = ", ".join(one.database.store for one in self.copies if one.database is not None)
        return f"rehearse the release command on a restored copy of {stores}"


@dataclass(frozen=True)
class Migrate:
    """Run the release command, once, while its databases know their heads, and one of them holds an advisory lock.

    Done with the same `marker` before, it is not run again. It waits for locks of others no longer than `lock_timeout`
    seconds. `form` is a digest of image and command: with the same one nothing new is to be rehearsed. `backup` is the
    name of the backups taken first, None where there are none; `network` is the rehearsal's.
    """

    name: str
    service: str
    container: Container
    env: str | None
    within: float
    marker: str | None
    form: str = ""
    databases: tuple[Database, ...] = ()
    backup: str | None = None
    network: str = ""
    lock_timeout: float = 5.0
    kind: Literal["migrate"] = "migrate"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"{self.name}: `{' '.join((self.container.command or ())[-1:])}`"


@dataclass(frozen=True)
class EndMigration:
    """Leave nothing of a rehearsal or of a release command: `network` is the rehearsal's, `container` the command's.

    What the command has asked of `databases` is ended too.
    """

    network: str
    container: str
    databases: tuple[Database, ...] = ()
    kind: Literal["end-migration"] = "end-migration"

    @property
    def title(self) -> str:
        """What a person reads."""
        return "end what is left of the release command"


@dataclass(frozen=True)
class Restore:
    """Put a backup into the place of a database, which is kept beside it under another name.

    The dump is read into a new database first; then connections are ended and the two change names at once.
    `run` is the number of the run that does it. `tasks` are those to be run again, since what they wrote is gone.
    """

    database: Database
    name: str
    run: str
    tasks: tuple[str, ...] = ()
    kind: Literal["restore"] = "restore"

    @property
    def aside(self) -> str:
        """The name under which the database of before is kept."""
        name = self.database.name[:40] if self.database.engine == "postgres" else "DATABASE"
        return f"{name}_before_{self.run}"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"restore {self.database.store} from backup {self.name}; what is there now is kept as {self.aside}"


def end_of(step: Rehearse | Migrate) -> tuple[EndMigration]:
    """What leaves nothing of a rehearsal or a release command, should it have died in the middle. Data stays."""
    if isinstance(step, Migrate):
        return (EndMigration(step.network, step.container.name, step.databases),)
    return (EndMigration(step.container.name, step.container.name),)
