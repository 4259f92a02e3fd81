"""Tell others how a deploy went: one request for each address that towline.yaml names. None of them can stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from towline.core.errors import Finding, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from towline.core.secret import Secret
    from towline.ops.occasion import Occasion
    from towline.spec.model import Notice

PATIENCE: Final = 10.0

_SLACK_MOST, _DISCORD_MOST = 3000, 2000
"""Characters of a message: what each of them takes (their own documentation)."""


def notify(notices: Iterable[Notice], values: Mapping[str, Secret], occasion: Occasion) -> tuple[Finding, ...]:
    """Send what is wanted; what could not be sent comes back as warnings, which never hold an address."""
    wanted = [one for one in notices if one.on == "always" or not occasion.ok]
    return tuple(_warnings(wanted, values, occasion))


def _warnings(notices: Iterable[Notice], values: Mapping[str, Secret], occasion: Occasion) -> Iterator[Finding]:
    for one in notices:
        value = values.get(one.secret)
        why = _not_sent(one, value.reveal(), occasion) if value is not None else "it has no value"
        if why is not None:
            hint = f"towline secrets set {one.secret} -t {occasion.target}"
            where = Where(f"notify.{one.secret}")
            yield Finding("not-notified", f"Nobody was told by {one.secret}: {why}", where, hint, "warning")


def _not_sent(notice: Notice, url: str, occasion: Occasion) -> str | None:
    """Why it was not sent; None when it was. The address itself is a secret, also where a library names it."""
    host = _host_in(url)
    if host is None:
        return "its value is no http address"
    try:
        with httpx.Client(timeout=PATIENCE, follow_redirects=False) as client:
            answer = client.post(url, json=body_of(notice, host, occasion))
    except httpx.TimeoutException:
        return f"no answer within {PATIENCE:g} s"
    except (httpx.HTTPError, httpx.InvalidURL):
        return "it cannot be reached"
    return None if answer.is_success else f"it answered {answer.status_code}"


def _host_in(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def body_of(notice: Notice, host: str, occasion: Occasion) -> dict[str, Any]:
    """What is sent."""
    return _BODIES[notice.form or form_by(host)](occasion)


def form_by(host: str) -> str:
    """What an address takes that nobody says anything of."""
    if host == "hooks.slack.com":
        return "slack"
    return "discord" if host in ("discord.com", "discordapp.com") else "json"


def _slack(occasion: Occasion) -> dict[str, Any]:
    mark = ":white_check_mark:" if occasion.ok else ":x:"
    # Slack reads these three as markup, whatever is around them.
    text = occasion.sentence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": f"{mark} {text}"[:_SLACK_MOST]}


def _discord(occasion: Occasion) -> dict[str, Any]:
    mark = "\N{WHITE HEAVY CHECK MARK}" if occasion.ok else "\N{CROSS MARK}"
    # Without the second key a text of somebody's own could call everybody.
    return {"content": f"{mark} {occasion.sentence}"[:_DISCORD_MOST], "allowed_mentions": {"parse": []}}


_BODIES: Final[dict[str, Callable[[Occasion], dict[str, Any]]]] = {
    "json": lambda occasion: occasion.as_json(),
    "slack": _slack,
    "discord": _discord,
}
