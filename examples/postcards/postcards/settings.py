"""Every setting of the app, read once from the environment."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urlsplit

REQUIRED = ("DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_PUBLIC_URL")
NUMBERS = {"PORT": "8000", "GREETING_LIMIT": "120", "JOB_LEASE_SECONDS": "20"}


class SettingsError(Exception):
    """The environment lacks something, or holds something unreadable; carries every finding at once."""


@dataclass(frozen=True)
class Settings:
    """What both processes need to know; secrets stay out of its repr."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    s3_endpoint: str
    s3_bucket: str
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    s3_public_url: str
    s3_public_endpoint: str
    s3_region: str
    host: str
    port: int
    greeting_limit: int
    job_lease_seconds: int

    @property
    def public_origin(self) -> str:
        """Scheme, host and port that cards are loaded from, for the content security policy."""
        parts = urlsplit(self.s3_public_url)
        return f"{parts.scheme}://{parts.netloc}"


def missing(environ: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Give one sentence for each of `names` that is unset or empty."""
    return [f"{name} is not set" for name in names if not environ.get(name)]


def read(environ: Mapping[str, str]) -> Settings:
    """Read all settings; raise SettingsError with every finding."""
    findings = missing(environ, REQUIRED)
    numbers = {name: environ.get(name) or default for name, default in NUMBERS.items()}
    findings += [f"{name} is not a whole number" for name, text in numbers.items() if not text.isdecimal()]
    addresses = ("S3_ENDPOINT", "S3_PUBLIC_URL", "S3_PUBLIC_ENDPOINT")
    findings += [
        f"{name} does not begin with http:// or https://"
        for name in addresses
        if environ.get(name) and not environ[name].startswith(("http://", "https://"))
    ]
    if findings:
        raise SettingsError("\n".join(findings))
    return Settings(
        database_url=environ["DATABASE_URL"],
        redis_url=environ["REDIS_URL"],
        s3_endpoint=environ["S3_ENDPOINT"].rstrip("/"),
        s3_bucket=environ["S3_BUCKET"],
        s3_access_key=environ["S3_ACCESS_KEY"],
        s3_secret_key=environ["S3_SECRET_KEY"],
        s3_public_url=environ["S3_PUBLIC_URL"].rstrip("/"),
        s3_public_endpoint=(environ.get("S3_PUBLIC_ENDPOINT") or environ["S3_ENDPOINT"]).rstrip("/"),
        s3_region=environ.get("S3_REGION") or "us-east-1",
        host=environ.get("HOST") or "0.0.0.0",
        port=int(numbers["PORT"]),
        greeting_limit=int(numbers["GREETING_LIMIT"]),
        job_lease_seconds=int(numbers["JOB_LEASE_SECONDS"]),
    )


def refuse(error: SettingsError) -> NoReturn:
    """Print the findings for a person and end with status 2."""
    print(f"The settings are not complete:\n{error}\nhint: .env.example explains each of them", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)
