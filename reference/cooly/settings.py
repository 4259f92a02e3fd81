"""Every setting of the app, read once from the environment; those of the runtime are in `runtime`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from towline_runtime.errors import SettingsInvalid
from towline_runtime.settings import Settings as RuntimeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

GeneratorName = Literal["landscape", "http"]
TOKEN_LENGTH = 24  # fewer characters could be guessed


@dataclass(frozen=True)
class Settings:
    """What the processes need to know; secrets stay out of its repr."""

    runtime: RuntimeSettings
    host: str
    port: int
    development: bool
    frontend_origins: tuple[str, ...]
    sessions: Literal["postgres", "redis"]
    generator: GeneratorName
    generator_seconds: float
    images_api_url: str
    images_api_key: str = field(repr=False)
    images_api_model: str
    images_api_timeout: float
    verify_token: str | None = field(repr=False)
    gen_worker_concurrency: int
    start_gen_worker: bool
    start_outbox_relay: bool
    enable_capture_worker: bool
    enable_session_sweeper: bool

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that logs must hide."""
        return (*self.runtime.secrets, *filter(None, (self.images_api_key, self.verify_token)))

    @property
    def longest_job(self) -> float:
        """Seconds that one picture may take."""
        return self.generator_seconds + 30 if self.generator == "landscape" else self.images_api_timeout + 30

    @property
    def picture_origin(self) -> str:
        """Where browsers load pictures from, for the content security policy."""
        known = self.runtime
        address = urlsplit(known.s3_public_endpoint or known.s3_endpoint or "https://*.amazonaws.com")
        bucket = "" if known.s3_force_path_style or "*" in address.netloc else f"{known.s3_bucket}."
        return f"{address.scheme}://{bucket}{address.netloc}"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from an environment such as `os.environ`; raises SettingsInvalid with all findings at once."""
        reader = _Reader(environ)
        generator = reader.one_of("GENERATOR", "landscape", ("landscape", "http"))
        over_http = generator == "http"
        sessions = reader.one_of("SESSIONS", "postgres", ("postgres", "redis"))
        if sessions == "redis":
            reader.required("REDIS_URL", "SESSIONS is redis")
        values = cls(
            runtime=reader.runtime(),
            host=reader.text("HOST", "0.0.0.0"),  # noqa: S104  # in a container
            port=int(reader.number("PORT", 8000)),
            development=environ.get("APP_ENV") == "development",
            frontend_origins=reader.origins("FRONTEND_ORIGIN"),
            sessions=cast("Literal['postgres', 'redis']", sessions),
            generator=cast("GeneratorName", generator),
            generator_seconds=reader.number("GENERATOR_SECONDS", 2),
            images_api_url=reader.required("IMAGES_API_URL", "GENERATOR is http") if over_http else "",
            images_api_key=reader.required("IMAGES_API_KEY", "GENERATOR is http") if over_http else "",
            images_api_model=reader.text("IMAGES_API_MODEL", "gpt-image-1"),
            images_api_timeout=reader.number("IMAGES_API_TIMEOUT", 90),
            verify_token=reader.token("VERIFY_TOKEN"),
            gen_worker_concurrency=max(1, int(reader.number("GEN_WORKER_CONCURRENCY", 5))),
            start_gen_worker=reader.switch("START_GEN_WORKER"),
            start_outbox_relay=reader.switch("START_OUTBOX_RELAY"),
            enable_capture_worker=reader.switch("ENABLE_CAPTURE_WORKER"),
            enable_session_sweeper=reader.switch("ENABLE_SESSION_SWEEPER"),
        )
        if reader.findings:
            raise SettingsInvalid(reader.findings, ".env.example explains each of them")
        return values


class _Reader:
    """Reads one variable after the other and collects what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.findings: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def required(self, name: str, because: str) -> str:
        found = self.text(name, "")
        if not found:
            self.findings.append(f"{name} is not set, but {because}")
        return found

    def number(self, name: str, default: float) -> float:
        text = self.text(name, f"{default}")
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e6:
            self.findings.append(f"{name} is `{text}`, which is no number from 0 up")
            return default
        return number

    def switch(self, name: str) -> bool:
        text = self.text(name, "false").lower()
        if text not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
            self.findings.append(f"{name} is `{text}`, neither true nor false")
        return text in {"true", "1", "yes", "on"}

    def one_of(self, name: str, default: str, known: tuple[str, ...]) -> str:
        text = self.text(name, default)
        if text not in known:
            self.findings.append(f"{name} is `{text}`; it may be {' or '.join(known)}")
            return default
        return text

    def origins(self, name: str) -> tuple[str, ...]:
        found = tuple(one.strip().rstrip("/") for one in self.text(name, "").split(",") if one.strip())
        for one in found:
            if not one.startswith(("http://", "https://")) or one.count("/") != 2:
                self.findings.append(f"{name} has `{one}`, which is no origin such as https://cooly.example")
        return found

    def token(self, name: str) -> str | None:
        found = self.text(name, "")
        if found and len(found) < TOKEN_LENGTH:
            self.findings.append(f"{name} is shorter than {TOKEN_LENGTH} characters")
        return found or None

    def runtime(self) -> RuntimeSettings:
        self.required("S3_BUCKET", "pictures need a bucket")
        try:
            return RuntimeSettings.read(self._environ)
        except SettingsInvalid as error:
            self.findings += error.findings
            return RuntimeSettings(database_url="")
