"""What an app that runs under Compose gives to a target: which containers end, which data is taken over, and how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Where
from towline.release.stages import Draft
from towline.steps.adopt import OtherMount, StopOthers, TakeData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from towline.artifacts.model import SiteBundle, StoreArtifact
    from towline.spec.model import App
    from towline.steps.adopt import OtherContainer
    from towline.steps.container import Container, Mount
    from towline.steps.model import Plan

CODES: dict[str, tuple[str, str]] = {
    "adopt-other-image": ("error", "The data was written by another image than the one that would open it."),
    "adopt-no-volume": ("error", "The data does not lie where its image keeps it."),
    "adopt-port-taken": ("error", "A container that is not taken over has port 80 or 443 of the machine."),
}
"""What is found about an app that is taken over, with its level and its meaning; printed as part of the reference."""

WEB = frozenset({80, 443})


@dataclass(frozen=True)
class Taken:
    """One place of data: whose it is, where it lies now, and the step that takes it, None where nothing is taken."""

    owner: str
    source: str
    size: int
    step: TakeData | None
    why: str = ""


@dataclass(frozen=True)
class Adoption:
    """What is to be taken over. `stops` are names of containers in the order in which they end."""

    project: str
    stops: tuple[str, ...]
    taken: tuple[Taken, ...]

    @property
    def size(self) -> int:
        """Bytes that are copied."""
        return sum(one.size for one in self.taken if one.step is not None)


def adoption(
    app: App, wanted: SiteBundle, others: Sequence[OtherContainer], project: str, left: frozenset[str]
) -> Adoption:
    """What the containers of `project` give to a site; the data of those named in `left` stays where it is.

    Raises Findings with everything that cannot be taken as it is, and with whoever else has the ports of the web.
    """
    ours = [one for one in others if one.project == project]
    survey = _Survey({one.service: one for one in ours}, left, [])
    taken = [*_of_stores(app, wanted, survey), *_of_services(app, wanted, survey)]
    findings = survey.findings
    findings += [_in_the_way(one) for one in others if one.project != project and one.state == "running"
                 and WEB & set(one.ports)]  # fmt: skip
    if findings:
        raise Findings(tuple(findings))
    stores = {store.service for store in app.stores} | {one.name for one in app.services if one.kind == "stateful"}
    # What keeps data ends last: nobody writes to it any more.
    ordered = sorted(ours, key=lambda one: (one.service in stores, one.name))
    return Adoption(project, tuple(one.name for one in ordered), tuple(taken))


def with_adoption(plan: Plan, site: str, found: Adoption) -> Plan:
    """The plan with what comes first: the containers end, and their data is copied."""
    draft = Draft()
    draft.add("stop what ran before", {site: (StopOthers(found.project, found.stops),)})
    draft.add("take its data", {site: tuple(one.step for one in found.taken if one.step is not None)})
    for stage in plan.stages:
        draft.add(stage.name, {batch.site: batch.steps for batch in stage.batches})
    note = f"{found.project} pauses from the first step to the last: it is stopped, its data copied, then this starts"
    back = f"way back: `towline rollback -t {plan.target}` starts {found.project} again, as it was when it was stopped"
    return replace(plan, stages=draft.stages(), notes=(note, back, *plan.notes))


def _of_stores(app: App, wanted: SiteBundle, survey: _Survey) -> Iterator[Taken]:
    services = {store.name: store.service for store in app.stores}
    for store in wanted.stores:
        name, init, container = store.server.service, store.init, store.server.container
        mount = _data_mount(store)
        if mount is None or container is None:
            yield Taken(name, "", 0, None, "a cache keeps nothing")
            continue
        step = TakeData("", mount.source, init.store, init.store_kind, init.major)
        if init.store_kind == "redis":
            step = replace(step, image=container.image, server=_server(container.image))
        yield from survey.taken(name, services.get(name) or "", (container, mount), step, keeps=True)


def _of_services(app: App, wanted: SiteBundle, survey: _Survey) -> Iterator[Taken]:
    stateful = {one.name for one in app.services if one.kind == "stateful"}
    for service in wanted.services:
        container = service.instances[0].container if service.instances else None
        for mount in container.mounts if container is not None else ():
            if container is not None and mount.kind == "volume":
                step, keeps = TakeData("", mount.source), service.name in stateful
                yield from survey.taken(service.name, service.name, (container, mount), step, keeps=keeps)


@dataclass(frozen=True)
class _Survey:
    """The containers of the project by service, what is left behind, and what cannot be taken."""

    known: Mapping[str, OtherContainer]
    left: frozenset[str]
    findings: list[Finding]

    def taken(
        self, owner: str, service: str, place: tuple[Container, Mount], step: TakeData, *, keeps: bool
    ) -> Iterator[Taken]:
        """What becomes of one place of data; `keeps` says that another image must not open it."""
        container, mount = place
        before = self.known.get(service)
        source = _source(before, mount.target) if before is not None else None
        if before is None or owner in self.left:
            why = "left behind, as you said" if before is not None else "nothing of it runs there"
            yield Taken(owner, "", 0, None, f"{why}: it begins empty")
        elif keeps and plain_name(before.image) != plain_name(container.image):
            hint = f"write `image: {before.image}` in the Compose file, or: towline adopt TARGET --leave {owner}"
            sentence = f"the data of `{owner}` was written by {before.image}, and {container.image} would open it"
            self.findings.append(Finding("adopt-other-image", sentence, Where(before.name), hint))
        elif keeps and source is None:
            sentence = f"`{owner}` has nothing mounted at {mount.target}, where {container.image} keeps its data"
            hint = f"move its data there first, or: towline adopt TARGET --leave {owner}"
            self.findings.append(Finding("adopt-no-volume", sentence, Where(before.name), hint))
        elif source is None:
            yield Taken(owner, "", 0, None, f"nothing is mounted at {mount.target}: it begins empty")
        else:
            yield Taken(owner, source.name or source.source, source.size, replace(step, source=source.source))


def _data_mount(store: StoreArtifact) -> Mount | None:
    container = store.server.container
    mounts = [one for one in container.mounts if one.kind == "volume"] if container is not None else []
    return mounts[0] if mounts else None


def _source(before: OtherContainer, target: str) -> OtherMount | None:
    return next((one for one in before.mounts if one.target == target and one.kind in ("volume", "bind")), None)


def _server(image: str) -> str:
    return "valkey-server" if "valkey" in image else "redis-server"


def plain_name(image: str) -> str:
    """The name of an image without the parts that Docker Hub adds."""
    return image.removeprefix("docker.io/").removeprefix("library/")


def _in_the_way(one: OtherContainer) -> Finding:
    ports = " and ".join(str(port) for port in one.ports if port in WEB)
    sentence = f"the container `{one.name}` has port {ports} of this machine, and is not part of what is taken over"
    return Finding("adopt-port-taken", sentence, Where(one.name), f"docker stop {one.name}")


def projects(others: Iterable[OtherContainer]) -> dict[str, frozenset[str]]:
    """The services of each Compose project among some containers."""
    found: dict[str, set[str]] = {}
    for one in others:
        if one.project:
            found.setdefault(one.project, set()).add(one.service)
    return {name: frozenset(found[name]) for name in sorted(found)}
