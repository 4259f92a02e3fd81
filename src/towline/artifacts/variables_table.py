"""VARIABLES.md: a table for each service, with where each value comes from and who sets it on this target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.blueprint_platform import platform_name
from towline.spec.model import STORE_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.rendered import Material, Variable
    from towline.spec.model import Site

_SHAPES = {
    "postgres": {
        "url": "postgresql://USER:PASSWORD@HOST:5432/DATABASE",
        "direct_url": "postgresql://USER:PASSWORD@HOST:5432/DATABASE",
        "pooled_url": "postgresql://USER:PASSWORD@POOLER:5432/DATABASE",
        "port": "5432",
    },
    "redis": {"url": "redis://default:PASSWORD@HOST:6379/0", "port": "6379"},
    "bucket": {
        "endpoint": "https://S3.HOST",
        "public_url": "https://HOST/BUCKET",
        "public_endpoint": "https://HOST",
        "region": "us-east-1",
    },
    "sqs": {"url": "https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE", "endpoint": "https://sqs.REGION.amazonaws.com"},
    "service": {
        "url": "https://NAME.DOMAIN",
        "internal_url": "http://NAME:PORT",
        "host": "NAME",
        "port": "PORT",
    },
}

_OF_A_SERVICE = 4
"""How far the name of a service itself is indented in a Blueprint; a reference names others further in."""

_TOLD = (
    "Where a value comes from: *bound* = `towline.yaml` binds it to a store or a service; *fixed* = the Compose file "
    "of the app spells it out; *made* = a secret that any random text serves; *given* = a person has to look it up. "
    "No secret stands in this file."
)

_PANELS = {"vercel": "Vercel", "coolify": "Coolify", "dokploy": "Dokploy"}


def table_page(material: Material) -> str:
    """The whole page."""
    app, target = material.app, material.target
    lines = [
        f"<!-- Rendered by towline from compose.yaml and towline.yaml, target {target.name} -->",
        f"# Variables of {app.name} on {target.name}",
        "",
        _TOLD,
    ]
    owners = [one.name for one in app.services]
    owners += [name for name in sorted({one.service for one in material.variables}) if name not in owners]
    for owner in owners:
        variables = material.variables_of(owner)
        if variables:
            lines += ["", f"## {owner}", "", *_table(material, variables)]
    lines += _shared(material)
    return "\n".join(lines) + "\n"


def _table(material: Material, variables: tuple[Variable, ...]) -> Iterator[str]:
    yield "| variable | from | example | read | who sets it |"
    yield "|---|---|---|---|---|"
    for one in variables:
        cells = (f"`{one.name}`", _origin(one), example_of(material, one), _read(one), set_by(material, one))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _origin(one: Variable) -> str:
    word = {"reference": "bound", "spelled": "fixed", "generated": "made", "asked": "given"}[one.origin]
    told = f" to `{one.reference}`" if one.reference else ""
    return f"{word}{told}" + (f": {one.why.rstrip('.')}" if one.why and one.secret else "")


def _read(one: Variable) -> str:
    return "at build" if one.build else "at run"


def example_of(material: Material, one: Variable) -> str:
    """What the value looks like: itself where it is no secret, else its form."""
    if one.origin == "spelled":
        return f"`{one.value}`" if one.value else "empty"
    if one.origin == "generated":
        return "64 hexadecimal digits"
    if one.origin == "asked" or one.reference is None:
        return "-"
    of, _, attribute = one.reference.rpartition(".")
    store = next((store for store in material.app.stores if store.name == of), None)
    if store is None:
        known = _SHAPES["service"].get(attribute, "-")
        return f"`{known.replace('NAME', of)}`" if known != "-" else known
    own = {"database": store.database, "user": store.user, "bucket": store.database}
    told = _SHAPES[store.kind].get(attribute) or own.get(attribute)
    secret = attribute in STORE_REFERENCES[store.kind] and attribute in ("password", "access_key", "secret_key")
    return "-" if secret or told is None else f"`{told}`"


def set_by(material: Material, one: Variable) -> str:
    """Who sets a variable on this target, for each site that its service is on."""
    names = material.target.place.get(one.service, ())
    if one.setting and not any(service.name == one.service for service in material.app.services):
        return "you, in `.env` on the server"
    sites = [site for site in material.target.sites if site.name in names]
    told = {site.name: _on_site(material, one, site) for site in sites}
    if len(set(told.values())) <= 1:
        return next(iter(told.values()), "the rendered files")
    return "; ".join(f"on {name}: {who}" for name, who in told.items())


def _on_site(material: Material, one: Variable, site: Site) -> str:
    if site.kind == "render":
        return _at_render(material, one)
    if site.kind in _PANELS:
        known = one.origin == "spelled"
        return f"you, in the variables of `{one.service}` at {_PANELS[site.kind]}" + (" (the example)" if known else "")
    if site.kind == "local":
        return "Towline"
    if one.build:
        return "whoever builds the image"
    return "you, in `.env` on the server" if one.secret else "`compose.yaml`"


def _at_render(material: Material, one: Variable) -> str:
    names = {platform_name(material.app.name, one.service), material.app.name}
    asked = sorted(name for name in names if (name, one.name) in asked_by_render(material))
    if asked:
        return f"you, when Render asks for it; later in the environment of `{asked[0]}`"
    if one.origin == "generated" and len(_sites_of(material, one.name)) == 1:
        return "Render, on the first deploy"
    return "`render.yaml`"


def asked_by_render(material: Material) -> set[tuple[str, str]]:
    """What the rendered Blueprint leaves to a person: service there and variable."""
    text = next((file.text for file in material.rendered if file.path == "render.yaml"), "")
    found: set[tuple[str, str]] = set()
    service = key = ""
    for line in text.splitlines():
        word, _, rest = line.strip().removeprefix("- ").partition(":")
        value = rest.partition(" #")[0].strip()
        if word == "name" and len(line) - len(line.lstrip()) <= _OF_A_SERVICE:
            service = value
        elif word == "key":
            key = value
        elif word == "sync" and value == "false":
            found.add((service, key))
    return found


def _shared(material: Material) -> Iterator[str]:
    """Secrets that must have one value on several sites."""
    names = sorted({one.name for one in material.variables if one.secret})
    shared = {name: sites for name in names if len(sites := _sites_of(material, name)) > 1}
    if not shared:
        return
    yield from ("", "## The same value everywhere", "")
    yield "What one site has signed another can only read where these are equal:"
    yield ""
    for name, sites in shared.items():
        yield f"- `{name}` on {' and '.join(sites)}"


def _sites_of(material: Material, variable: str) -> list[str]:
    """The sites on which some service has that variable, in the target's order."""
    owners = [one.service for one in material.variables if one.name == variable]
    having = {site for owner in owners for site in material.target.place.get(owner, ())}
    return [site.name for site in material.target.sites if site.name in having]
