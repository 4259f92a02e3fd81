"""What each service of the Compose file is to the app: a store, left out, or a service of some kind, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.spec.detect import image_name, is_stateful, one_shots, store_kind
from towline.spec.guess.commands import named_single, named_worker
from towline.spec.guess.images import is_bucket_maker, left_out, short
from towline.spec.guess.sites import Front, Site, fronted, serves, site_of
from towline.spec.guess.written import labels, opened

if TYPE_CHECKING:
    from towline.spec.container import Container
    from towline.spec.guess.model import Confidence
    from towline.spec.guess.scene import Scene
    from towline.spec.model import ServiceKind, StoreKind

_DEBUGGERS = frozenset({9229, 9230, 5678, 5005, 35729, 24678, 40000, 2345})
_MAKES_BUCKETS = re.compile(r"\bmc\s+(?:\S+\s+)*?mb\b|\bs3\s+mb\b|\bs3api\s+create-bucket\b|\bcreate-?buckets?\b")
_ENDS = re.compile(r"(?:^|[-_.])(?:migrat\w*|migrations?|seed\w*|init\w*|setup|bootstrap|createbuckets?)(?:$|[-_.\d])")


@dataclass(frozen=True)
class Role:
    """What a service is. `store` is set for a store; `domain` and `port` are what a proxy of the Compose file tells.

    `once` is why there must never be two of it. `http` is False where its proxy speaks another protocol to it.
    """

    container: Container
    kind: ServiceKind | Literal["store", "omit"]
    reason: str
    confidence: Confidence = "likely"
    store: StoreKind | None = None
    site: Site | None = None
    port: int | None = None
    domain: str | None = None
    once: str | None = None
    http: bool = True

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.container.name

    @property
    def runs(self) -> bool:
        """Whether code of the user runs in it."""
        return self.kind in {"web", "private", "worker", "task"}


def roles(scene: Scene) -> tuple[Role, ...]:
    """The role of every service, in the order of the file."""
    fronts = fronted(scene)
    ended = one_shots(scene.compose)
    return tuple(
        _store(scene, one)
        or _not_of_the_app(scene, one)
        or _of_files(scene, one)
        or _that_runs(scene, one, ended, fronts)
        for one in scene.containers
    )


def _store(scene: Scene, container: Container) -> Role | None:
    image = scene.below(container)
    kind = store_kind(image)
    if kind is None:
        return None
    reason = f"image {short(image.image)}"
    if container.build is None:
        return Role(container, "store", reason, "sure", store=kind)
    return Role(container, "store", f"built on {short(image.image)}; Towline runs it plain", "unsure", store=kind)


def _not_of_the_app(scene: Scene, container: Container) -> Role | None:
    """Makers of buckets, which Towline makes itself, and tools around the app."""
    if is_bucket_maker(container) or _MAKES_BUCKETS.search(scene.line(container).text):
        return Role(container, "omit", "makes a bucket; Towline makes it", "likely")
    image = scene.below(container)
    why = left_out(image)
    return None if why is None else Role(container, "omit", f"{short(image.image)}: {why}", "likely")


def _of_files(scene: Scene, container: Container) -> Role | None:
    """Web servers: a site, or a proxy before the others."""
    site = site_of(scene, container)
    if site is not None:
        return Role(container, "static", site.reason, site.confidence, site=site)
    passes = any(front.proxy == container.name for front in fronted(scene).values())
    if passes:
        return Role(container, "omit", "a proxy before the others; Towline brings a front door of its own")
    if serves(scene, container):
        return Role(container, "web", "a web server whose files are not told", "unsure")
    return None


def _that_runs(scene: Scene, container: Container, ended: frozenset[str], fronts: dict[str, Front]) -> Role:
    role = _once_or_ending(scene, container, ended) or _stateful(scene, container)
    if role is not None:
        return role
    line = scene.line(container)
    once = line.single or (f"the name {container.name}" if named_single(container.name) else None)
    ports = tuple(port for port in (*container.ports,) if port not in _DEBUGGERS)
    works = line.worker
    asked_by_others = container.name in fronts or bool(scene.callers(container.name))
    if once and not (ports or container.expose or asked_by_others):
        return Role(container, "worker", "takes no requests", "likely", once=once)
    if works and (
        container.name not in fronts and (named_worker(container.name) or not ports or works != "its command")
    ):
        return Role(container, "worker", f"takes jobs, by {works}", "likely", once=once)
    if ports and not asked_by_others and named_worker(container.name) and not opened(scene.compose, container):
        reason = f"the name {container.name}; its port is for this machine alone"
        return Role(container, "worker", reason, "unsure", once=once)
    return _reached(scene, container, ports, fronts.get(container.name), once)


def _once_or_ending(scene: Scene, container: Container, ended: frozenset[str]) -> Role | None:
    if container.name in ended:
        awaited = any(other.needs.get(container.name) == "service_completed_successfully" for other in scene.containers)
        reason = "others wait until it has ended" if awaited else '`restart: "no"` and no port'
        return Role(container, "task", reason, "sure" if awaited else "likely")
    if not container.ports and _ENDS.search(container.name.lower()) and container.restart in {None, "on-failure"}:
        return Role(container, "task", "its name says that it runs to its end", "unsure")
    return None


def _stateful(scene: Scene, container: Container) -> Role | None:
    image = scene.below(container)
    if not is_stateful(image):
        return None
    return Role(container, "stateful", f"{short(image.image)} keeps data, and is no store of Towline", "sure")


def _reached(scene: Scene, container: Container, ports: tuple[int, ...], front: Front | None, once: str | None) -> Role:
    """Web, private or a worker, by who can reach it."""
    told = labels(scene.compose, container.name)
    routed = next((text for key, text in told.items() if key.startswith("traefik.http.routers.")), None)
    host, port = _domain(told), _label_port(told)
    if front is not None:
        reason = f"`{front.proxy}` passes requests to it"
        return Role(container, "web", reason, "likely", port=front.port, once=once, http=front.http)
    if routed is not None or host is not None:
        return Role(container, "web", "its labels route requests to it", "sure", port=port, domain=host, once=once)
    if "VIRTUAL_HOST" in container.environment:
        return Role(container, "web", "VIRTUAL_HOST routes requests to it", "likely", once=once)
    callers = scene.callers(container.name)
    by = ", ".join(dict.fromkeys(call.by for call in callers))
    if ports:
        also = f"; {by} calls it by name: if nobody else does, write private" if by else ""
        return Role(container, "web", f"publishes {ports[0]}{also}", "likely", once=once)
    if callers:
        return Role(container, "private", f"{by} calls it by name, and it publishes no port", "likely", once=once)
    return _not_called(scene, container, once)


def _not_called(scene: Scene, container: Container, once: str | None) -> Role:
    recipe = scene.folder(container.name).ground.recipe
    own = container.command is None and container.entrypoint is None
    line = scene.line(container)
    if container.expose or (own and recipe.ports):
        where = "`expose:`" if container.expose else "EXPOSE of its Dockerfile"
        return Role(container, "private", f"{where} without a published port", "likely", once=once)
    if not named_worker(container.name) and (line.port or line.usual_port):
        return Role(container, "private", "its command listens, and nothing publishes it", "unsure", once=once)
    if named_worker(container.name):
        return Role(container, "worker", f"the name {container.name}, and no port", "likely", once=once)
    return Role(container, "worker", "no port, and nobody calls it", "unsure", once=once)


def _domain(told: dict[str, str]) -> str | None:
    """The one host that a label of Traefik or of the Caddy proxy names."""
    rules = [text for key, text in told.items() if re.fullmatch(r"traefik\.http\.routers\..+\.rule", key)]
    hosts = [host for rule in rules for host in re.findall(r"Host\(\s*[`'\"]([^`'\"]+)[`'\"]", rule)]
    hosts += [told["caddy"]] if "caddy" in told else []
    good = [host for host in hosts if re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", host)]
    return good[0] if good and not good[0].endswith((".localhost", ".local", ".test")) else None


def _label_port(told: dict[str, str]) -> int | None:
    for key, text in told.items():
        if re.fullmatch(r"traefik\.http\.services\..+\.loadbalancer\.server\.port", key) and text.isdigit():
            return int(text[:6]) if 0 < int(text[:6]) < 65536 else None
        match = re.search(r"upstreams\s+(\d{2,5})", text) if key.startswith("caddy") else None
        if match and 0 < int(match[1]) < 65536:
            return int(match[1])
    return None


USUAL_PORTS = {
    "mysql": 3306,
    "mariadb": 3306,
    "percona": 3306,
    "mongo": 27017,
    "mongodb": 27017,
    "rabbitmq": 5672,
    "memcached": 11211,
    "elasticsearch": 9200,
    "opensearch": 9200,
    "clickhouse": 8123,
    "clickhouse-server": 8123,
    "nats": 4222,
    "kafka": 9092,
    "redpanda": 9092,
    "meilisearch": 7700,
    "typesense": 8108,
    "qdrant": 6333,
    "weaviate": 8080,
    "neo4j": 7687,
    "influxdb": 8086,
    "cassandra": 9042,
    "cockroach": 26257,
    "mssql-server": 1433,
    "etcd": 2379,
}
"""The port on which an image that keeps data listens when nobody says."""


def usual_port(scene: Scene, container: Container) -> int | None:
    """The port that an image is known for."""
    return USUAL_PORTS.get(image_name(scene.below(container).image))
