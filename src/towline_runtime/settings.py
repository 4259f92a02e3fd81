"""The environment as one frozen value: read once, checked whole, and never printed in clear."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from towline_runtime import setting_values as values
from towline_runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline_runtime.doorbell import Pace


@dataclass(frozen=True)
class Setting:
    """One line of the reference: the variable, what it means, its default in words, and whether it is a secret."""

    name: str
    meaning: str
    default: str
    secret: bool


def _setting(
    parse: Callable[[str], Any],
    meaning: str,
    *,
    default: Any = MISSING,
    otherwise: str = "",
    secret: bool = False,
    hint: str = "",
) -> Any:
    """Declare a field; `otherwise` tells in words what happens without a value where `default` does not."""
    told = {"parse": parse, "meaning": meaning, "otherwise": otherwise, "secret": secret, "hint": hint}
    return field(default=default, repr=not secret, metadata=told)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Each field is the variable of its name in capitals; an empty one counts as absent.

    A feature whose variables are absent is off. Addresses and secrets do not show in `repr`.
    """

    database_url: str = _setting(
        values.postgres,
        "Where Postgres is; prefixes such as postgresql+asyncpg:// are understood",
        secret=True,
        hint="DATABASE_URL=postgresql://user:password@host:5432/app",
    )
    direct_url: str = _setting(
        values.postgres,
        "Postgres without a pooler in between, for listening and migrations",
        default="",
        otherwise="DATABASE_URL",
        secret=True,
    )
    database_pooled: bool = _setting(
        values.yes_or_no,
        "A transaction pooler is in between, so no statement is prepared for longer than its transaction",
        default=False,
        otherwise="true with port 6543 or ?pgbouncer=true",
    )
    database_pool_size: int = _setting(values.whole(1), "Most connections of one process to Postgres", default=10)
    doorbell_url: str = _setting(
        values.url("postgres", "postgresql", "redis", "rediss", "valkey", "valkeys", "sqs"),
        "What wakes workers: postgres:, redis://, rediss:// or sqs://",
        default="postgres:",
        secret=True,
    )
    worker_concurrency: int = _setting(values.whole(1), "Jobs that one worker process runs at once", default=50)
    job_lease_seconds: float = _setting(
        values.number(1), "How long after its worker vanished a job is given to another", default=30.0
    )
    poll_busy_ms: float = _setting(values.number(1), "Wait between two looks for jobs while there are some", default=10)
    poll_idle_ms: float = _setting(values.number(1), "The same when there have been none", default=100)
    job_ring_again_seconds: float = _setting(
        values.number(1), "How long a job may be due unheard of before its doorbell is rung again", default=30.0
    )
    job_stuck_seconds: float = _setting(
        values.number(1), "How long an attempt may run before it is reported as stuck", default=21_600
    )
    job_cancel_stuck: bool = _setting(values.yes_or_no, "A stuck attempt is cancelled too", default=False)
    job_keep_done_seconds: float = _setting(
        values.number(1), "How long the row of a finished job, and with it its key, is kept", default=604_800
    )
    job_keep_dead_seconds: float = _setting(values.number(1), "How long a dead letter is kept", default=2_592_000)
    redis_url: str | None = _setting(
        values.url("redis", "rediss", "valkey", "valkeys"),
        "Redis or Valkey for sessions and rate limits",
        default=None,
        otherwise="Postgres keeps them",
        secret=True,
    )
    session_ttl_seconds: float = _setting(values.number(1), "How long a session lives unused", default=604_800)
    rate_limit_max_requests: int = _setting(values.whole(1), "Requests that one client may send", default=100)
    rate_limit_window_ms: float = _setting(values.number(1), "... in any time of this length", default=60_000)
    rate_limit_when_away: str = _setting(
        values.one_of("allow", "refuse"),
        "What happens to requests while the counters are out of reach",
        default="allow",
    )
    s3_bucket: str | None = _setting(
        values.text, "The bucket for objects", default=None, otherwise="objects are in STORAGE_FOLDER"
    )
    s3_endpoint: str | None = _setting(
        values.url("http", "https"), "Where the app reaches the object store", default=None, otherwise="AWS"
    )
    s3_public_endpoint: str | None = _setting(
        values.url("http", "https"), "Where browsers reach it, for signed links", default=None, otherwise="S3_ENDPOINT"
    )
    s3_public_url: str | None = _setting(
        values.url("http", "https"),
        "What stands before the key of a public object",
        default=None,
        otherwise="S3_PUBLIC_ENDPOINT and S3_BUCKET",
    )
    s3_access_key: str | None = _setting(
        values.text, "Its access key", default=None, otherwise="the machine's role", secret=True
    )
    s3_secret_key: str | None = _setting(
        values.text, "Its secret key", default=None, otherwise="the machine's role", secret=True
    )
    s3_region: str = _setting(values.text, "Its region", default="us-east-1")
    s3_force_path_style: bool = _setting(
        values.yes_or_no,
        "The bucket's name is in the path, not in the host",
        default=False,
        otherwise="true when S3_ENDPOINT is set",
    )
    storage_folder: str | None = _setting(
        values.text, "A folder for objects, where there is no bucket", default=None, otherwise="no objects"
    )
    storage_url: str = _setting(
        values.text, "Where the app serves that folder to browsers: a path or an address", default="/storage"
    )
    service_name: str = _setting(values.text, "The name in log lines and figures", default="app")
    app_version: str = _setting(values.text, "The version that health and error reports tell", default="dev")
    app_env: str = _setting(values.text, "production, staging, development ...", default="development")
    log_level: str = _setting(
        values.one_of("debug", "info", "warn", "error"), "The least that is logged", default="info"
    )
    sentry_dsn: str | None = _setting(
        values.url("http", "https"), "Where errors are reported", default=None, otherwise="not reported", secret=True
    )
    health_port: int | None = _setting(
        values.port, "Port of a worker's /livez, /readyz and /metrics", default=None, otherwise="no such server"
    )
    metrics_port: int | None = _setting(values.port, "Port of /metrics alone", default=None, otherwise="no such server")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from an environment such as `os.environ`; raises SettingsInvalid with all findings at once."""
        given: dict[str, Any] = {}
        findings: list[str] = []
        hints: list[str] = []
        for one in fields(cls):
            name, text = one.name.upper(), environ.get(one.name.upper(), "").strip()
            if text:
                try:
                    given[one.name] = one.metadata["parse"](text)
                except ValueError as error:
                    findings.append(f"{name} {error}")
            elif one.default is MISSING:
                findings.append(f"{name} is not set: {one.metadata['meaning'][0].lower()}{one.metadata['meaning'][1:]}")
                hints.append(one.metadata["hint"])
        findings += _contradictions(given)
        if findings:
            raise SettingsInvalid(findings, " ".join(hints) or "compare with Settings.describe()")
        return cls(**_derived(given))

    @classmethod
    def describe(cls) -> list[Setting]:
        """All variables in order, for a printed reference."""
        return [
            Setting(one.name.upper(), one.metadata["meaning"], _default(one), one.metadata["secret"])
            for one in fields(cls)
        ]

    @property
    def pace(self) -> Pace:
        """How often workers and relays look for work."""
        from towline_runtime.doorbell import Pace

        return Pace(self.poll_busy_ms / 1000, self.poll_idle_ms / 1000)

    @property
    def sqlalchemy_url(self) -> str:
        """The same database for `sqlalchemy.ext.asyncio.create_async_engine`."""
        return values.for_sqlalchemy(self.database_url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not appear in a log, as redaction wants them: keys, and the passwords within addresses."""
        secret = [getattr(self, one.name) for one in fields(self) if one.metadata["secret"]]
        return tuple(sorted({part for value in secret if value for part in values.secret_parts(value)}))


def _contradictions(given: Mapping[str, Any]) -> list[str]:
    found = []
    for one, other in (("s3_access_key", "s3_secret_key"), ("s3_secret_key", "s3_access_key")):
        if one in given and other not in given:
            found.append(f"{one.upper()} is set but {other.upper()} is not")
    if "s3_endpoint" in given and "s3_bucket" not in given:
        found.append("S3_ENDPOINT is set but S3_BUCKET is not")
    busy, idle = given.get("poll_busy_ms", 10), given.get("poll_idle_ms", 100)
    if idle < busy:
        found.append(f"POLL_IDLE_MS is {idle:g}, less than POLL_BUSY_MS, {busy:g}")
    return found


def _derived(given: dict[str, Any]) -> dict[str, Any]:
    database_url, pooled = values.without_pooler_mark(given["database_url"])
    direct_url, _ = values.without_pooler_mark(given.get("direct_url", database_url))
    by_default = {"database_pooled": pooled, "s3_force_path_style": "s3_endpoint" in given}
    return by_default | given | {"database_url": database_url, "direct_url": direct_url}


def _default(one: Any) -> str:
    if one.metadata["otherwise"]:
        return str(one.metadata["otherwise"])
    if one.default is MISSING:
        return "required"
    return f"{one.default:.0f}" if isinstance(one.default, float) else f"{one.default}"
