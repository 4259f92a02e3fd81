"""What every page of the docs asks of one target: where things are, how they are reached, what commands begin with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from towline.artifacts.blueprint_platform import platform_name
from towline.artifacts.cloud_init import server_of
from towline.artifacts.containers import Setting
from towline.artifacts.front_door import infix, routes
from towline.artifacts.host_layout import DOOR

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.artifacts.server_setup import Server
    from towline.spec.model import App, Service, Site, Store, Target

SITES = {
    "local": "this machine",
    "host": "a server of your own",
    "render": "Render",
    "vercel": "Vercel",
    "coolify": "a server with Coolify",
    "dokploy": "a server with Dokploy",
    "supabase": "Supabase",
    "neon": "Neon",
    "upstash": "Upstash",
    "s3": "an S3 provider",
    "sqs": "AWS SQS",
}
STORES = {"postgres": "PostgreSQL", "redis": "Redis", "bucket": "bucket", "sqs": "SQS queue"}
RUNS = ("web", "private", "worker", "stateful")
"""Kinds of services that are processes which stay."""


def mebibytes(count: int) -> str:
    """A limit as Compose files write it."""
    return f"{count // 2**20} MiB"


@dataclass(frozen=True)
class Guide:
    """One target's material with the questions that its docs ask."""

    material: Material

    @property
    def app(self) -> App:
        """The app."""
        return self.material.app

    @property
    def target(self) -> Target:
        """The target."""
        return self.material.target

    def sites(self, *kinds: str) -> tuple[Site, ...]:
        """The sites of these kinds, in the target's order."""
        return tuple(site for site in self.target.sites if site.kind in kinds)

    @property
    def hosts(self) -> tuple[Site, ...]:
        """The servers that the rendered Compose files are for."""
        return self.sites("host")

    def domains(self, site: Site) -> list[str]:
        """The names with https that have to lead to a server, those of its public buckets among them."""
        known = routes(self.material.placement, site, self.material.containers)
        return [one.domain for one in known if one.domain is not None]

    def site_of(self, name: str) -> Site:
        """The first site that a service or store is on."""
        first = self.target.place[name][0]
        return next(site for site in self.target.sites if site.name == first)

    def services(self, *kinds: str, site: Site | None = None) -> tuple[Service, ...]:
        """Services of these kinds, on one site where one is given."""
        here = self.app.services if site is None else self.material.placement.services_on(site)
        return tuple(one for one in here if one.kind in kinds)

    def asked(self, service: Service) -> str:
        """The address that says whether a web service or a page is well."""
        return f"{self.url(service)}{service.health.path or '/'}"

    def stores(self, *kinds: str, site: Site | None = None) -> tuple[Store, ...]:
        """Stores of these kinds, all where none is given, on one site where one is given."""
        here = self.app.stores if site is None else self.material.placement.stores_on(site)
        return tuple(one for one in here if not kinds or one.kind in kinds)

    def has(self, path: str) -> bool:
        """Whether a file of that path was rendered."""
        return any(file.path == path for file in self.material.rendered)

    def workflow(self, what: str) -> str:
        """The path of a workflow of this target."""
        return f".github/workflows/{what}-{self.target.name}.yml"

    def server(self, site: Site) -> Server:
        """Who deploys to a server, at which port."""
        return server_of(self.material, site)

    def address(self, site: Site) -> str:
        """Where a server is: as the page says, else a word to be replaced."""
        _, _, address = site.options.get("ssh", "").rpartition("@")
        host = address.partition(":")[0] if address.count(":") == 1 else address
        return host or (f"SERVER_{site.name.upper()}" if len(self.hosts) > 1 else "SERVER")

    def ssh(self, site: Site) -> str:
        """The words that open a shell on a server."""
        server = self.server(site)
        port = "" if server.ssh_port == 22 else f" -p {server.ssh_port}"
        return f"ssh{port} {server.user}@{self.address(site)}"

    def file(self, stem: str, site: Site, suffix: str = "") -> str:
        """The name of a file that each server has of its own: `compose.yaml`, `compose.box.yaml`, `Caddyfile`."""
        return f"{stem}{infix(self.target, site)}{suffix}"

    @property
    def place(self) -> str:
        """The folder of the app on a server, from the home of who deploys."""
        return f"apps/{self.app.name}"

    @property
    def folder(self) -> str:
        """The folder of the rendered files, from the root of the project."""
        return self.material.folder

    def compose(self, site: Site) -> str:
        """`docker compose` on a server, in the folder where the files lie."""
        name = self.file("compose", site, ".yaml")
        return "docker compose" if name == "compose.yaml" else f"docker compose -f {name}"

    def release(self, site: Site) -> list[str]:
        """What brings the database to a new version, where the server has the service of it."""
        release = self.app.release
        here = release is not None and site.name in self.target.place.get(release.service, ())
        return [f"{self.compose(site)} run --rm release"] if here else []

    def is_built(self, service: str) -> bool:
        """Whether its image is made from this repository, so that there is a version to choose."""
        container = self.material.containers.get(service)
        return container is not None and container.build is not None

    def versioned(self, site: Site) -> bool:
        """Whether what runs on a server is chosen by VERSION in its `.env`."""
        return any(self.is_built(one.name) for one in self.material.placement.services_on(site))

    def door(self, site: Site) -> str | None:
        """The container of the front door, where a server has one."""
        return DOOR if self.has(self.file("Caddyfile", site)) else None

    def url(self, service: Service) -> str:
        """Where a browser finds a web service or a page."""
        if service.domain is not None:
            return f"https://{service.domain}"
        site = self.site_of(service.name)
        if site.kind == "render":
            combined = self.target.shape == "combined" and service.kind != "static"
            name = self.app.name if combined else platform_name(self.app.name, service.name)
            return f"https://{name}.onrender.com"
        if site.kind == "host":
            known = routes(self.material.placement, site, self.material.containers)
            found = next((one.url for one in known if one.name == service.name), ())
            return "".join(part.name if isinstance(part, Setting) else part for part in found)
        return f"https://ADDRESS-OF-{service.name.upper()}"

    def apart(self) -> list[tuple[str, list[str]]]:
        """Stores on a server that services on other sites are told of, with those services."""
        found = []
        for store in self.stores():
            site = self.site_of(store.name)
            told = dict.fromkeys(one.service for one in self.app.bindings if one.of == store.name)
            away = [name for name in told if site.kind == "host" and site.name not in self.target.place[name]]
            if away and store.kind != "sqs":
                found.append((store.name, away))
        return found

    def bound(self, of: str, *attributes: str) -> str | None:
        """The variable that a service gets an address in, of the first of these attributes that is bound."""
        for attribute in attributes:
            found = sorted(one.variable for one in self.app.bindings if (one.of, one.attribute) == (of, attribute))
            if found:
                return found[0]
        return None

    def psql(self, site: Site, store: Store) -> str:
        """The words that open a database on a server."""
        return f"{self.compose(site)} exec {store.name} psql -U {quote(store.user)} -d {quote(store.database)}"

    def shell_name(self, store: Store, *, direct: bool = False) -> str:
        """The variable of a reader's own shell that holds the address of a store at a provider."""
        pooled = self.site_of(store.name).kind in ("neon", "supabase")
        attribute = "DIRECT_URL" if direct and pooled else "URL"
        settings = [one for one in self.settings(store.name) if one.endswith("URL")]
        known = [one for one in settings if ("DIRECT" in one) == (attribute == "DIRECT_URL")]
        return next(iter(known), f"{re.sub(r'[^A-Za-z0-9]', '_', store.name).upper()}_{attribute}")

    def shell_names(self) -> str:
        """A sentence on what the addresses in commands are; "" where there are none."""
        bought = [
            one for one in self.stores("postgres", "redis") if self.site_of(one.name).kind not in ("host", "local")
        ]
        names = list(dict.fromkeys(self.shell_name(one, direct=way) for one in bought for way in (False, True)))
        if not names:
            return ""
        told = ", ".join(f"`${name}`" for name in names)
        return f"{told}: what the provider says, in your own shell (`export {names[0]}=...`), with a space before it."

    def settings(self, name: str) -> tuple[str, ...]:
        """What a service or store asks for in `.env`, in order."""
        found = {one.setting for one in self.material.variables if one.service == name and one.setting and one.secret}
        return tuple(sorted(found))
