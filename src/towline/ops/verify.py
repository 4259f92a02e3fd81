"""The outside-in proof: ask everything the way its users do, and believe only what was seen."""

from __future__ import annotations

import ipaddress
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from towline.artifacts.bundle import DOOR
from towline.core.errors import CheckFailed
from towline.ops.connect import connect
from towline.ops.job_path import walked
from towline.ops.report import Check, Verdict
from towline.ops.through_door import Browser
from towline.spec.model import STORE_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.artifacts.addresses import Local
    from towline.core.secret import Secret
    from towline.ops.workspace import Workspace
    from towline.spec.model import App, Service, Store
    from towline.steps.model import InstanceStatus


def verify(workspace: Workspace, told: Callable[[Check], None] | None = None) -> Verdict:
    """Look at everything; `told` hears of each check as it is made. Changes nothing but what a job of the app makes."""
    began = time.monotonic()
    checks = []
    for check in _checks(workspace):
        checks.append(check)
        if told is not None:
            told(check)
    return Verdict(tuple(checks), time.monotonic() - began)


def _checks(workspace: Workspace) -> Iterator[Check]:
    app, addresses = workspace.app, workspace.addresses()
    with ThreadPoolExecutor(1, "job") as beside:
        # The job takes its time in the app; the rest is looked at meanwhile.
        walked = beside.submit(_walked, app, addresses)
        yield from _looked_at(workspace, app, addresses)
        yield from walked.result()


def _looked_at(workspace: Workspace, app: App, addresses: Local) -> Iterator[Check]:
    status = workspace.site.status()
    yield from _processes(app, status)
    for service in app.services:
        check = _variables(workspace, service, addresses, status)
        if check is not None:
            yield check
    with Browser() as browser:
        for service in app.services:
            if service.kind in ("web", "static"):
                yield _door(service, addresses, browser)
    for store in app.stores:
        yield _store(app, store, addresses)
    yield _loopback(workspace, status)


def _walked(app: App, addresses: Local) -> list[Check]:
    with Browser() as browser:
        return list(_job(app, addresses, browser))


def _processes(app: App, status: tuple[InstanceStatus, ...]) -> Iterator[Check]:
    """One check for each thing that should run: the wanted number of copies, all ready."""
    wanted = [(store.name, 1) for store in app.stores] + [(DOOR, 1)]
    wanted += [(one.name, one.replicas) for one in app.services if one.kind not in ("static", "task")]
    for name, copies in wanted:
        ready = [one for one in status if one.service == name and one.state == "ready"]
        ill = next((one for one in status if one.service == name and one.state != "ready"), None)
        pids = ", ".join(str(one.pid) for one in ready)
        if len(ready) == copies and ill is None:
            yield Check(f"{name} is alive", ok=True, saw=f"{copies} ready (pid {pids})")
            continue
        why = f"; {ill.name} is {ill.state}{f': {ill.verdict}' if ill.verdict else ''}" if ill else ""
        saw = f"{len(ready)} of {copies} ready{why}"
        yield Check(f"{name} is alive", ok=False, saw=saw, hint=f"towline logs {name}")


def _store(app: App, store: Store, addresses: Local) -> Check:
    name = f"{store.name} lets the app in"
    values = {attribute: addresses.value(store.name, attribute) for attribute in STORE_REFERENCES[store.kind]}
    bound = sorted({one.service for one in app.bindings if one.of == store.name})
    try:
        saw = connect(store.kind, values, use=store.use)
    except CheckFailed as error:
        return Check(name, ok=False, saw=error.sentence, hint=f"towline logs {store.name}")
    return Check(name, ok=True, saw=f"{saw}; bound by {', '.join(bound) or 'nobody'}")


def _variables(
    workspace: Workspace, service: Service, addresses: Local, status: tuple[InstanceStatus, ...]
) -> Check | None:
    """Whether each running process really has the values of its bindings; None where there is nothing to compare."""
    bindings = workspace.app.bindings_of(service.name)
    running = [one for one in status if one.service == service.name and one.pid is not None]
    seen = [found for one in running if (found := workspace.site.environment(one.name)) is not None]
    if not bindings or not seen:
        return None
    wrong = sorted(
        {
            one.variable
            for one in bindings
            for has in seen
            if not _same(has.get(one.variable), addresses.value(one.of, one.attribute))
        }
    )
    name = f"{service.name} has what is bound"
    if wrong:
        saw = f"missing or different: {', '.join(wrong)}"
        return Check(name, ok=False, saw=saw, hint="towline up")
    return Check(name, ok=True, saw=f"{len(bindings)} variables as bound")


def _same(has: Secret | None, wanted: Secret) -> bool:
    return has is not None and has == wanted


def _door(service: Service, addresses: Local, browser: Browser) -> Check:
    url = addresses.public_url(service.hostname) + (service.health.path or "/")
    name = f"{service.name} answers at the front door"
    try:
        response = browser.ask("GET", url)
    except httpx.HTTPError as error:
        return Check(name, ok=False, saw=f"{url} got no answer: {type(error).__name__}", hint="towline status")
    good = response.status_code < httpx.codes.BAD_REQUEST if service.health.path else not response.is_server_error
    saw = f"{url} answered {response.status_code}"
    return Check(name, ok=good, saw=saw, hint=None if good else f"towline logs {service.name}")


def _job(app: App, addresses: Local, browser: Browser) -> Iterator[Check]:
    job = app.job
    if job is None:
        return
    base = addresses.public_url(app.service(job.service).hostname)
    told = app.service(job.service).environment
    yield from walked(job, base, browser, lambda: None if job.bearer is None else told.get(job.bearer))


def _loopback(workspace: Workspace, status: tuple[InstanceStatus, ...]) -> Check:
    """No store may listen where another machine could reach it."""
    stores = {store.name for store in workspace.app.stores} | {DOOR}
    open_ones, count = [], 0
    for one in status:
        if one.service not in stores or one.pid is None:
            continue
        for address, port in workspace.site.listeners(one.name):
            count += 1
            if not ipaddress.ip_address(address).is_loopback:
                open_ones.append(f"{one.name} on {address}:{port}")
    name = "no store is open beyond this machine"
    if open_ones:
        return Check(name, ok=False, saw=", ".join(open_ones), hint="towline down && towline up")
    return Check(name, ok=count > 0, saw=f"{count} listening sockets, all on loopback")
