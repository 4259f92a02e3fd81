"""Errors to whatever speaks Sentry's protocol, when there is a DSN: every log line of level error, with its job."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from towline_runtime.logs import correlation, extra_fields
from towline_runtime.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from towline_runtime.settings import Settings

log = logging.getLogger(__name__)

# What one searches for; other extra fields of a line go along as context.
TAGS = ("job", "kind", "attempt", "queue", "worker", "request_id")


def install_reporting(settings: Settings) -> bool:
    """Report errors from now on; false, with one line in the log, when SENTRY_DSN or the package is missing.

    Nothing is sent that redaction hides, no local variables, no bodies of requests, no cookies and no addresses of
    users. A report that cannot be delivered is dropped: the log has it too.
    """
    if not settings.sentry_dsn:
        log.info("errors are not reported: SENTRY_DSN is not set")
        return False
    try:
        import sentry_sdk
        from sentry_sdk.integrations.asyncio import AsyncioIntegration
        from sentry_sdk.integrations.logging import LoggingIntegration
    except ImportError:
        log.warning("errors are not reported: pip install 'towline-runtime[sentry]'")
        return False
    before_send = _BeforeSend(Redactor(settings.secrets))
    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        environment=settings.app_env,
        release=settings.app_version,
        server_name=settings.service_name,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        # Frameworks would report what their log lines report again.
        auto_enabling_integrations=False,
        integrations=[
            AsyncioIntegration(),
            LoggingIntegration(level=logging.INFO, event_level=logging.ERROR),
        ],
        before_send=before_send,
        before_breadcrumb=before_send.breadcrumb,
    )
    return True


def flush_reports(seconds: float = 2.0) -> None:
    """Wait at the end of a process until what was reported has been sent; nothing where reports are off."""
    if "sentry_sdk" in sys.modules:
        sys.modules["sentry_sdk"].flush(seconds)


class _BeforeSend:
    """Gives an event its tags, and takes secrets out of every text in it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, event: Any, hint: MutableMapping[str, Any]) -> Any:
        tags = event.setdefault("tags", {})
        record = hint.get("log_record")
        if record is not None:
            fields = extra_fields(record)
            tags |= {name: str(fields[name]) for name in TAGS if fields.get(name) is not None}
        if (found := correlation()) is not None:
            tags["correlation_id"] = found
        for name in ("request", "user", "modules"):
            event.pop(name, None)
        return self._hidden(event)

    def breadcrumb(self, crumb: Any, hint: MutableMapping[str, Any]) -> Any:
        del hint
        return self._hidden(crumb)

    def _hidden(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._hidden(one, str(key)) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._hidden(one, name) for one in value]
        return self._redactor.field(name, value) if isinstance(value, str) else value
