"""README.md: what runs where, what was rendered and where it goes, what it costs a month."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docs.diagram import diagram
from towline.artifacts.docs.guide import SITES, STORES, mebibytes
from towline.artifacts.docs.text import listed, page, points, section, sh, table
from towline.catalog.measures import plain
from towline.core.units import show_seconds
from towline.planner.compared import money_text
from towline.planner.verdict import machine_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.artifacts.rendered import RenderedFile
    from towline.planner.cost import BillLine
    from towline.spec.model import Service, Store

_SHAPES = {
    "laptop": "Everything on one machine.",
    "combined": "All processes in one container, the stores at providers.",
    "vps": "The processes on one server.",
    "hybrid": "What browsers ask at a platform, what works in the background on a server of your own.",
    "managed": "Every part at a provider.",
}
MANY = 6
"""Files of one folder beyond which the folder alone is listed."""

AT_THE_ROOT = ("render.yaml", ".github/")
"""Files that only work at the root of the repository."""


def readme(guide: Guide) -> str:
    """The page."""
    app, target = guide.app, guide.target
    return page(
        f"{app.name} on {target.name}",
        ["", f"{_SHAPES[target.shape]} Sites: {_sites(guide)}.", "", *_pages(guide)],
        section("Who asks whom", diagram(guide)),
        section("What runs where", _parts(guide)),
        section("The files", _files(guide), *_to_the_root(guide), _anew(guide)),
        section("What it costs a month", *_cost(guide)),
        section("What this placement gives up or risks", points(_risks(guide))),
        section("What is different while you develop", *_parity(guide)),
    )


def _sites(guide: Guide) -> str:
    told = []
    for site in guide.target.sites:
        region = f", {site.options['region']}" if "region" in site.options else ""
        told.append(f"`{site.name}` is {SITES[site.kind]}{region}")
    return "; ".join(told)


def _pages(guide: Guide) -> list[str]:
    known = (
        ("[SETUP.md](SETUP.md)", "from nothing to running, in order"),
        ("[RUNBOOK.md](RUNBOOK.md)", "deploy, roll back, scale, rotate, back up, restore"),
        ("[TROUBLESHOOTING.md](TROUBLESHOOTING.md)", "by what you see"),
    )
    told = [f"{link}: {what}" for link, what in known]
    if guide.has("VARIABLES.md"):
        told.append("[VARIABLES.md](VARIABLES.md): every variable of every service")
    return points(told)


def _parts(guide: Guide) -> list[str]:
    rows = [_service(guide, one) for one in guide.app.services] + [_store(guide, one) for one in guide.app.stores]
    return table(("part", "is", "on", "as", "reached at"), rows)


def _service(guide: Guide, one: Service) -> tuple[str, ...]:
    told: list[str] = [one.kind]
    if one.single:
        told.append("never two at once")
    if one.kind == "worker":
        told.append(f"finishes its job within {show_seconds(one.max_job)} when it must stop")
    if one.memory is not None:
        told.append(f"at most {mebibytes(one.memory)}")
    reached = {"web": guide.url(one), "static": guide.url(one), "private": "by other services only"}.get(one.kind, "-")
    health = f"{reached}{one.health.path}" if one.kind == "web" and one.health.path else reached
    return f"`{one.name}`", ", ".join(told), _places(guide, one.name), _bought(guide, one.name, one.image), health


def _store(guide: Guide, one: Store) -> tuple[str, ...]:
    told = STORES[one.kind] + (f" {one.major}" if one.major and one.kind in ("postgres", "redis") else "")
    use = {"queue": ", a queue: evicts nothing, writes to disk", "cache": ", a cache: evicts what is old"}
    public = "" if one.public is None else f", readable by everybody below `{one.public or '/'}`"
    what = f"{told}{use.get(one.use or '', '')}{public}"
    return f"`{one.name}`", what, _places(guide, one.name), _bought(guide, one.name, one.image), "by services only"


def _places(guide: Guide, name: str) -> str:
    return ", ".join(f"`{site}`" for site in guide.target.place[name])


def _bought(guide: Guide, name: str, image: str | None) -> str:
    choice = guide.material.chosen.choice if guide.material.chosen else None
    bought = choice.of(name) if choice is not None else None
    if bought is not None and bought.offer is not None:
        return machine_text(bought)
    return f"`{image}`" if image else "built here"


def _files(guide: Guide) -> list[str]:
    pages = (
        ("README.md", "this page"),
        ("SETUP.md", "from nothing to running"),
        ("TROUBLESHOOTING.md", "what to do, by what you see"),
        ("RUNBOOK.md", "daily work, with its commands"),
    )
    rows = []
    for folder, files in _by_folder(guide.material.rendered):
        if len(files) > MANY:
            rows.append(
                (
                    f"`{folder}/`",
                    f"{len(files)} files: {files[0].what.rstrip('.')}, and what belongs to it",
                    "stays here",
                )
            )
        else:
            rows += [(f"`{file.path}`", file.what.rstrip("."), _goes(guide, file.path)) for file in files]
    return table(("file", "is", "goes"), [*rows, *((f"`{path}`", what, "stays here") for path, what in pages)])


def _by_folder(rendered: tuple[RenderedFile, ...]) -> list[tuple[str, list[RenderedFile]]]:
    """The files under the folder that they are in; each one alone where it goes to the root, or is in none."""
    found: dict[str, list[RenderedFile]] = {}
    for file in rendered:
        alone = "/" not in file.path or file.path.startswith(AT_THE_ROOT)
        found.setdefault(file.path if alone else file.path.split("/", maxsplit=1)[0], []).append(file)
    return list(found.items())


def _goes(guide: Guide, path: str) -> str:
    """Where a file has to lie to do its work."""
    if path.startswith(AT_THE_ROOT):
        return "to the root of the repository"
    for site in guide.hosts:
        there = (guide.file("compose", site, ".yaml"), guide.file("Caddyfile", site), "Caddyfile")
        if path in there:
            return f"to `{guide.place}/` on `{site.name}`"
        if path == guide.file("cloud-init", site, ".yaml"):
            return f"to whoever makes the server `{site.name}`, as user data"
        if path == guide.file("server-setup", site, ".sh"):
            return f"onto `{site.name}`, when that runs already"
    if path == ".env.example" and guide.hosts:
        return f"as `.env` to `{guide.place}/`, filled in"
    return "stays here"


def _to_the_root(guide: Guide) -> Iterator[list[str] | str]:
    paths = [file.path for file in guide.material.rendered if file.path.startswith(AT_THE_ROOT)]
    if paths:
        yield "Some work only at the root of the repository. Copy them again whenever they are rendered anew:"
        tops = list(dict.fromkeys(path.split("/", maxsplit=1)[0] for path in paths))
        folder = guide.folder
        yield sh(f"cp -r {' '.join(f'{folder}/{top}' for top in tops)} .")


def _anew(guide: Guide) -> str:
    return (
        "None of them needs Towline. After a change in `compose.yaml` or `towline.yaml`, `towline render "
        f"{guide.target.name}` writes them anew and leaves what has not changed as it is."
    )


def _cost(guide: Guide) -> Iterator[list[str] | str]:
    chosen = guide.material.chosen
    if chosen is None:
        yield (
            "Not known: write how much the app is used into `usage.yaml`, then `towline compare` says it line by line."
        )
        return
    if chosen.bill is None:
        yield from (f"It cannot be priced: {why}." for why in chosen.refused or ("no offer fits",))
        return
    bill = chosen.bill
    rows = [_bill_row(one) for one in bill.lines]
    total = [("**total**", "", f"**{money_text(bill)}**", ""), ("tax on top", "", str(bill.vat), "")]
    yield table(("for", "how", "a month", "price as of"), [*rows, *total])
    yield f"{bill.fixed} of it are due without any use."
    links = [one for one in bill.links if one.paid]
    if links:
        yield "Counted as outgoing traffic, in GB a month:"
        yield points(
            f"{plain(round(one.flow.gb, 3))} from `{one.flow.start}` to `{one.flow.end}`: {one.flow.what}"
            for one in links
        )
    if guide.material.rests_on:
        yield "It rests on: " + "; ".join(f"{name} {value}" for name, value in guide.material.rests_on.items()) + "."


def _bill_row(one: BillLine) -> tuple[str, ...]:
    amount = "unknown" if one.line.money is None else str(one.line.money)
    return f"{one.owner}, {one.line.meter}", one.line.how, amount, one.line.evidence.read.isoformat()


def _risks(guide: Guide) -> Iterator[str]:
    chosen = guide.material.chosen
    for breach in chosen.risks if chosen is not None else ():
        yield f"{breach.offer}: {breach.sentence}"
    databases = [one.name for one in guide.stores("postgres") if guide.site_of(one.name).kind in ("host", "local")]
    if databases:
        yield f"nobody but you backs {listed(databases)} up: the runbook says how"
    for store, away in guide.apart():
        yield (
            f"{listed(away)} cannot reach `{store}`, which answers nobody outside its server: SETUP.md says what the "
            "ways are"
        )
    if guide.hosts:
        yield (
            f"{listed(site.name for site in guide.hosts)}: one server is one point of failure, and does not grow by "
            "itself"
        )
    if guide.target.shape == "combined":
        yield (
            "API and workers share one container: its memory, its restarts, and its sleep where the plan is a free one"
        )


def _parity(guide: Guide) -> Iterator[list[str] | str]:
    if not guide.has("compose.dev.yaml"):
        return
    yield (
        "`compose.dev.yaml` starts all services and stores on your machine, from the source where it is here; "
        "`compose.prod.yaml` runs the built images there as they run in production. What still differs:"
    )
    elsewhere = [one for one in guide.app.stores if guide.site_of(one.name).kind not in ("host", "local")]
    told = [
        f"`{one.name}` is a container there, and {SITES[guide.site_of(one.name).kind]} here: its limits, its pooler "
        "and its TLS show only here"
        for one in elsewhere
    ]
    told.append("addresses are plain http on 127.0.0.1: certificates, HSTS and secure cookies show only here")
    told.append("development has passwords that everybody knows, and debugging switched on")
    yield points(told)
