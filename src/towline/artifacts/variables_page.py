""".env.example and VARIABLES.md: every variable once with its reason, and every variable of every service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.rendered import RenderedFile
from towline.artifacts.variables import on_a_server
from towline.artifacts.variables_table import table_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from towline.artifacts.rendered import Material, Variable

MAKE = "openssl rand -hex 32"
"""What makes a secret that needs no escaping in an address, an .env file or a shell."""

_ASKED_FOR = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)(:?[-?+]([^{}]*))?\}")

_OF_FILES = (
    (re.compile(r"REGISTRY"), "where the images of the app are, without its own name: ghcr.io/OWNER"),
    (re.compile(r"VERSION"), "which version of the images runs: the tag that their build gave them"),
    (re.compile(r"(\w+)_READ_ONLY"), "false where {} writes into folders of its own image"),
    (re.compile(r"(\w+)_DOMAIN"), "the domain under which browsers find {}"),
    (re.compile(r"(\w+)_MEMORY"), "how much memory {} may use"),
    (re.compile(r"LOCAL_(\w+)_PORT"), "where {} answers on your own machine"),
    (re.compile(r"(\w+)_(?:PASSWORD|ACCESS_KEY|SECRET_KEY)"), "what {} is reached with there"),
)
_OF_COOLIFY = re.compile(r"SERVICE_(?:URL|FQDN)_")
"""Coolify fills these in itself."""

_LOCAL = ("compose.dev.yaml", "compose.prod.yaml")


def files(material: Material) -> tuple[RenderedFile, ...]:
    """Both pages; none for an app without a variable."""
    asked, local = asked_for(material), asked_for(material, local=True)
    if not material.variables and not asked and not local:
        return ()
    text = _example(material, asked, {name: one for name, one in local.items() if name not in asked})
    return (
        RenderedFile(".env.example", text, "every setting once: what it is for, how to make it"),
        RenderedFile("VARIABLES.md", table_page(material), "every variable of every service, and who sets it"),
    )


def asked_for(material: Material, *, local: bool = False) -> dict[str, str | None]:
    """Names that the rendered Compose files ask their environment for, with the default that they have, in order.

    Those of a server, or else of one's own machine. What belongs to a variable is left out: it is explained as such.
    """
    known = {one.setting for one in material.variables}
    found: dict[str, str | None] = {}
    for file in material.rendered:
        if "/" not in file.path and file.path.startswith("compose") and (file.path in _LOCAL) == local:
            for match in _ASKED_FOR.finditer(_without_comments(file.text)):
                default = match[3] if (match[2] or "").lstrip(":").startswith("-") else None
                found[match[1]] = found.get(match[1]) or default
    return {name: found[name] for name in sorted(found) if name not in known and not _OF_COOLIFY.match(name)}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _example(material: Material, asked: dict[str, str | None], local: dict[str, str | None]) -> str:
    lines = [
        (
            f"# What {material.app.name} is told from outside. Copy this file to .env beside it, fill in what is "
            "empty, then:"
        ),
        "#   chmod 600 .env",
        "# It never goes into the repository.",
    ]
    needed = {name: None for name, default in asked.items() if default is None}
    lines += _of_files("What is to run", needed)
    # What is only right on the author's machine is asked for, or is what it should be on a server.
    wanted = [one for one in map(on_a_server, material.variables) if one.setting]
    made = [one for one in wanted if one.origin == "generated"]
    told = [one for one in wanted if one.origin == "asked" and one.default is None]
    optional = [one for one in wanted if one.origin == "asked" and one.default is not None]
    lines += _group("Make a value for each of these", f"each line its own: {MAKE}", made)
    lines += _group("Look these up", "whoever runs what they belong to gives them to you", told)
    lines += _group("These may stay as they are", "take the mark away to set one", optional)
    lines += _of_files(
        "Limits, which may stay as they are", {name: asked[name] for name in asked if name not in needed}
    )
    lines += _of_files("On your own machine: compose.dev.yaml, compose.prod.yaml", local)
    lines += _settled([on_a_server(one) for one in material.variables])
    return "\n".join(lines) + "\n"


def _of_files(title: str, asked: Mapping[str, str | None]) -> Iterator[str]:
    if not asked:
        return
    yield from _heading(title)
    for name, default in asked.items():
        yield f"# {_reason(name)}"
        yield f"{name}=" if default is None else f"# {name}={default}"


def _reason(name: str) -> str:
    for pattern, told in _OF_FILES:
        match = pattern.fullmatch(name)
        if match is not None:
            return told.format(*(part.lower() for part in match.groups()))
    return "read by the Compose files beside this one"


def _group(title: str, told: str, variables: Sequence[Variable]) -> Iterator[str]:
    if not variables:
        return
    yield from _heading(title, told)
    for setting, ones in _by_setting(variables):
        sentences = dict.fromkeys(one.why.rstrip(".") for one in ones if one.why)
        yield from (f"# {sentence}" for sentence in sentences)
        yield f"# for {', '.join(dict.fromkeys(_reader(one, setting) for one in ones))}{_at_build(ones)}"
        default = next((one.default for one in ones if one.default is not None), None)
        yield f"{setting}=" if default is None else f"# {setting}={default}"


def _reader(one: Variable, setting: str) -> str:
    return one.service if one.name == setting else f"{one.service} (its {one.name})"


def _at_build(ones: Sequence[Variable]) -> str:
    built = list(dict.fromkeys(one.service for one in ones if one.build))
    return f"; read when {', '.join(built)} {'is' if len(built) == 1 else 'are'} built" if built else ""


def _settled(variables: Sequence[Variable]) -> Iterator[str]:
    """What nobody has to set: in the files already, as values and as references."""
    spelled = [one for one in variables if one.origin == "spelled"]
    if spelled:
        yield from _heading("Nothing to do: the Compose file of the app spells these out")
        yield from _columns((one.name, value, owners) for one, value, owners in _told_apart(spelled))
    bound = [one for one in variables if one.origin == "reference" and not one.setting]
    if bound:
        yield from _heading("Nothing to do: towline.yaml binds these")
        yield from _columns((one.name, value, owners) for one, value, owners in _told_apart(bound))


def _told_apart(variables: Iterable[Variable]) -> Iterator[tuple[Variable, str, str]]:
    """Each name and value once, with the services that have it so."""
    found: dict[tuple[str, str], list[Variable]] = {}
    for one in sorted(variables, key=lambda one: (one.name, one.service)):
        value = (one.value if one.origin == "spelled" else one.reference) or ""
        found.setdefault((one.name, value), []).append(one)
    for (_, value), ones in found.items():
        yield ones[0], value, ", ".join(one.service for one in ones)


def _columns(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    known = list(rows)
    widths = [min(60, max(len(row[place]) for row in known)) for place in (0, 1)]
    for name, value, services in known:
        yield f"# {name:<{widths[0]}}  {value:<{widths[1]}}  {services}".rstrip()


def _heading(title: str, told: str = "") -> Iterator[str]:
    yield ""
    yield f"# --- {title}{f': {told}' if told else ''}"


def _by_setting(variables: Iterable[Variable]) -> list[tuple[str, list[Variable]]]:
    """The variables under the names that the files ask for, in order of those and then of services."""
    found: dict[str, list[Variable]] = {}
    for one in sorted(variables, key=lambda one: (one.setting, one.service, one.name)):
        found.setdefault(one.setting, []).append(one)
    return list(found.items())
