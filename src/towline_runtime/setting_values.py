"""What a variable's text may be: each function gives the value or raises ValueError with the rest of a sentence.

The sentence never repeats the text, since it may be a secret typed into the wrong variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
POOLER_PORT = 6543  # Supabase's transaction pooler; Supavisor and PgBouncer setups copy it

# What other libraries write into a Postgres address; asyncpg would send it to the server, which refuses it.
_NOT_FOR_THE_SERVER = {
    "pgbouncer",
    "connection_limit",
    "pool_timeout",
    "connect_timeout",
    "socket_timeout",
    "schema",
    "channel_binding",
    "statement_cache_size",
    "prepared_statement_cache_size",
    "sslaccept",
    "gssencmode",
    "supa",
}


def text(value: str) -> str:
    """Any text."""
    return value


def whole(least: int) -> Callable[[str], int]:
    """A whole number."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise ValueError(f"is not a whole number of at least {least}")
        return int(value)

    return parse


def number(least: float) -> Callable[[str], float]:
    """A number, whole or not."""

    def parse(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if not least <= found < float("inf"):
            raise ValueError(f"is not a number of at least {least:g}")
        return found

    return parse


def port(value: str) -> int:
    """A TCP port; 0 lets the system choose."""
    if not value.isascii() or not value.isdigit() or int(value) > 65535:
        raise ValueError("is not a port: a number from 0 to 65535")
    return int(value)


def yes_or_no(value: str) -> bool:
    """True or false, in the usual spellings."""
    if value.lower() not in TRUE | FALSE:
        raise ValueError("is neither true nor false")
    return value.lower() in TRUE


def one_of(*words: str) -> Callable[[str], str]:
    """One of a few words, however capitalised; `warning` is understood as `warn`."""

    def parse(value: str) -> str:
        found = value.lower()
        if found not in words and found == "warning":
            found = "warn"
        if found not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return found

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """An address with one of the schemes, without a slash at its end."""

    def parse(value: str) -> str:
        parts = _split(value)
        if parts.scheme not in schemes:
            raise ValueError(f"does not begin with {_either([f'{one}:' for one in schemes])}")
        if parts.scheme not in {"postgres", "postgresql", "sqs"} and not parts.hostname:
            raise ValueError("names no host")
        return value.rstrip("/") if parts.scheme in {"http", "https"} else value

    return parse


def postgres(value: str) -> str:
    """An address of Postgres as asyncpg takes it: SQLAlchemy's prefixes gone, `ssl=` spelled `sslmode=`."""
    parts = _split(value)
    if parts.scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError("does not begin with postgresql:")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not parts.hostname and "host" not in query:
        raise ValueError("names no host")
    if "ssl" in query:
        mode = query.pop("ssl")
        query.setdefault("sslmode", {"true": "require", "false": "disable"}.get(mode, mode))
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, quote_via=quote, safe="/"), ""))


def without_pooler_mark(address: str) -> tuple[str, bool]:
    """The address as the server takes it, and whether it is a transaction pooler's."""
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    pooled = parts.port == POOLER_PORT or query.get("pgbouncer", "").lower() in TRUE
    kept = {name: value for name, value in query.items() if name not in _NOT_FOR_THE_SERVER}
    return urlunsplit(parts._replace(query=urlencode(kept, quote_via=quote, safe="/"))), pooled


def for_sqlalchemy(address: str) -> str:
    """The address as SQLAlchemy's asyncpg dialect takes it."""
    parts = urlsplit(address)
    query = {("ssl" if name == "sslmode" else name): value for name, value in parse_qsl(parts.query)}
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query, quote_via=quote, safe="/")))


def secret_parts(value: str) -> list[str]:
    """What of a secret value is secret: the password of an address, as written and decoded, else all of it."""
    if "://" not in value:
        return [value] if ":" not in value else []
    parts = urlsplit(value)
    # An address whose user is the whole secret, as in https://KEY@host.
    secret = parts.password if parts.password is not None else parts.username
    if secret is None or (parts.password is None and parts.scheme not in {"http", "https"}):
        return []
    return sorted({secret, unquote(secret)} - {""})


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address: is a special character in its password not written as %xx?") from None
    return parts


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
