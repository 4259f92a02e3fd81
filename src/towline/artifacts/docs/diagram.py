"""The parts of a target and what asks what, as a Mermaid diagram that GitHub and most editors draw."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import SITES, STORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Site

_WORDS_OF_MERMAID = frozenset({"end", "graph", "flowchart", "subgraph", "style", "class", "click", "default", "people"})


def diagram(guide: Guide) -> list[str]:
    """The diagram as lines; arrows lead from who asks to who answers."""
    lines = ["```mermaid", "flowchart LR", '    people(["people"])']
    for site in guide.target.sites:
        lines += _site(guide, site)
    lines += [f"    people --> {_id(one.name)}" for one in guide.services("web", "static")]
    asked = dict.fromkeys((one.service, one.of) for one in guide.app.bindings if one.service != one.of)
    kinds = {one.name: one.kind for one in guide.app.services}
    # A page's own code runs in the browser: what it is bound to is asked by people.
    arrows = dict.fromkeys(
        (("people" if kinds.get(start) == "static" else _id(start)), _id(end)) for start, end in asked
    )
    known = {("people", _id(one.name)) for one in guide.services("web", "static")}
    lines += [f"    {start} --> {end}" for start, end in arrows if (start, end) not in known]
    return [*lines, "```"]


def _site(guide: Guide, site: Site) -> Iterator[str]:
    services = guide.material.placement.services_on(site)
    stores = guide.material.placement.stores_on(site)
    if not services and not stores:
        return
    region = f", {site.options['region']}" if "region" in site.options else ""
    yield f'    subgraph site_{_id(site.name)}["{site.name}: {SITES[site.kind]}{region}"]'
    for service in services:
        yield f'        {_id(service.name)}["{service.name}<br>{service.kind}"]'
    for store in stores:
        yield f'        {_id(store.name)}[("{store.name}<br>{STORES[store.kind]}")]'
    yield "    end"


def _id(name: str) -> str:
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_" if plain.lower() in _WORDS_OF_MERMAID else plain
