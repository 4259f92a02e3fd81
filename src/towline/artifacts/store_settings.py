"""What the hosts of a target are told of stores, and of parts that run elsewhere: names for `.env`, never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.containers import settings_in
from towline.artifacts.front_door import HOST, hosts
from towline.artifacts.host_references import runs_on, setting, value
from towline.artifacts.rendered import Variable
from towline.artifacts.store_images import server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.planner.model import Placement
    from towline.spec.model import Site, Store

_MADE = {"postgres": ("password",), "redis": ("password",), "bucket": ("access_key", "secret_key")}
_WHY = {
    "password": "the password that {kind} `{store}` is made with, and that the app reaches it with",
    "access_key": "the name of the key that opens the bucket of `{store}`, and nothing else",
    "secret_key": "the secret half of that key",
}
_CALLED = {"postgres": "database", "redis": "redis", "bucket": "bucket"}


def settings_of(placement: Placement) -> tuple[Variable, ...]:
    """The settings of every host of the target, each once: of a store under its name, else under that of the site."""
    found: dict[str, Variable] = {}
    for site in hosts(placement.target):
        for one in _of_site(placement, site):
            found.setdefault(one.name, one)
    return tuple(found.values())


def _of_site(placement: Placement, site: Site) -> Iterator[Variable]:
    for store in placement.stores_on(site):
        if runs_on(placement, site, store):
            yield from _made(store)
    stores = {store.name for store in placement.app.stores}
    here = {service.name for service in placement.services_on(site)}
    for binding in placement.app.bindings:
        if binding.service in here:
            for one in settings_in(value(placement, site, {}, (binding.of, binding.attribute))):
                owner = binding.of if binding.of in stores and one != HOST else site.name
                yield Variable(owner, one.name, "asked", why=one.hint, setting=one.name)


def _made(store: Store) -> Iterator[Variable]:
    known = store.kind != "redis" or server_of(store) is not None
    for attribute in _MADE[store.kind] if known else ():
        name = setting(store.name, attribute).name
        why = _WHY[attribute].format(store=store.name, kind=_CALLED[store.kind])
        yield Variable(store.name, name, "generated", why=why, setting=name)
