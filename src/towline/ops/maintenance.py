"""Show a page instead of the app, and the app again; what is seen through the front door says whether it is so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from towline.artifacts.front_door import HOST, routes
from towline.artifacts.maintenance import HEADER, MOST, PAGE
from towline.artifacts.model import Bundle, SiteBundle
from towline.core.errors import CheckFailed, Findings, UsageError
from towline.core.secret import Secret
from towline.ops.deploy import Prepared, deploy, observed
from towline.ops.workspace import outside_of
from towline.release.maintenance import plan_maintenance

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.front_door import Route
    from towline.core.events import Listener
    from towline.ops.hosts import Hosts
    from towline.release.engine import Outcome

PATIENCE: Final = 10.0

LONGEST: Final = 7 * 24 * 3600
"""Seconds of a Retry-After that anybody would mean."""


def page_in(path: Path | None) -> str:
    """The text of a page of one's own, else ours. Raises UsageError for one that no front door could show."""
    if path is None:
        return PAGE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise UsageError(f"{path} cannot be read: {reason}", hint=f"ls -l {path}") from error
    if not text.strip() or len(text.encode()) > MOST:
        why = "is empty" if not text.strip() else f"is larger than {MOST} bytes"
        raise UsageError(f"{path} {why}", hint="one HTML file with its styles inside; pictures as data: URLs")
    return text


def maintenance(hosts: Hosts, page: str | None, retry_after: int, listener: Listener) -> Outcome | None:
    """Show `page`, or with None the app again; None when it is so already. Raises CheckFailed when it is not seen."""
    if not 0 < retry_after <= LONGEST:
        raise UsageError(f"{retry_after} s is no time to come back after", hint=f"a number from 1 to {LONGEST}")
    seen = observed(hosts.sites)
    secret = Secret(page) if page is not None else None
    digests = {site: secret.digest(facts.salt.reveal().encode()) for site, facts in seen.items()} if secret else None
    plan = plan_maintenance(hosts.app.name, hosts.target.name, seen, digests, retry_after)
    parts = tuple(
        SiteBundle(site, (), (), None, None, None, {digest: secret})
        for site, digest in (digests or {}).items()
        if secret
    )
    outcome = deploy(hosts, Prepared(plan, seen, Bundle(hosts.app.name, hosts.target.name, parts), {}), listener)
    _see(hosts, shown=page is not None)
    return outcome if outcome.changed else None


def _see(hosts: Hosts, *, shown: bool) -> None:
    wrong = [told for told in (_wrong(hosts, *one, shown=shown) for one in _routes(hosts)) if told]
    if wrong:
        raise CheckFailed(
            f"through the front door it is not so: {'; '.join(wrong)}",
            hint=f"towline logs caddy -t {hosts.target.name}",
        )


def _routes(hosts: Hosts) -> list[tuple[Route, str]]:
    return [
        (route, outside_of(site))
        for site in hosts.target.sites
        for route in routes(hosts.material.placement, site, hosts.material.containers)
        if route.kind != "bucket"
    ]


def _wrong(hosts: Hosts, route: Route, address: str, *, shown: bool) -> str:
    host = _host_of(hosts, route)
    if host is None:
        return ""
    url = f"{'https' if route.domain else 'http'}://{f'[{address}]' if ':' in address else address}/"
    internal = any(one.options.get("certificates") == "internal" for one in hosts.target.sites)
    extensions = {"sni_hostname": host} if route.domain else {}
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False, verify=not internal) as client:
            answer = client.get(url, headers={"Host": host}, extensions=extensions)
    except httpx.HTTPError as error:
        return f"{host} does not answer ({error})"
    return "" if (HEADER in answer.headers) is shown else f"{host} answered {answer.status_code}"


def _host_of(hosts: Hosts, route: Route) -> str | None:
    if route.domain is not None:
        return route.domain
    try:
        public = hosts.values()[HOST.name].reveal()
    except Findings:
        # A setting of the next deploy is missing; that is no matter here.
        return None
    return public if route.label is None else f"{route.label}.{public}"
