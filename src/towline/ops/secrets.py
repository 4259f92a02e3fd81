"""The story of a target's secrets: what it asks for, what the vault holds, and every change to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from towline.artifacts import front_door
from towline.artifacts.containers import settings_in
from towline.artifacts.host_layout import layout
from towline.artifacts.links import told
from towline.artifacts.variables import on_a_server
from towline.core.errors import Finding, Findings, Refused, UsageError, Where
from towline.core.files import hold_lock, write_atomic
from towline.core.secret import Secret, generate
from towline.ops.registry_logins import REGISTRY_NAMES
from towline.ops.render import material_of
from towline.secrets.dotenv import NAME, dotenv_text
from towline.secrets.identity import key_place, make_key, read_keys
from towline.secrets.vault import (
    Kept,
    VaultPlace,
    read_recipients,
    read_vault,
    recipient_of,
    write_recipients,
    write_vault,
)
from towline.spec.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from towline.artifacts.containers import HostContainer, Text
    from towline.artifacts.rendered import Material
    from towline.secrets.vault import How

CODES: dict[str, tuple[str, str]] = {
    "secret-missing": ("error", "A value that only a person can give is not in the vault."),
    "setting-missing": ("error", "`REGISTRY` or `VERSION` is given without the other one."),
    "secret-name": ("error", "A name is none that an environment could have."),
    "secret-empty": ("error", "A value is empty."),
    "secret-nul": ("error", "A value has a NUL, which no environment can hold."),
    "env-line": ("error", "A line of an environment file is no `NAME=value`."),
    "secret-short": ("error", "The key of the webhook could be tried out."),
}
"""What is found about the vault of a target, with its level and its meaning; printed as part of the reference."""

State = Literal["set", "missing", "optional", "unused"]

FOLDER = "secrets"
"""Where the vaults lie in the project."""


@dataclass(frozen=True)
class Wanted:
    """A name that the target asks for: which services read it, and whether it may stay unset or be made up."""

    name: str
    services: tuple[str, ...]
    generated: bool
    optional: bool
    why: str


WEBHOOK_SECRET = "WEBHOOK_SECRET"  # noqa: S105 - its name
OWN = {
    WEBHOOK_SECRET: Wanted(
        WEBHOOK_SECRET,
        ("towline webhook",),
        generated=True,
        optional=True,
        why="what signs the calls of `towline webhook`",
    )
}
"""Names that are Towline's own: they are there only where somebody uses what they are for."""


@dataclass(frozen=True)
class Listed:
    """One name, wanted or kept: `since` is the day its value was set, None while it has none."""

    name: str
    state: State
    services: tuple[str, ...]
    since: str | None
    how: How | None
    why: str


@dataclass(frozen=True)
class Vault:
    """The secrets of one target of one project, opened. `today` is an ISO date.

    `own` are names that are of use without anything asking for them.
    """

    target: str
    place: VaultPlace
    wanted: Mapping[str, Wanted]
    today: str
    own: Mapping[str, Wanted] = field(default_factory=lambda: OWN)

    def kept(self) -> dict[str, Kept]:
        """What the vault holds."""
        return read_vault(self.place)

    def listed(self) -> tuple[Listed, ...]:
        """Every name that the target asks for or the vault holds, in alphabetic order."""
        kept = read_vault(self.place)
        known = {**self.own, **self.wanted}
        return tuple(_listed(name, known.get(name), kept.get(name)) for name in sorted({*self.wanted, *kept}))

    def of_no_use(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some names that nothing of the target asks for, sorted."""
        return tuple(sorted(set(names) - self.wanted.keys() - self.own.keys()))

    def reveal(self, name: str) -> Secret:
        """The value of one name. Raises UsageError when it has none."""
        kept = read_vault(self.place)
        if name not in kept:
            hint = f"towline secrets set {name} -t {self.target}"
            raise UsageError(f"{name} has no value on {self.target}{did_you_mean(name, kept)}", hint=hint)
        return kept[name].value

    def put(self, values: Mapping[str, Secret], how: How = "given") -> None:
        """Set values. Raises Findings with every name that no environment can have, and every empty value."""
        _refuse_unusable(values)
        with hold_lock(self._guard):
            kept = read_vault(self.place)
            self._see_key()
            write_vault(self.place, {**kept, **{name: Kept(one, self.today, how) for name, one in values.items()}})

    def fill(self) -> tuple[str, ...]:
        """Make a value for every name that any random text serves and that has none; gives those names."""
        kept = read_vault(self.place)
        names = tuple(name for name, one in self.wanted.items() if one.generated and name not in kept)
        if names:
            self.put({name: generate() for name in names}, "generated")
        return names

    def rotate(self, names: Sequence[str]) -> tuple[str, ...]:
        """New random values; gives the services that read them. Raises Refused for one that a person gave."""
        kept = read_vault(self.place)
        for name in names:
            if name not in kept:
                self.reveal(name)
        given = [name for name in names if kept[name].how == "given"]
        if given:
            sentence = f"{', '.join(given)} was given by a person: whoever issued it makes the new one"
            raise Refused(sentence, hint=f"towline secrets set {given[0]} -t {self.target}")
        self.put({name: generate() for name in names}, "generated")
        return tuple(
            sorted({service for name in names if name in self.wanted for service in self.wanted[name].services})
        )

    def remove(self, names: Sequence[str]) -> None:
        """Forget values. Raises UsageError for a name that has none."""
        with hold_lock(self._guard):
            kept = read_vault(self.place)
            for name in names:
                if name not in kept:
                    self.reveal(name)
            write_vault(self.place, {name: one for name, one in kept.items() if name not in names})

    def environment(self) -> str:
        """All values as an environment file for the rendered files. Raises Findings with every one that is missing."""
        kept = read_vault(self.place)
        missing = [name for name, one in self.wanted.items() if name not in kept and not one.optional]
        if missing:
            where = Where(str(self.place.file))
            hint = f"towline secrets set NAME -t {self.target}, or towline secrets fill -t {self.target}"
            findings = (Finding("secret-missing", f"{name}: {self.wanted[name].why}", where, hint) for name in missing)
            raise Findings(tuple(findings))
        return dotenv_text({name: one.value for name, one in kept.items()})

    def readers(self) -> tuple[str, ...]:
        """The public keys that open the vault."""
        return read_recipients(self.place)

    def share(self, public_key: str, *, remove: bool = False) -> tuple[str, ...]:
        """Encrypt the vault for one more key, or one fewer; gives who opens it now."""
        recipient_of(public_key)
        with hold_lock(self._guard):
            kept = read_vault(self.place)
            self._see_key()
            readers = list(read_recipients(self.place))
            if remove and (public_key not in readers or len(readers) == 1):
                why = "is not among those who open it" if public_key not in readers else "is the last that opens it"
                raise Refused(f"the key {public_key[:24]} {why}", hint=f"towline secrets key -t {self.target}")
            after = [one for one in readers if one != public_key] if remove else [*readers, public_key]
            write_recipients(self.place, after)
            write_vault(self.place, kept)
        return self.readers()

    def own_key(self) -> str | None:
        """The public key of this machine's user; None while there is none."""
        keys = read_keys(self.place.key)
        return str(keys[0].to_public()) if keys else None

    def _see_key(self) -> None:
        """See that there is a key and that the list names it: the first change makes both."""
        if self.place.file.is_file():
            return
        keys = read_keys(self.place.key) or (make_key(self.place.key),)
        if not self.readers():
            write_recipients(self.place, [str(keys[0].to_public())])

    @property
    def _guard(self) -> Path:
        return self.place.key.path.with_name(f".{self.place.key.path.name}.lock")


def open_vault(project: Path, target: str, today: str, *, env: Mapping[str, str] = os.environ) -> Vault:
    """The secrets of a target. Raises Findings with all that is wrong with the project's files."""
    material = material_of(project, target, project / "deploy" / target, env=env)
    return replace(vault_of(project, material, today, env=env), own=own_of(material))


def vault_of(project: Path, material: Material, today: str, *, env: Mapping[str, str] = os.environ) -> Vault:
    """The secrets of a target whose files were read already."""
    folder, target = project.resolve() / FOLDER, material.target.name
    place = VaultPlace(
        folder / f"{target}.age", folder / f"{target}.recipients", key_place(material.app.name, target, env)
    )
    return Vault(target, place, {**told_by(material), **wanted_by(material)}, today)


def wanted_by(material: Material) -> dict[str, Wanted]:
    """Every name under which a service or a store of the target asks for a value."""
    found: dict[str, Wanted] = {}
    known_anyway = told(material)
    hosts = {site.name for site in material.target.sites if site.kind == "host"}
    for written in material.variables:
        # What is only right on the author's machine has to be told on a server.
        there = not written.build and bool(hosts & set(material.target.place.get(written.service, ())))
        one = on_a_server(written) if there else written
        if one.setting:
            known = found.get(one.setting)
            services = (*known.services, one.service) if known else (one.service,)
            optional = one.setting in known_anyway or (one.default is not None and (known is None or known.optional))
            generated = one.origin == "generated"
            found[one.setting] = Wanted(one.setting, tuple(dict.fromkeys(services)), generated, optional, one.why)
    return {**_in_files(material), **found}


def _in_files(material: Material) -> dict[str, Wanted]:
    """The names whose values are files of a service on a host: its `secrets` and `configs` with `environment:`."""
    hosts = {site.name for site in material.target.sites if site.kind == "host"}
    found: dict[str, Wanted] = {}
    for service in material.app.services:
        written = material.containers.get(service.name)
        there = written is not None and bool(hosts & set(material.target.place.get(service.name, ())))
        for given in written.files if written is not None and there else ():
            if given.variable is not None:
                known = found.get(given.variable)
                services = (*(known.services if known else ()), service.name)
                why = f"the content of the {given.kind} at {given.target}"
                found[given.variable] = Wanted(
                    given.variable, services, generated=False, optional=False, why=known.why if known else why
                )
    return found


def own_of(material: Material) -> dict[str, Wanted]:
    """What may be told of a target besides what it asks for.

    On hosts that is the name of the app, who may fetch its images, and the limits and rights of each container.
    """
    found = dict(OWN)
    for site in front_door.hosts(material.target):
        known = [(one.name, text) for one in layout(material, site).containers for text in _told_of(one)]
        for name, text in [("front door", (front_door.HOST,)), *known]:
            for one in settings_in(text):
                why = one.hint or f"how `{name}` runs"
                found.setdefault(one.name, Wanted(one.name, (name,), generated=False, optional=True, why=why))
    why = "how the hosts log in to the registry of the images"
    known_by = Wanted("", ("registry",), generated=False, optional=True, why=why)
    return {**found, **{name: replace(known_by, name=name) for name in REGISTRY_NAMES}}


def _told_of(one: HostContainer) -> Iterable[Text]:
    return (one.image, one.memory, one.read_only)


def told_by(material: Material) -> dict[str, Wanted]:
    """The names that towline.yaml itself asks for: the addresses of those who are told how a deploy went."""
    why = "the address to which `notify` sends how a deploy went"
    return {
        one.secret: Wanted(one.secret, ("notify",), generated=False, optional=True, why=why)
        for one in material.app.notices
    }


def write_environment(path: Path, text: str) -> None:
    """Write an environment file that nobody else may read."""
    try:
        write_atomic(path, text, mode=0o600)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or '').lower()}", hint="ls -ld") from error


def _listed(name: str, wanted: Wanted | None, kept: Kept | None) -> Listed:
    if wanted is None:
        state: State = "unused"
    elif kept is not None:
        state = "set"
    else:
        state = "optional" if wanted.optional else "missing"
    services = wanted.services if wanted else ()
    why = wanted.why if wanted else "nothing of this target asks for it"
    return Listed(name, state, services, kept.since if kept else None, kept.how if kept else None, why)


def _refuse_unusable(values: Mapping[str, Secret]) -> None:
    findings = list(_unusable(values.items()))
    if findings:
        raise Findings(tuple(findings))


def _unusable(values: Iterable[tuple[str, Secret]]) -> Iterable[Finding]:
    for name, value in values:
        if not NAME.match(name):
            yield Finding("secret-name", f"`{name}` is no name of a variable", None, "use letters, digits and _")
        elif not value.reveal():
            yield Finding("secret-empty", f"{name} has no value", None, f"towline secrets remove {name}")
        elif "\0" in value.reveal():
            yield Finding("secret-nul", f"the value of {name} has a NUL, which no environment can hold", None, "base64")
