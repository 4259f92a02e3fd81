"""What a name of an app on hosts must show: its certificate, the way to https, the headers, the right version."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from towline.artifacts.maintenance import HEADER as MAINTENANCE
from towline.ops.report import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.artifacts.front_door import Route
    from towline.ops.host_browser import HostBrowser

PATIENCE: Final = 10.0
LEAST_DAYS: Final = 10.0
"""Days that a certificate must still be good for: one that is not renewed by then will not be. One of an internal
authority lives for hours, and is renewed when a third of them are left."""

UPSTREAM: Final = "X-Towline-Upstream"
HEADERS: Final = ("X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Content-Security-Policy")
HSTS: Final = "Strict-Transport-Security"

_DAY: Final = 86400.0


@dataclass(frozen=True)
class Named:
    """One route as a browser finds it: its `url`, and the `address` of its host.

    `wanted` are the copies that should answer, as the front door calls them.
    """

    route: Route
    url: str
    address: str
    wanted: tuple[str, ...]
    internal: bool

    @property
    def name(self) -> str:
        """The name in the address bar."""
        return self.url.partition("://")[2].partition("/")[0]


def places(named: Iterable[Named]) -> dict[str, str]:
    """Where each host of these addresses is found."""
    return {urlsplit(one.url).hostname or "": one.address for one in named}


def checks_of(named: Named, browser: HostBrowser) -> Iterator[Check]:
    """All checks of one route."""
    yield from _answers(named, browser)
    if named.route.domain is not None:
        yield certificate(named)
        yield _redirect(named, browser)


def _answers(named: Named, browser: HostBrowser) -> Iterator[Check]:
    """Asked until every copy should have had its turn."""
    route, path = named.route, named.route.path or "/"
    name, hint = f"{route.name} answers through the front door", f"towline logs {route.name}"
    answers: list[httpx.Response] = []
    try:
        for _ in range(max(1, 2 * len(named.wanted))):
            answers.append(browser.ask("GET", named.url + path))  # noqa: PERF401 - what came before an error counts
    except httpx.HTTPError as error:
        yield Check(name, ok=False, saw=f"{named.url}{path}: {error or type(error).__name__}", hint=hint)
        return
    if any(MAINTENANCE in one.headers for one in answers):
        # Somebody asked for it, so it is as it should be; until it ends, no more can be seen from outside.
        yield Check(name, ok=True, saw=f"{named.url} shows the maintenance page, as asked")
        return
    codes = sorted({one.status_code for one in answers})
    ok = codes[-1] < httpx.codes.INTERNAL_SERVER_ERROR and (route.path is None or codes[-1] < httpx.codes.BAD_REQUEST)
    saw = f"{named.url}{path} answered {', '.join(map(str, codes))}"
    yield Check(name, ok=ok, saw=saw, hint=None if ok else hint)
    yield from _version(named, {one.headers[UPSTREAM] for one in answers if UPSTREAM in one.headers})
    yield _headers(named, answers[-1])


def _version(named: Named, seen: set[str]) -> Iterator[Check]:
    """Whether only copies of the wanted version answered; nothing to say where the app's own door is not asked."""
    if not named.wanted or not seen:
        return
    others = sorted(seen - set(named.wanted))
    saw = f"{len(seen)} of {len(named.wanted)} copies answered, all of this version"
    if others:
        saw = f"another version answered: {', '.join(others)}"
    hint = "towline deploy" if others else None
    yield Check(f"{named.route.name} is of the right version", ok=not others, saw=saw, hint=hint)


def _headers(named: Named, answer: httpx.Response) -> Check:
    wanted = (*HEADERS, HSTS) if named.route.domain is not None else HEADERS
    missing = [one for one in wanted if one not in answer.headers]
    told = [one for one in ("Server", "Via") if one in answer.headers and "caddy" in answer.headers[one].lower()]
    saw = f"{len(wanted)} headers, as they should be"
    if missing or told:
        saw = "; ".join([f"without {one}" for one in missing] + [f"{one} tells what the front door is" for one in told])
    name = f"{named.route.name} sends the security headers"
    return Check(name, ok=not missing and not told, saw=saw, hint="towline deploy" if missing or told else None)


def _redirect(named: Named, browser: HostBrowser) -> Check:
    clear = f"http://{named.name}{named.route.path or '/'}"
    name = f"{named.name} leads to https"
    try:
        answer = browser.ask("GET", clear)
    except httpx.HTTPError as error:
        return Check(name, ok=False, saw=f"{clear}: {error or type(error).__name__}", hint="towline status")
    to = answer.headers.get("Location", "")
    ok = answer.status_code in (301, 308) and to.startswith(f"https://{named.name}/")
    saw = f"{clear} answered {answer.status_code}{f' to {to}' if to else ''}"
    return Check(name, ok=ok, saw=saw, hint=None if ok else "towline deploy")


def certificate(named: Named, port: int = 443) -> Check:
    """Whose it is, until when it is good, and who says so: asked of the host itself, with the name of the route."""
    name = f"{named.name} has a good certificate"
    try:
        plain = _internal(named, port) if named.internal else _public(named, port)
    except ssl.SSLCertVerificationError as error:
        return Check(name, ok=False, saw=error.verify_message, hint=f"towline logs caddy  # {named.name}")
    except OSError as error:
        return Check(name, ok=False, saw=str(error) or type(error).__name__, hint="towline status")
    left = (ssl.cert_time_to_seconds(str(plain["notAfter"])) - time.time()) / _DAY
    issuer = _issuer(plain)
    if named.internal:
        saw = f"for {named.name}, {left * 24:.0f} h left, by {issuer}, which only this host knows"
        return Check(name, ok=left > 0, saw=saw)
    saw = f"for {named.name}, {left:.0f} days left, by {issuer}"
    return Check(name, ok=left >= LEAST_DAYS, saw=saw, hint=None if left >= LEAST_DAYS else "towline logs caddy")


def _public(named: Named, port: int) -> dict[str, Any]:
    return _asked(ssl.create_default_context(), named, port)


def _internal(named: Named, port: int) -> dict[str, Any]:
    """What it shows, believed as it is; that it is for this name, and its time, is looked at as with any other."""
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((named.address, port), PATIENCE) as plain,
        blind.wrap_socket(plain, server_hostname=named.name) as secured,
    ):
        shown = secured.getpeercert(binary_form=True) or b""
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(shown))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return _asked(context, named, port)


def _asked(context: ssl.SSLContext, named: Named, port: int) -> dict[str, Any]:
    with (
        socket.create_connection((named.address, port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=named.name) as secured,
    ):
        return dict(secured.getpeercert() or {})


def _issuer(plain: dict[str, Any]) -> str:
    parts = {name: value for part in plain.get("issuer", ()) for name, value in part}
    return re.sub(r"\s+", " ", str(parts.get("organizationName") or parts.get("commonName") or "nobody it names"))
