"""The target: whether everything has a place, and whether the place can hold it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.checks.view import KIND, warning
from towline.spec.nearest import did_you_mean, listed, shown
from towline.spec.resolve import known_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View
    from towline.spec.container import Mount
    from towline.spec.model import Service
    from towline.spec.page import TargetEntry

_SYSTEM = ("/bin/", "/sbin/", "/usr/", "/opt/", "/tmp/", "/dev/", "/proc/")  # noqa: S108 - a prefix, no file


def check(view: View) -> Iterator[Finding]:
    """Everything about the places, and what a laptop will do otherwise than a container."""
    known = known_targets(view.page)
    if view.target.name not in known:
        sentence = f"There is no target {shown(view.target.name)}{did_you_mean(view.target.name, known)}"
        yield Finding("unknown-target", sentence, view.at("targets"), f"one of {listed(known)}")
        return
    for name, entry in view.page.targets.items():
        yield from _sites(view, name, entry)
    if view.read.stands("targets", view.target.name):
        yield from _placed(view)
    for service in view.local_services():
        yield from _without_container(view, service)


def _sites(view: View, target: str, entry: TargetEntry) -> Iterator[Finding]:
    laptop = target == "laptop" or entry.shape == "laptop"
    for number, (name, site) in enumerate(entry.sites.items()):
        where = view.at("targets", target, "sites", name)
        if laptop and (site.kind != "local" or number):
            sentence = f"`{target}` is a laptop: it has one site, of kind `local`; `{name}` is one more or another"
            yield Finding("laptop-site", sentence, where, "give the target another shape, or drop the site")
        if site.kind == "local":
            yield from _local_options(view, target, name, site.options)


def _local_options(view: View, target: str, site: str, options: dict[str, str]) -> Iterator[Finding]:
    for option, written in options.items():
        where = view.at("targets", target, "sites", site, option)
        if option != "port":
            sentence = f"Unknown key {shown(option)} of a site of kind `local`{did_you_mean(option, ['port', 'kind'])}"
            yield Finding("unknown-key", sentence, where, "possible here: `kind` or `port`")
        elif not (written.isascii() and written.isdigit() and 0 < int(written[:6]) < 65536):
            sentence = "`port` of the front door: a whole number from 1 to 65535 is wanted"
            yield Finding("wrong-value", sentence, where, "write for example `port: 7080`")


def _placed(view: View) -> Iterator[Finding]:
    stores = {store.name: store for store in view.app.stores}
    path = ("targets", view.target.name, "place")
    for name, sites in view.target.place.items():
        where = view.at(*path, name)
        if not sites:
            sentence = f"`{view.target.name}` has no place for `{name}`"
            yield Finding("unplaced", sentence, view.at(*path), f'add `{name}: SITE` or `"*": SITE`')
        if name in stores and len(sites) > 1:
            sentence = f"The store `{name}` cannot be on several sites"
            yield Finding("store-spread", sentence, where, f"write one of {listed(sites)}")
        if name in stores and stores[name].kind == "sqs" and view.on_local(name):
            sentence = f"`{name}` is sqs, a service of AWS: a laptop has none"
            hint = "use a redis with `use: queue` here, or place it on a site of kind `sqs`"
            yield Finding("sqs-on-local", sentence, where if view.page.targets else view.at("stores", name), hint)
    for service in view.app.services:
        spread = len(view.target.place.get(service.name, ())) > 1
        if service.single and spread:
            sentence = f"`{service.name}` is `single`, so it cannot be on several sites"
            yield Finding("single-scaled", sentence, view.at(*path, service.name), "write one of its sites")
        elif service.kind == "stateful" and spread and view.sure(service.name, *KIND):
            sentence = f"`{service.name}` keeps its data in one place, so it cannot be on several sites"
            yield Finding("store-spread", sentence, view.at(*path, service.name), "write one of its sites")


def _without_container(view: View, service: Service) -> Iterator[Finding]:
    """What the Compose file promises the service and a process outside of containers does not get."""
    container = view.compose.container(service.name)
    if container is None or service.kind == "static":
        return
    where = view.compose.where("services", service.name)
    if container.beyond:
        sentence = (
            f"{listed(container.beyond, 'and')} of `{service.name}` is for containers: on a laptop it does nothing"
        )
        yield warning(
            "container-only", sentence, view.compose.where("services", service.name, container.beyond[0]), None
        )
    targets = [mount.target for mount in container.mounts if mount.kind != "tmpfs" and not _is_code(mount, service)]
    if targets:
        sentence = f"`{service.name}` will not find {listed(targets, 'and')}: a laptop has the real folders, no mounts"
        hint = "let it take the folder from a variable, or keep files in a bucket"
        yield warning("volume-path", sentence, view.compose.where("services", service.name, "volumes"), hint)
    variables, in_command = _inside_paths(view, service, targets)
    if variables:
        sentence = f"{listed(variables, 'and')} of `{service.name}` holds a folder that only its container has"
        yield warning(
            "container-path", sentence, view.compose.where_variable(service.name, variables[0]), "use a relative path"
        )
    if in_command:
        sentence = f"The command of `{service.name}` names a path that only its container has"
        yield warning("container-path", sentence, where, f"services: {{{service.name}: {{run: ...}}}}")


def _is_code(mount: Mount, service: Service) -> bool:
    """A mount of the service's own source, for work in a container: on a laptop it runs in that folder anyway."""
    return mount.kind == "bind" and service.context is not None and Path(mount.source).is_relative_to(service.context)


def _inside_paths(view: View, service: Service, targets: list[str]) -> tuple[list[str], bool]:
    """Variables whose value, and whether a word of the command, lies in the image's own folders."""
    container = view.compose.container(service.name)
    written = (container.working_dir if container else None, view.ground_of(service.name).recipe.workdir)
    roots = [one.rstrip("/") for one in (*written, *targets) if one and one.rstrip("/")]

    def inside(text: str) -> bool:
        return any(text == root or text.startswith(f"{root}/") for root in roots)

    variables = [name for name, secret in service.environment.items() if inside(secret.reveal())]
    command = service.command
    if command is None or command.source == "run:":
        return variables, False
    first = command.argv[0]
    absolute = first.startswith("/") and not first.startswith(_SYSTEM)
    return variables, absolute or any(inside(word) for word in command.argv)
