"""Bring the database up to date: `python -m postcards.migrate`, safe to run twice and by two at once."""

import os
import sys
from importlib.resources import files

import psycopg

from postcards import settings

LOCK = 7_102_026_001  # any number, as long as every copy of the app uses the same


def migrations() -> list[tuple[str, str]]:
    """List name and SQL of each migration in the order of its number."""
    folder = files("postcards") / "migrations"
    found = [(path.name, path.read_text("utf-8")) for path in folder.iterdir() if path.name.endswith(".sql")]
    return sorted(found)


def apply(connection: psycopg.Connection) -> list[str]:
    """Apply what is not applied yet, all or nothing, and give the names."""
    done: list[str] = []
    with connection.transaction():
        # Bound to the transaction, not to the session: it also holds behind a transaction pooler.
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(
            "create table if not exists schema_migrations"
            " (name text primary key, applied_at timestamptz not null default now())"
        )
        applied = {name for (name,) in connection.execute("select name from schema_migrations")}
        for name, statements in migrations():
            if name not in applied:
                connection.execute(statements.encode())
                connection.execute("insert into schema_migrations (name) values (%s)", (name,))
                done.append(name)
    return done


def main() -> int:
    """Migrate the database that DATABASE_URL names."""
    findings = settings.missing(os.environ, ["DATABASE_URL"])
    if findings:
        settings.refuse(settings.SettingsError("\n".join(findings)))
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=None, connect_timeout=10) as connection:
            done = apply(connection)
    except psycopg.Error as error:
        print(f"The migration failed and nothing was changed: {error}", file=sys.stderr)  # noqa: T201
        return 1
    for name in done:
        print(f"applied {name}")  # noqa: T201
    print(f"database is up to date ({len(done)} applied)")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
