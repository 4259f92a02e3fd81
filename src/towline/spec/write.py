"""The smallest page for a Compose file: its stores by their images, its addresses by what its variables hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.spec.addresses import addresses, asked_attribute
from towline.spec.detect import redis_use, store_kind
from towline.spec.layout import lay_out
from towline.spec.page import Page

if TYPE_CHECKING:
    from towline.spec.compose import ComposeConfig


def smallest_page(compose: ComposeConfig) -> str:
    """The text of a towline.yaml that fits `compose`; holds names, never a value."""
    layout = lay_out(compose, Page())
    lines = [f"app: {compose.name}"]
    of_service = {service: store for store, service in layout.stores.items() if service}
    for position, (store, service) in enumerate(layout.stores.items()):
        container = compose.container(service or "")
        kind = store_kind(container) if container else None
        use = f", use: {redis_use(container)}" if kind == "redis" else ""
        lines += ["stores:"] if position == 0 else []
        lines.append(f"  {store}: {{kind: {kind}{use}}}")
    bound: dict[str, str] = {}
    for name in layout.services:
        container = compose.container(name)
        for address in addresses(container.environment if container else {}, compose):
            store = of_service.get(address.of, "")
            held = compose.container(address.of)
            kind = store_kind(held) if held else None
            if store and kind:
                bound[address.variable] = f"{store}.{asked_attribute(address.variable, kind, by=address.by)}"
    if bound:
        lines += ["bind:", '  "*":']
        lines += [f"    {variable}: {reference}" for variable, reference in sorted(bound.items())]
    return "\n".join(lines) + "\n"
