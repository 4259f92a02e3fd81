"""The outside-in proof of a target on hosts: asked over the network as its users do, and nothing else is open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.artifacts.containers import text_of
from towline.artifacts.front_door import HOST, routes
from towline.artifacts.host_services import Ground, environment_of
from towline.core.errors import CheckFailed
from towline.core.secret import Secret
from towline.ops.host_browser import HostBrowser
from towline.ops.job_path import walked
from towline.ops.report import Check, Verdict
from towline.ops.verify_names import Named, checks_of, places
from towline.ops.verify_ports import from_beside, from_outside
from towline.ops.workspace import outside_of, public_host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.artifacts.model import Bundle
    from towline.ops.hosts import Hosts
    from towline.spec.model import JobCheck, Site
    from towline.steps.model import Facts


@dataclass(frozen=True)
class _Expected:
    """What should run of a service, a store or the door on a site.

    `revisions` is empty where only the site itself can tell; `upstreams` is where its traffic should go.
    """

    copies: int
    revisions: frozenset[str] = frozenset()
    upstreams: tuple[str, ...] = ()


def verify_hosts(
    hosts: Hosts,
    told: Callable[[Check], None] | None = None,
    *,
    whole: bool = False,
    bundle: Bundle | None = None,
) -> Verdict:
    """Look at what a deploy has changed; with `whole` at everything.

    That is every port of every host, the stores from beside, and one job from end to end. With a bundle exactly its
    version must run, else one and the same version of each service. Changes nothing but what a job of the app makes.
    """
    began, checks = time.monotonic(), []
    for check in _checks(hosts, bundle, whole=whole):
        checks.append(check)
        if told is not None:
            told(check)
    return Verdict(tuple(checks), time.monotonic() - began)


def _checks(hosts: Hosts, bundle: Bundle | None, *, whole: bool) -> Iterator[Check]:
    seen = {site.name: hosts.live[site.name].observe() for site in hosts.target.sites}
    expected = {site.name: _expected(hosts, site, bundle, seen[site.name]) for site in hosts.target.sites}
    named = [one for site in hosts.target.sites for one in _names(hosts, site, expected[site.name])]
    internal = any(one.internal for one in named)
    with HostBrowser(places(named), checked=not internal) as browser:
        for site in hosts.target.sites:
            for name, one in expected[site.name].items():
                yield _runs(name, one, seen[site.name])
        for route in named:
            yield from checks_of(route, browser)
        if whole:
            yield from _job(hosts, browser)
    for site in hosts.target.sites:
        if whole:
            yield from from_beside(hosts, site)
        yield from from_outside(hosts, site, whole=whole)


def _expected(hosts: Hosts, site: Site, bundle: Bundle | None, facts: Facts) -> dict[str, _Expected]:
    """By service what should run on a site: as the bundle has it, else as the files and the site's own door say."""
    part = next((one for one in bundle.sites if one.site == site.name), None) if bundle is not None else None
    if part is not None:
        servers = [*(one.server for one in part.stores), *([part.door] if part.door else [])]
        found = {one.service: _Expected(1, frozenset([one.revision])) for one in servers}
        services = {one.name: one for one in part.services if one.instances}
        return found | {
            name: _Expected(len(one.instances), frozenset(copy.revision for copy in one.instances), one.upstreams)
            for name, one in services.items()
        }
    placement = hosts.material.placement
    found = {one.name: _Expected(1) for one in placement.stores_on(site)}
    for one in placement.services_on(site):
        if one.kind != "task":
            copies = max(1, -(-one.replicas // len(hosts.target.place[one.name])))
            found[one.name] = _Expected(copies, upstreams=facts.upstreams.get(one.name, ()))
    return found


def _names(hosts: Hosts, site: Site, expected: Mapping[str, _Expected]) -> Iterator[Named]:
    """Every name of the front door of a host that a service answers to, with the copies that should."""
    public = {HOST.name: _public_host(hosts)}
    internal = site.options.get("certificates") == "internal"
    for route in routes(hosts.material.placement, site, hosts.material.containers):
        if route.kind != "bucket":
            wanted = expected[route.name].upstreams if route.name in expected else ()
            yield Named(route, text_of(route.url, public), outside_of(site), wanted, internal)


def _public_host(hosts: Hosts) -> str:
    """The name of the app where no site has a domain."""
    kept = hosts.vault.kept().get(HOST.name)
    return kept.value.reveal() if kept is not None else public_host_of(hosts.target.sites[0])


def _runs(name: str, expected: _Expected, facts: Facts) -> Check:
    """As many copies as wanted, all ready, of one version; old ones that finish by themselves do not count."""
    here = [one for one in facts.instances if one.service == name and one.state not in ("leaving", "stopped")]
    newest = expected.revisions or frozenset(one.revision for one in here[:1])
    ready = [one for one in here if one.state == "ready" and one.revision in newest]
    wrong = [f"{one.name} is {one.state}" for one in here if one.state != "ready"]
    wrong += [f"{one.name} is of another version" for one in here if one.revision not in newest]
    ok = len(ready) >= expected.copies and not wrong
    saw = "; ".join([f"{len(ready)} of {expected.copies} ready", *wrong[:1]])
    return Check(f"{name} is alive on {facts.site}", ok=ok, saw=saw, hint=None if ok else f"towline logs {name}")


def _job(hosts: Hosts, browser: HostBrowser) -> Iterator[Check]:
    """One job of the app, from the request to what it made."""
    job = hosts.app.job
    base = hosts.public_urls().get(job.service) if job is not None else None
    if job is not None and base is not None:
        yield from walked(job, base, browser, lambda: _token(hosts, job))


def _token(hosts: Hosts, job: JobCheck) -> Secret | None:
    """The value of the variable that lets the requests in, as the vault has it."""
    if job.bearer is None:
        return None
    site = next(one for one in hosts.target.sites if one.name == hosts.target.place[job.service][0])
    told = environment_of(Ground(hosts.material, site), hosts.app.service(job.service))
    values = {name: one.value.reveal() for name, one in hosts.vault.kept().items()}
    try:
        return Secret(text_of(told[job.bearer], {HOST.name: _public_host(hosts), **values}))
    except KeyError as error:
        raise CheckFailed(
            f"the job needs {job.bearer}, of which {error} is not known here",
            hint=f"towline secrets list -t {hosts.target.name}",
        ) from error
