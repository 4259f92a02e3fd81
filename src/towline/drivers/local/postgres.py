"""What is asked of a running PostgreSQL: the app's role and database."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

SUPERUSER = "postgres"


def why_not(port: int, admin_password: str) -> str | None:
    """Why it does not serve yet (it may still be recovering); None when it does."""
    return why_no_login(port, SUPERUSER, admin_password, "postgres")


def why_no_login(port: int, user: str, password: str, database: str) -> str | None:
    """Why this user cannot work in this database; None when it can."""
    import psycopg

    try:
        with _connected(port, user, password, database) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return " ".join(str(error).split())
    return None


def prepare(port: int, admin_password: str, *, user: str, password: str, database: str) -> list[str]:
    """Make the role that may log in with this password, and the database that it owns; says what was changed."""
    from psycopg import sql

    with _connected(port, SUPERUSER, admin_password, "postgres") as connection:
        role, name = sql.Identifier(user), sql.Identifier(database)
        changed = []
        if not _has(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", user):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            changed.append(f"role {user}")
        # The server keeps a scram verifier; sent through a protocol parameter-less statement, so quoted as a literal.
        secret = sql.Literal(_verifier(connection, user, password))
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, secret))
        if not _has(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, role))
            changed.append(f"database {database}")
        elif not _has(connection, _OWNED, database, user):
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, role))
            changed.append(f"the owner of {database}")
    return changed


_OWNED = "SELECT 1 FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid WHERE datname = %s AND rolname = %s"


def _verifier(connection: psycopg.Connection[Any], user: str, password: str) -> str:
    """What the server stores instead of the password, made here: a statement that fails is written to its log."""
    encrypted = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
    return encrypted.decode()


def _has(connection: psycopg.Connection[Any], query: str, *values: str) -> bool:
    return connection.execute(query.encode(), values).fetchone() is not None


@contextlib.contextmanager
def _connected(port: int, user: str, password: str, database: str) -> Iterator[psycopg.Connection[Any]]:
    import psycopg

    # Every parameter is said: a PGPASSWORD or a pg_service.conf of the caller must not lead elsewhere.
    connection = psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=user,
        password=password,
        dbname=database,
        connect_timeout=5,
        sslmode="disable",
        autocommit=True,
        application_name="towline",
    )
    with contextlib.closing(connection):
        yield connection
