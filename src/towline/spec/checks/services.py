"""Services: whether each can be built, started, reached and told from the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.checks.view import KIND, warning
from towline.spec.service import Parts, stop_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View
    from towline.spec.model import Service

_REACHED = ("web", "private")
_COMMAND = (*KIND, "run", "command", "entrypoint")
_INTERPOLATED = re.compile(r"(?<!\$)\$\{?(\w+)")
_SECRET_NAME = re.compile(r"PASS|TOKEN|SECRET|KEY|CREDENTIAL|DSN|DATABASE_URL|REDIS_URL", re.IGNORECASE)


def check(view: View) -> Iterator[Finding]:
    """Everything that one service lacks, then what two of them share."""
    for service in view.app.services:
        yield from _made_of(view, service)
        yield from _folder(view, service)
        yield from _start(view, service)
        yield from _reached(view, service)
        yield from _copies(view, service)
        yield from _end(view, service)
        yield from _told_on_the_command_line(view, service)
    yield from _twice(view)
    yield from _circle(view)
    yield from _release_and_verify(view)


def _made_of(view: View, service: Service) -> Iterator[Finding]:
    container = view.compose.container(service.name)
    build, ground = (container.build if container else None), view.ground_of(service.name)
    if build is None or not view.sure(service.name, "build"):
        return
    where = view.compose.where("services", service.name, "build", "context")
    if not ground.context_exists:
        there = "is not a folder on this machine" if build.context is None else "does not exist"
        sentence = f"The build context of `{service.name}` {there}"
        yield Finding("no-context", sentence, where, "correct `build:`; it is relative to the Compose file")
    elif not ground.dockerfile_exists and view.sure(service.name, *_COMMAND) and _needs_dockerfile(view, service):
        sentence = f"`{service.name}` has no Dockerfile in its build context, and no `run:`"
        hint = f"services: {{{service.name}: {{run: ...}}}}, or write the Dockerfile"
        yield Finding("no-dockerfile", sentence, where, hint)


def _folder(view: View, service: Service) -> Iterator[Finding]:
    """The folder of `cwd:`, in the build context, or beside the Compose file of what is not built."""
    container, ground = view.compose.container(service.name), view.ground_of(service.name)
    if view.entry(service.name).cwd is None or ground.folder == "there" or not view.sure(service.name, "build", "cwd"):
        return
    around = "its build context" if container and container.build else "the folder of the Compose file"
    if ground.folder == "absent":
        sentence = f"The folder in which `{service.name}` would start does not exist in {around}"
    else:
        sentence = f"The folder in which `{service.name}` would start is a link that leads out of {around}"
    where = view.at("services", service.name, "cwd")
    yield Finding("no-folder", sentence, where, f"correct `cwd`; it is relative to {around}")


def _needs_dockerfile(view: View, service: Service) -> bool:
    """On a laptop a command is enough, wherever it is written; static files need neither."""
    enough = service.command is not None and view.on_local(service.name)
    return view.entry(service.name).run is None and service.kind != "static" and not enough


def _start(view: View, service: Service) -> Iterator[Finding]:
    if service.kind == "static" or view.entry(service.name).run is not None or not view.sure(service.name, *_COMMAND):
        return
    container = view.compose.container(service.name)
    built = container is not None and container.build is not None
    local = view.on_local(service.name)
    if not built and local:
        sentence = (
            f"`{service.name}` is only an image, `{service.image}`; on a laptop there are no containers to run it in"
        )
        hint = f"services: {{{service.name}: {{run: ...}}}} with a program that is installed, or {{omit: true}}"
        yield Finding("no-local-server", sentence, view.at_service(service.name), hint)
    elif built and service.command is None and local and view.ground_of(service.name).dockerfile_exists:
        base = view.ground_of(service.name).recipe.base
        of = f"; that of its base image `{base}` is not known here" if base else ""
        sentence = f"Nothing says how `{service.name}` starts: no `command:`, no CMD in its Dockerfile{of}"
        hint = f"services: {{{service.name}: {{run: ...}}}}"
        yield Finding("no-command", sentence, view.at_service(service.name), hint)


def _reached(view: View, service: Service) -> Iterator[Finding]:
    entry, where = view.entry(service.name), view.at_service(service.name)
    told = view.sure(service.name, *KIND, "port", "environment")
    if service.kind in _REACHED and service.port is None and told:
        sentence = f"`{service.name}` takes requests ({service.kind}), but nothing says on which port"
        hint = f"services: {{{service.name}: {{port: 8000}}}}, or `ports:` in the Compose file"
        yield Finding("no-port", sentence, where, hint)
    if service.kind == "static" and service.output is None and view.sure(service.name, "kind", "output"):
        sentence = f"`{service.name}` is static, but nothing says in which folder its files are"
        hint = f"services: {{{service.name}: {{output: dist}}}}"
        yield Finding("no-output", sentence, where, hint)
    kind_told = view.sure(service.name, *KIND)
    if entry.ready.path is not None and service.kind in {"worker", "task", "static"} and kind_told:
        sentence = f"`{service.name}` is a {service.kind}: nobody can ask it for a path"
        at = view.at("services", service.name, "ready")
        yield Finding("ready-without-port", sentence, at, "drop `ready`, or correct its `kind`")


def _copies(view: View, service: Service) -> Iterator[Finding]:
    scale, where = view.entry(service.name).scale, view.at("services", service.name, "scale")
    container = view.compose.container(service.name)
    most = max(scale.min or 0, scale.max or 0, (container.replicas or 0) if container and scale.min is None else 0)
    if service.single and most > 1 and view.sure(service.name, "single", "scale"):
        sentence = f"`{service.name}` is `single`, so there cannot be {most} of it"
        yield Finding("single-scaled", sentence, where, "drop `single` or the scale")
    if scale.max is not None and scale.max < (scale.min or 0):
        sentence = f"`{service.name}` cannot have at least {scale.min} copies and at most {scale.max}"
        yield Finding("wrong-value", sentence, where, f"write `max: {scale.min}`")


def _end(view: View, service: Service) -> Iterator[Finding]:
    container = view.compose.container(service.name)
    if container is None:
        return
    parts = Parts(container, view.entry(service.name), view.ground_of(service.name), ends=False, root=view.app.root)
    if stop_signal(parts) is None:
        where = view.compose.where("services", service.name, "stop_signal")
        sentence = f"`{service.name}` asks for a stop signal other than TERM, INT or QUIT; it will get TERM"
        yield warning("stop-signal", sentence, where, "write `stop_signal: SIGTERM`")


def _told_on_the_command_line(view: View, service: Service) -> Iterator[Finding]:
    """A secret that Compose puts into a command would stand in every plan, journal and list of processes."""
    if view.entry(service.name).run is not None or not view.sure(service.name, "run"):
        return
    for key in ("command", "entrypoint"):
        for source in view.compose.sources:
            written = str(source.at("services", service.name, key) or "")
            name = next((match[1] for match in _INTERPOLATED.finditer(written) if _SECRET_NAME.search(match[1])), None)
            if name is not None:
                sentence = f"The {key} of `{service.name}` holds the value of `{name}`, for everybody to see"
                where = source.where("services", service.name, key)
                hint = f"put `{name}` into its `environment:` and write `$${name}` here, in a line for `sh -c`"
                yield Finding("secret-in-command", sentence, where, hint)


def _twice(view: View) -> Iterator[Finding]:
    """Two things under one host."""
    hosts: dict[str, str] = {store.name: store.name for store in view.app.stores if store.kind == "bucket"}
    domains: dict[str, str] = {}
    for service in view.app.services:
        if service.kind in {"web", "static"}:
            other = hosts.setdefault(service.hostname, service.name)
            if other != service.name:
                sentence = f"`{service.name}` and `{other}` have the same hostname, `{service.hostname}`"
                hint = f"services: {{{service.name}: {{hostname: ...}}}}"
                yield Finding("hostname-twice", sentence, view.at_service(service.name, "hostname"), hint)
        if service.domain and domains.setdefault(service.domain, service.name) != service.name:
            sentence = f"`{service.name}` and `{domains[service.domain]}` have the same domain, `{service.domain}`"
            where = view.at("services", service.name, "domain")
            yield Finding("domain-twice", sentence, where, "give one of them another domain")


def _circle(view: View) -> Iterator[Finding]:
    """Services that wait for each other, each circle told once."""
    after = {service.name: service.after for service in view.app.services}
    told: set[frozenset[str]] = set()
    for name in after:
        circle = _way_back(name, after)
        if circle and frozenset(circle) not in told:
            told.add(frozenset(circle))
            sentence = f"Services wait for each other: {' after '.join(f'`{one}`' for one in (*circle, name))}"
            yield Finding("circular-after", sentence, view.at_service(name, "after"), "drop one `after`")


def _way_back(start: str, after: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest way from a service over what it waits for back to itself; empty when there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for name in after.get(way[-1], ()):
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()


def _release_and_verify(view: View) -> Iterator[Finding]:
    job = view.app.job
    kinds = {service.name: service.kind for service in view.app.services}
    for key, command in (("release", view.app.release), ("seed", view.app.seed)):
        in_told = view.read.stands(key, "in") and command is not None and view.sure(command.service, *KIND)
        if command is not None and kinds.get(command.service) == "static" and in_told:
            sentence = f"The {key} command would run in `{command.service}`, which is static: no code of it runs"
            yield Finding("release-in-static", sentence, view.at(key, "in"), "name a service that runs code")
    to_told = view.read.stands("verify", "job", "service") and job is not None and view.sure(job.service, *KIND)
    if job is not None and kinds.get(job.service, "web") != "web" and to_told:
        sentence = f"`{job.service}` is a {kinds[job.service]}: a job cannot be sent to it from outside"
        yield Finding("job-not-web", sentence, view.at("verify", "job", "service"), "name a web service")
    if job is not None and job.file is not None and job.file[1] in view.absent:
        sentence = "The file that `verify` sends does not exist"
        where = view.at("verify", "job", "file", "path")
        yield Finding("no-verify-file", sentence, where, "correct `path`; it is relative to the Compose file")
    yield from _verify_token(view)


def _verify_token(view: View) -> Iterator[Finding]:
    job = view.app.job
    if job is None or job.bearer is None or not view.read.stands("verify", "job", "service"):
        return
    service = next((one for one in view.app.services if one.name == job.service), None)
    value = None if service is None else service.environment.get(job.bearer)
    if service is None or (value is not None and value.reveal()):
        return
    sentence = f"`verify` sends `{job.bearer}` as its token, and `{job.service}` has no value for it"
    hint = f"give `{job.service}` a value for `{job.bearer}` in the Compose file"
    yield Finding("no-verify-token", sentence, view.at("verify", "job", "bearer"), hint)
