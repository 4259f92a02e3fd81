"""Which image each container of a target runs, and how it gets to its host: there, fetched, or built here and sent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from towline.artifacts.dockerfiles import files_at
from towline.artifacts.environment import as_contents
from towline.artifacts.host_bundle import site_bundle
from towline.artifacts.host_services import REGISTRY
from towline.artifacts.images import is_exact, lacking, name_of, pinned, repository
from towline.core.errors import Finding, Findings, StepFailed, Where
from towline.core.events import Progressed, StepBegan, StepDone
from towline.core.units import show_bytes
from towline.ops.folders import packed, places
from towline.ops.image_arguments import arguments_of
from towline.ops.image_builds import Order
from towline.ops.image_contexts import packed_context, part_name
from towline.ops.registry_logins import Logins
from towline.release.retained import clear_away
from towline.steps.images import BuildImage, FetchImage, LoadImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from towline.artifacts.containers import HostContainer
    from towline.artifacts.folders import Folder
    from towline.artifacts.host_bundle import Making
    from towline.artifacts.images import Pin
    from towline.artifacts.model import SiteBundle
    from towline.core.events import Listener
    from towline.core.secret import Secret
    from towline.ops.image_builds import Builder, Built
    from towline.ops.workspace import RemoteSite
    from towline.spec.container import Build
    from towline.spec.model import Service
    from towline.steps.folders import PlaceFolder
    from towline.steps.model import Facts, Plan


CODES: dict[str, tuple[str, str]] = {
    "image-unknown": ("error", "Neither the host nor the registry that it asks has an image of that name."),
    "image-no-context": ("error", "A service is built from something that is no folder here."),
    "image-no-dockerfile": ("error", "A service is built from a folder without a Dockerfile, and none was rendered."),
    "image-no-room": ("error", "The disk of a host has no room for the images that have to be sent to it."),
    "image-build-where": ("error", "A site says neither `here` nor `host` of where its images are built."),
}
"""What is found about images, with its level and its meaning; printed as part of the reference."""

_COPIES: Final = 2.5
"""How much room an image takes while it is loaded, in sizes of what has to be sent before it is packed."""

_LEAST_TO_BUILD: Final = 512 * 2**20
"""Bytes that a build on a host may use, however little is free there."""


@dataclass
class Chosen:
    """The images of one site, by container: those built for it, and what other names mean there exactly.

    `steps` bring what is not there, `notes` are what a person should know.
    """

    images: dict[str, str] = field(default_factory=dict)
    exact: dict[str, str] = field(default_factory=dict)
    steps: dict[str, LoadImage | FetchImage | BuildImage] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Images:
    """The images of one target. `renew`: ask the registries again for every tag, and build without a cache."""

    live: Mapping[str, RemoteSite]
    builder: Builder
    environ: Mapping[str, str]
    listener: Listener
    renew: bool = False
    _built: dict[str, Built] = field(default_factory=dict)
    _contexts: dict[str, Order] = field(default_factory=dict)
    _folders: dict[str, Folder] = field(default_factory=dict)
    _logins: Logins | None = None

    def choose(self, makings: Mapping[str, Making], seen: Mapping[str, Facts]) -> dict[str, Chosen]:
        """The images of every site; builds what no host has, and sends nothing.

        Raises Findings with every image that nobody knows, StepFailed for a build that fails.
        """
        wrong: list[Finding] = []
        found = {site: Chosen() for site in makings}
        self._logins = Logins(self.environ, next(iter(makings.values())).values)
        for site, making in makings.items():
            for one in making.layout.containers:
                if not _is_built(making, one) and not _borrows(making, one):
                    self._choose_named(making, one, seen[site], found[site], wrong)
        if wrong:
            raise Findings(tuple(dict.fromkeys(wrong)))
        self._choose_built(makings, seen, found)
        if short := tuple(finding for site, one in found.items() for finding in _no_room(one, seen[site])):
            raise Findings(short)
        return found

    def deliver(self, plan: Plan) -> None:
        """Send what the hosts lack of the images of a plan, and fetch what needs a login.

        Before any lock: it may take long, it changes nothing that runs, and the steps of the plan find it there.
        """
        for stage in plan.stages:
            for batch in stage.batches:
                for step in batch.steps:
                    if step.kind == "load-image" and step.image in self._built:
                        self._send(batch.site, step, self._built[step.image])
                    elif step.kind == "build-image" and step.image in self._contexts:
                        self._send_context(batch.site, step, self._contexts[step.image])
                    elif step.kind == "place-folder" and step.folder in self._folders:
                        self._send_folder(batch.site, step, self._folders[step.folder])
                    elif step.kind == "fetch-image" and (login := self._login(step.image)) is not None:
                        self.live[batch.site].fetch(step.image, login)

    def part(self, making: Making, chosen: Chosen, facts: Facts, keep: int) -> SiteBundle:
        """What should be on a host with the images chosen for it; `keep` releases can be gone back to."""
        making.images, making.exact = {**chosen.images, **making.images}, chosen.exact
        plain = site_bundle(making)
        placed = places(making, plain, facts)
        self._folders |= {step.folder: folder for step, folder in placed.items()}
        found = replace(plain, images=(*chosen.steps.values(), *placed), image_notes=_notes(making, chosen))
        past = self.live[making.site.name].past()
        return replace(found, clear_away=clear_away(past, found, keep, facts.images))

    def _choose_named(
        self, making: Making, one: HostContainer, facts: Facts, found: Chosen, wrong: list[Finding]
    ) -> None:
        reference = making.images.get(one.name) or making.text(one.image)
        there = pinned(reference, facts.images)
        if there is not None and not (self.renew and not is_exact(reference)):
            _run_as_there(found, one.name, reference, there)
            return
        try:
            exact = reference if is_exact(reference) else self._asked(facts.site, reference)
        except StepFailed as error:
            if there is not None:  # asked anew, and no registry has it
                _run_as_there(found, one.name, reference, there)
                return
            where = Where("compose.yaml")
            wrong.append(Finding("image-unknown", f"`{one.name}`: {error.sentence}", where, error.hint))
            return
        found.exact[one.name] = exact
        if pinned(exact, facts.images) is None:
            found.steps[exact] = FetchImage(exact)

    def _asked(self, site: str, reference: str) -> str:
        digest = self.live[site].digest_of(reference, self._login(reference))
        return f"{reference}@{digest}"

    def _login(self, image: str) -> Secret | None:
        return self._logins.login_of(image) if self._logins is not None else None

    def _choose_built(
        self, makings: Mapping[str, Making], seen: Mapping[str, Facts], found: Mapping[str, Chosen]
    ) -> None:
        salt = next(iter(seen.values())).salt.reveal().encode()
        for order, sites in _orders(makings, seen):
            source = order.source(salt)
            for site in (one for one in sites if _builds(makings[one])):
                self._to_build(order, source, makings[site], seen[site], found[site])
            here = [one for one in sites if not _builds(makings[one])]
            name = _there(order, source, [seen[site] for site in here]) if here and not self.renew else None
            built = self.builder.build(order, source, anew=self.renew) if here and name is None else None
            for site in here:
                found[site].images[order.service] = name or (built.name if built else "")
                if built is not None and pinned(built.name, seen[site].images) is None:
                    found[site].steps[built.name] = self._to_load(site, built)

    def _to_build(self, order: Order, source: str, making: Making, facts: Facts, found: Chosen) -> None:
        """A server that builds names the image after what it is made from, which is known before."""
        name = name_of(order.app, order.service, source)
        found.images[order.service] = name
        if pinned(name, facts.images) is not None:
            return
        self._contexts[name] = order
        found.steps[name] = BuildImage(
            image=name,
            context=part_name(source),
            labels=order.marked(source),
            memory=max(_LEAST_TO_BUILD, facts.room.memory_free // 2),
            stage=order.stage,
            args=making.stash(as_contents(dict(order.args))) if order.args else None,
        )

    def _to_load(self, site: str, built: Built) -> LoadImage:
        self._built[built.name] = built
        archive = self.builder.archive(built)
        missing = lacking(built.layers, self.live[site].image_parts())
        size = len(archive.config) + sum(archive.layers[layer][1] for layer in missing)
        return LoadImage(built.name, built.content, built.layers, size)

    def _send(self, site: str, step: LoadImage, built: Built) -> None:
        archive = self.builder.archive(built)
        layers = lacking(step.layers, self.live[site].image_parts())
        parts = {layer.removeprefix("sha256:"): archive.packed(layer) for layer in layers}
        self._take(site, f"send {step.image}", {**parts, f"{step.content}.json": [archive.config]})

    def _send_context(self, site: str, step: BuildImage, order: Order) -> None:
        if step.context not in self.live[site].image_parts().sent:
            self._take(site, f"send what {step.image} is built from", {step.context: packed_context(order)})

    def _send_folder(self, site: str, step: PlaceFolder, folder: Folder) -> None:
        if step.part not in self.live[site].image_parts().sent:
            self._take(site, f"send {step.source}", {step.part: packed(folder)})

    def _take(self, site: str, title: str, parts: Mapping[str, Iterable[bytes]]) -> None:
        started, sent = time.monotonic(), 0
        self.listener(StepBegan(site, title))

        def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal sent
            for chunk in chunks:
                yield chunk
                sent += len(chunk)
                self.listener(Progressed(site, title, show_bytes(sent)))

        for name, chunks in parts.items():
            self.live[site].take_part(name, counted(chunks))
        self.listener(StepDone(site, title, already=False, seconds=time.monotonic() - started, saw=show_bytes(sent)))


def _notes(making: Making, chosen: Chosen) -> dict[str, str]:
    """What a person should know of the containers that start, by service: of their images, and of their rights."""
    notes = dict(chosen.notes)
    for service in making.material.placement.services_on(making.site):
        written = making.material.containers.get(service.name)
        if written is not None and written.rights:
            told = f"`{service.name}` may do more than others, as compose.yaml asks: {', '.join(written.rights)}"
            notes[service.name] = "; ".join((*((notes[service.name],) if service.name in notes else ()), told))
    return notes


def _run_as_there(found: Chosen, container: str, reference: str, pin: Pin) -> None:
    found.exact[container] = pin.image
    if not pin.known:
        short = pin.image.removeprefix("sha256:")[:12]
        found.notes[container] = f"`{container}` runs {reference} as it is there ({short}): no registry knows it"


def _no_room(found: Chosen, facts: Facts) -> Iterator[Finding]:
    """An image lies there packed, in the archive that is loaded, and unpacked, all at once."""
    size = round(_COPIES * sum(step.size for step in found.steps.values() if step.kind == "load-image"))
    if size > facts.room.disk_free:
        sentence = f"the images need up to {show_bytes(size)}, and {show_bytes(facts.room.disk_free)} are free"
        yield Finding(
            "image-no-room", sentence, Where(facts.site), "keep: 2   (fewer releases to go back to); df -h, there"
        )


def _builds(making: Making) -> bool:
    """Whether the host builds its images itself."""
    return making.site.options.get("build") == "host"


def _is_built(making: Making, one: HostContainer) -> bool:
    """Whether its image is built here: it has a context, and nobody says which registry has the outcome."""
    service = _service_of(making, one)
    told = service is not None and service.name in making.images
    return service is not None and not told and REGISTRY in one.image and REGISTRY.name not in making.values


def _borrows(making: Making, one: HostContainer) -> bool:
    """Whether it runs the image of a service that has another container: the release command does."""
    service = _service_of(making, one)
    return service is not None and service.name != one.name


def _service_of(making: Making, one: HostContainer) -> Service | None:
    """The service whose image a container runs; None for a store or the door."""
    release = making.material.app.release
    name = release.service if release is not None and one.name == "release" else one.name
    return next((service for service in making.material.app.services if service.name == name), None)


def _orders(makings: Mapping[str, Making], seen: Mapping[str, Facts]) -> tuple[tuple[Order, tuple[str, ...]], ...]:
    """What is to be built, each with the sites that run it: once for each kind of processor."""
    wrong: list[Finding] = []
    found: dict[tuple[str, str], tuple[Order, list[str]]] = {}
    for site, making in makings.items():
        wrong += _wrong_option(making)
        for one in making.layout.containers:
            service = _service_of(making, one)
            if service is None or service.name != one.name or not _is_built(making, one):
                continue
            key = (service.name, seen[site].architecture)
            if key not in found:
                order = _order(making, service, seen[site].architecture)
                if isinstance(order, Finding):
                    wrong.append(order)
                    continue
                found[key] = (order, [])
            found[key][1].append(site)
    if wrong:
        raise Findings(tuple(dict.fromkeys(wrong)))
    return tuple((order, tuple(sites)) for order, sites in found.values())


def _wrong_option(making: Making) -> tuple[Finding, ...]:
    told = making.site.options.get("build", "here")
    if told in ("here", "host"):
        return ()
    sentence = f"`build` of the site `{making.site.name}` is `here` or `host`: who makes the images"
    return (Finding("image-build-where", sentence, Where("towline.yaml"), "build: host"),)


def _order(making: Making, service: Service, architecture: str) -> Order | Finding:
    material = making.material
    written = material.containers.get(service.name)
    build = written.build if written is not None else None
    if build is None or build.context is None or build.inline is not None:
        hint = "build: a folder with a Dockerfile; or image: NAME@sha256:..."
        return Finding("image-no-context", f"`{service.name}` is built from no folder here", _where(service), hint)
    rendered = material.app.root / files_at(material) / "dockerfiles" / f"{service.name}.Dockerfile"
    dockerfile = _dockerfile(build, service)
    if dockerfile is None and not rendered.is_file():
        sentence = f"`{service.name}` has no Dockerfile, so its image cannot be built"
        return Finding("image-no-dockerfile", sentence, _where(service), f"towline render {material.target.name}")
    return Order(
        app=material.app.name,
        service=service.name,
        context=build.context,
        dockerfile=dockerfile or rendered,
        architecture=architecture,
        stage=build.stage,
        args=arguments_of(making, service, build),
        labels=build.labels,
    )


def _dockerfile(build: Build, service: Service) -> Path | None:
    return service.dockerfile or (build.dockerfile if build.dockerfile and build.dockerfile.is_file() else None)


def _where(service: Service) -> Where:
    return Where("compose.yaml", service.line)


def _there(order: Order, source: str, seen: Iterable[Facts]) -> str | None:
    """The name under which every site has the outcome of that source already."""
    own = repository(name_of(order.app, order.service, ""))
    names: set[str] | None = None
    for facts in seen:
        here = {
            name
            for image in facts.images
            if image.labels.get("source") == source
            for name in image.names
            if repository(name) == own
        }
        names = here if names is None else names & here
    return min(names) if names else None
