"""Settings: all findings at once, nothing secret shown, addresses as asyncpg takes them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline_runtime.errors import SettingsInvalid
from towline_runtime.roles import sweeper_options
from towline_runtime.settings import Settings
from towline_runtime.sweeper import SweeperOptions

URL = "postgresql://app:pass%40word@db.internal:5432/app"


def read(**more: str) -> Settings:
    return Settings.read({"DATABASE_URL": URL} | more)


def test_only_the_database_is_required() -> None:
    """An environment with DATABASE_URL alone gives every default of the reference."""
    settings = read()
    assert settings.direct_url == settings.database_url == URL
    assert settings.doorbell_url == "postgres:"
    assert (settings.worker_concurrency, settings.job_lease_seconds) == (50, 30)
    assert (settings.pace.busy, settings.pace.idle) == (0.010, 0.100)
    assert {settings.redis_url, settings.s3_bucket, settings.sentry_dsn, settings.health_port} == {None}
    assert not settings.database_pooled
    assert not settings.s3_force_path_style


def test_an_empty_variable_is_an_absent_one() -> None:
    """Compose writes empty strings for variables that nobody set."""
    assert read(REDIS_URL="", WORKER_CONCURRENCY=" ").worker_concurrency == 50


def test_the_sweeper_is_told_its_times() -> None:
    """Each variable reaches its option; a short lease shortens the sweeper's own; unset they are the defaults."""
    told = {
        "JOB_RING_AGAIN_SECONDS": "5",
        "JOB_STUCK_SECONDS": "60",
        "JOB_CANCEL_STUCK": "true",
        "JOB_KEEP_DONE_SECONDS": "70",
        "JOB_KEEP_DEAD_SECONDS": "80",
        "JOB_LEASE_SECONDS": "4",
    }
    options = dataclasses.replace(sweeper_options(read(**told)), owner="one")
    assert options == SweeperOptions(
        ring_after=5, stuck_after=60, cancel_stuck=True, keep_done=70, keep_dead=80, lease=2, owner="one"
    )
    assert dataclasses.replace(sweeper_options(read()), owner="one") == SweeperOptions(owner="one")


def test_all_findings_come_at_once() -> None:
    """Six mistakes give six sentences, each with its variable, and a hint."""
    with pytest.raises(SettingsInvalid) as caught:
        Settings.read(
            {
                "WORKER_CONCURRENCY": "0",
                "REDIS_URL": "http://cache",
                "S3_ACCESS_KEY": "key",
                "LOG_LEVEL": "loud",
                "POLL_BUSY_MS": "200",
                "DATABASE_POOLED": "perhaps",
            }
        )
    findings = caught.value.findings
    for name in ("DATABASE_URL", "WORKER_CONCURRENCY", "REDIS_URL", "S3_SECRET_KEY", "LOG_LEVEL", "POLL_IDLE_MS"):
        assert any(name in finding for finding in findings), name
    assert len(findings) == 7
    assert "DATABASE_URL=postgresql://" in caught.value.hint


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "WORKER_CONCURRENCY", "LOG_LEVEL"])
@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=6))
def test_a_finding_never_repeats_the_value(name: str, text: str) -> None:
    """A secret typed into the wrong variable is not shown; whatever the text, reading ends in a value or a finding."""
    value = f"hush!{text}"
    said = ""
    try:
        Settings.read({"DATABASE_URL": URL, "S3_BUCKET": "b"} | {name: value})
    except SettingsInvalid as error:
        said = str(error)
    assert value not in said


@pytest.mark.parametrize(
    ("given_url", "kept"),
    [
        ("postgres://a:b@h/d", "postgresql://a:b@h/d"),
        ("postgresql+asyncpg://a:b@h:6000/d?ssl=require", "postgresql://a:b@h:6000/d?sslmode=require"),
        ("postgresql+psycopg://a:b@h/d?sslmode=verify-full", "postgresql://a:b@h/d?sslmode=verify-full"),
        ("postgres://a:b@h/d?sslmode=require&channel_binding=require", "postgresql://a:b@h/d?sslmode=require"),
        ("postgres://a@/d?host=/run/postgresql", "postgresql://a@/d?host=/run/postgresql"),
        ("postgres://a@h/d?schema=public&connection_limit=1", "postgresql://a@h/d"),
    ],
)
def test_addresses_are_brought_to_one_form(given_url: str, kept: str) -> None:
    """Prefixes of other libraries are understood; what asyncpg would send to the server is left out."""
    assert read(DATABASE_URL=given_url).database_url == kept


@pytest.mark.parametrize(
    ("url", "says", "pooled"),
    [
        ("postgres://a:b@h:6543/d", {}, True),
        ("postgres://a:b@h:5432/d?pgbouncer=true", {}, True),
        ("postgres://a:b@h:6543/d", {"DATABASE_POOLED": "no"}, False),
        ("postgres://a:b@h:5432/d", {"DATABASE_POOLED": "yes"}, True),
    ],
)
def test_a_pooler_is_recognised_unless_told(url: str, says: dict[str, str], pooled: bool) -> None:
    """By its port or its mark, and the mark does not reach the server."""
    settings = Settings.read({"DATABASE_URL": url} | says)
    assert settings.database_pooled is pooled
    assert "pgbouncer" not in settings.database_url + settings.direct_url


def test_nothing_secret_is_shown() -> None:
    """No address, key or DSN is in `repr`; their secret parts are listed for redaction, as written and decoded."""
    settings = read(
        REDIS_URL="rediss://:red-pass@cache",
        S3_BUCKET="media",
        S3_ACCESS_KEY="access-1",
        S3_SECRET_KEY="secret-1",
        SENTRY_DSN="https://sentry-key@errors.test/1",
        DIRECT_URL="postgres://app:direct-pass@db/app",
    )
    secrets = {"pass@word", "pass%40word", "red-pass", "access-1", "secret-1", "sentry-key", "direct-pass"}
    assert secrets <= set(settings.secrets)
    assert not any(secret in repr(settings) for secret in secrets)


def test_the_same_database_for_sqlalchemy() -> None:
    """Its dialect wants another prefix, and `ssl` for `sslmode`."""
    assert read(DATABASE_URL=f"{URL}?sslmode=require").sqlalchemy_url == (
        "postgresql+asyncpg://app:pass%40word@db.internal:5432/app?ssl=require"
    )


def test_s3_like_stores_get_path_style_unless_told() -> None:
    """A store at an endpoint of its own rarely has a host for each bucket; AWS has."""
    assert read(S3_BUCKET="b", S3_ENDPOINT="http://media:8333/").s3_endpoint == "http://media:8333"
    assert read(S3_BUCKET="b", S3_ENDPOINT="http://media:8333").s3_force_path_style
    assert not read(S3_BUCKET="b", S3_ENDPOINT="http://media:8333", S3_FORCE_PATH_STYLE="0").s3_force_path_style


def test_the_reference_has_every_variable() -> None:
    """One line a field, each with a meaning and a default in words."""
    lines = Settings.describe()
    assert [line.name.lower() for line in lines] == [one.name for one in dataclasses.fields(Settings)]
    assert all(line.meaning and line.default for line in lines)
    assert {line.name for line in lines if line.secret} == {
        "DATABASE_URL",
        "DIRECT_URL",
        "DOORBELL_URL",
        "REDIS_URL",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "SENTRY_DSN",
    }
