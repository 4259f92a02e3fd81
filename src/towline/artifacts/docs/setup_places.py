"""The steps of SETUP.md at each kind of site: a server, Render, a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docs.text import listed, points, sh
from towline.artifacts.panel_compose import PANELS, name_of
from towline.artifacts.server_setup import KEY_PLACEHOLDER
from towline.artifacts.variables_table import asked_by_render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Site


def the_server(guide: Guide, site: Site) -> Iterator[list[str] | str]:
    """A server that is new, or that runs already, made ready."""
    server = guide.server(site)
    user_data, script = guide.file("cloud-init", site, ".yaml"), guide.file("server-setup", site, ".sh")
    folder = guide.folder
    yield f"A new one: put your public key into a copy of `{user_data}`, and give that as user data when you make it."
    yield sh(
        f'sed "s|{KEY_PLACEHOLDER}|$(cat ~/.ssh/id_ed25519.pub)|" {folder}/{user_data} > user-data.yaml',
    )
    yield "One that runs already, and that you reach as root:"
    yield sh(f"ssh root@{guide.address(site)} 'sh -s' < {folder}/{script}")
    yield (
        f"Either way it ends with `{server.user}` as the only account that can log in, with a key only, and with "
        f"nothing open but {server.ssh_port}, 80 and 443, Docker's published ports included. Keep the first connection "
        "open, and prove the second one:"
    )
    yield sh(
        f"{guide.ssh(site)} 'docker compose version && sudo ufw status verbose && sudo fail2ban-client status sshd'",
    )


def on_the_server(guide: Guide, site: Site) -> Iterator[list[str] | str]:
    """The app's files, its settings, its first start."""
    server, folder, there = guide.server(site), guide.folder, guide.place
    files = [path for path in (guide.file("compose", site, ".yaml"), guide.file("Caddyfile", site)) if guide.has(path)]
    port = "" if server.ssh_port == 22 else f"-P {server.ssh_port} "
    copied = " ".join(f"{folder}/{name}" for name in files)
    yield "Its files:"
    yield sh(
        f"scp {port}{copied} {server.user}@{guide.address(site)}:{there}/",
        f"scp {port}{folder}/.env.example {server.user}@{guide.address(site)}:{there}/.env",
    )
    yield f"Its settings: fill in every empty line of `{there}/.env` (VARIABLES.md says what each is)."
    yield sh(f"{guide.ssh(site)}", f"cd {there}", "chmod 600 .env", "nano .env")
    if any("PUBLIC_HOST" in guide.url(one) for one in guide.services("web", "static", site=site)):
        yield (
            "`PUBLIC_HOST` is a name that leads to the server, as do all names that end in it, since each public part "
            "has one of its own. Without a domain, `203-0-113-7.sslip.io` is such a name of 203.0.113.7."
        )
    if guide.versioned(site):
        yield "A registry that asks who reads from it, with a token that may read packages and nothing else:"
        yield sh("docker login ghcr.io --username OWNER")
    compose = guide.compose(site)
    yield "Its start, on the server: nothing may be missing in the first line, all must be healthy after the last."
    yield sh(
        f"{compose} config --quiet",
        f"{compose} pull",
        *guide.release(site),
        f"{compose} up --detach --wait",
        f"{compose} ps",
    )
    domains = guide.domains(site)
    if domains:
        yield (
            f"DNS: an A record (and AAAA, where the server has IPv6) of {listed(domains)} to the server. The front "
            "door fetches the certificates by itself at the first request, as soon as the names lead to it:"
        )
        yield sh(*(f"dig +short {domain}" for domain in domains))


def on_render(guide: Guide, site: Site) -> Iterator[list[str] | str]:
    """The Blueprint, what it asks, what only a person knows."""
    folder = guide.folder
    if guide.has("render.yaml"):
        yield "The Blueprint lies at the root of the repository, on the branch that is deployed:"
        yield sh(f"cp {folder}/render.yaml .", "git add render.yaml", "git commit -m 'Add the Blueprint'", "git push")
        yield (
            "At Render: New, Blueprint, this repository. It lists what it makes and asks for every variable that only "
            "you know; the others are references or made there."
        )
    yield from _told_by_hand(guide, site)
    domains = [one.domain for one in guide.material.placement.services_on(site) if one.domain]
    if domains:
        yield (
            f"Domains {listed(domains)}: a CNAME of each to the service's `onrender.com` name; Render fetches the "
            "certificates."
        )


def _told_by_hand(guide: Guide, site: Site) -> Iterator[list[str] | str]:
    """What nobody but a person can bring to Render, and from there."""
    services = guide.material.placement.services_on(site)
    asked = {one.name: guide.settings(one.name) for one in services if guide.settings(one.name)}
    if asked:
        yield "It asks for:"
        yield points(f"`{name}`: {listed(names)}" for name, names in asked.items())
    place = guide.target.place
    here = {one.name for one in services}
    asked_for = {variable for _, variable in asked_by_render(guide.material)}
    away = [
        one
        for one in guide.app.bindings
        if one.service in here and site.name not in place.get(one.of, ()) and one.variable in asked_for
    ]
    if away:
        told = dict.fromkeys(f"`{one.variable}`: {one.reference}" for one in away)
        yield "These lead to another site; nobody but you can fill them in:"
        yield points(told)
    closed = [store for store, names in guide.apart() if here.intersection(names)]
    if closed:
        yield (
            f"{listed(closed)} answers nobody outside its server, and no rendered file opens it. Two ways lead there: "
            "a relay on the server that reads jobs from the database, so that nothing here needs the queue; or a "
            "tunnel that both ends are in (WireGuard, Tailscale). A bucket is reached through the front door by https."
        )
    for store in guide.stores(site=site):
        settings = guide.settings(store.name)
        if settings:
            yield (
                f"When `{store.name}` is there, its external address goes into the server's `.env`: {listed(settings)}."
            )


def _as_one(guide: Guide, site: Site, panel: str) -> Iterator[list[str] | str]:
    name = name_of(guide.target, site)
    if guide.has(name):
        yield (
            f"There are two ways. All of it as one Compose resource from `{guide.folder}/{name}`: one page to fill in, "
            "and a pause at each new version, since the old containers stop first. Or one application for each "
            f"service, as follows: {panel} starts the new one beside the old, and the deploy workflow speaks to these."
        )


def on_a_panel(guide: Guide, site: Site) -> Iterator[list[str] | str]:
    """What is typed into the page of a panel, for each service."""
    panel = {"coolify": "Coolify", "dokploy": "Dokploy", "vercel": "Vercel"}[site.kind]
    if site.kind in PANELS:
        yield from _as_one(guide, site, panel)
    yield f"In {panel}, one application for each of these; the variables of each stand in VARIABLES.md:"
    told = []
    for one in guide.material.placement.services_on(site):
        what = [f"image `{one.image}`" if one.image else "built from the repository"]
        if one.kind == "static" and one.output:
            what = [f"built by `{one.build}`" if one.build else "built", f"published from `{one.output}`"]
        if one.port is not None and one.kind != "static":
            what.append(f"port {one.port}")
        if one.health.path:
            what.append(f"health check `{one.health.path}`")
        what += [f"domain `{one.domain}`"] if one.domain else []
        what += ["no domain: nobody outside may reach it"] if one.kind in ("private", "worker", "stateful") else []
        told.append(f"`{one.name}`: {', '.join(what)}")
    yield points(told)
    if site.kind in ("coolify", "dokploy"):
        yield (
            f"{panel}'s own page stays off the internet, since whoever is in it is root on the server: reach it "
            "through `ssh -L`, or put it behind a domain with https and two-factor login. It logs in to its server as "
            "root by key: a hardening that closes that login closes the panel out."
        )
