"""Which variable learns which address: by what it holds, and by what stands beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.spec.addresses import asked_attribute, beside, purpose
from towline.spec.guess.forms import Form, differs, form_of, why_not
from towline.spec.guess.images import is_pooler
from towline.spec.guess.model import Guess
from towline.spec.guess.written import other_names
from towline.spec.model import SERVICE_REFERENCES, STORE_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from towline.core.secret import Secret
    from towline.spec.container import Container
    from towline.spec.guess.model import Confidence
    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Call, Scene
    from towline.spec.guess.stores import StoreGuess

_REFERENCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_BUCKET_WORDS = {"AWS", "S3", "MINIO", "STORAGE", "BUCKET", "SPACES", "R2", "OBJECT", "BLOB", "MEDIA", "ASSETS"}
_OF_A_BUCKET = (
    (re.compile(r"(?:^|_)BUCKET(?:_NAME)?$"), "bucket"),
    # Before the next one, which would take AWS_SECRET_ACCESS_KEY for the other half of the pair.
    (re.compile(r"SECRET(?:_ACCESS)?_?KEY$|ACCESS_?SECRET$|ROOT_PASSWORD$"), "secret_key"),
    (re.compile(r"ACCESS_?KEY(?:_ID)?$|(?:^|_)KEY_ID$|ROOT_USER$"), "access_key"),
    (re.compile(r"REGION$"), "region"),
)
_PASSWORD = re.compile(r"PASS(?:WORD)?$|PWD$|AUTH$|SECRET$")
_SAME_VALUE = (
    (re.compile(r"PASS(?:WORD)?$|PWD$"), "POSTGRES_PASSWORD", "password"),
    (re.compile(r"USER(?:NAME)?$"), "POSTGRES_USER", "user"),
    (re.compile(r"(?:DB|DATABASE|NAME|DBNAME)$"), "POSTGRES_DB", "database"),
)


@dataclass(frozen=True)
class Bind:
    """A variable of a service and what fills it; `reference` is None where nothing can."""

    service: str
    variable: str
    reference: str | None
    reason: str
    confidence: Confidence = "likely"
    static: bool = False


def binds(scene: Scene, roles: Iterable[Role], stores: Mapping[str, StoreGuess]) -> Iterator[Bind]:
    """Every variable of a service that holds an address, or a part of one."""
    by_name = {role.name: role for role in roles}
    pooled = _pooled(scene, stores)
    for role in by_name.values():
        if role.runs or role.kind == "static":
            calls = [call for call in scene.calls if call.by == role.name and _VARIABLE.match(call.variable)]
            own = {call.variable: _behind(call, pooled) for call in calls}
            found = [_of_call(scene, role, call, by_name[call.of], stores.get(call.of)) for call in own.values()]
            yield from found
            bound = {bind.variable: own[bind.variable] for bind in found if bind.reference is not None}
            for bind in _around(scene, role, bound, scene.environment(role.container), stores):
                if bind.variable not in own:
                    yield bind


def _pooled(scene: Scene, stores: Mapping[str, StoreGuess]) -> dict[str, str]:
    """The pools of connections in the Compose file, each to the Postgres behind it."""
    found: dict[str, str] = {}
    for call in scene.calls:
        container = scene.compose.container(call.by)
        if container is not None and is_pooler(container) and call.of in stores and stores[call.of].kind == "postgres":
            found.setdefault(call.by, call.of)
    return found


def _behind(call: Call, pooled: Mapping[str, str]) -> Call:
    """The call as it is meant: to the Postgres behind a pool of connections."""
    return replace(call, of=pooled[call.of], through=call.of) if call.of in pooled else call


def _of_call(scene: Scene, role: Role, call: Call, target: Role, store: StoreGuess | None) -> Bind:
    """What fills a variable that holds the address of `target`."""
    static = role.kind == "static"
    kind = target.store or target.kind
    name = store.of(call.variable) if store else target.name
    offered = STORE_REFERENCES.get(kind, ()) if store else SERVICE_REFERENCES.get(kind, ())
    form = _form(scene, call)
    if not offered or not _REFERENCE.match(name) or not call.variable.isascii():
        why = "is left out of the app" if kind == "omit" else f"is a {kind}, of which nothing can be bound"
        return Bind(role.name, call.variable, None, f"holds the address of {call.of}, which {why}", "open", static)
    refused = why_not(form, kind)
    if refused:
        return Bind(role.name, call.variable, None, f"{refused}: that of {call.of}", "open", static)
    attribute = _attribute(call, kind, form)
    if call.through and attribute == "url":
        attribute = "pooled_url"
    note = differs(form, kind)
    built = " when it is built" if call.built_in else ""
    built += f", through {call.through}" if call.through else ""
    held = f"holds the address of {call.of}{built}" if call.reached else f"holds the published port of {call.of}{built}"
    reason = f"{held}; {note}" if note else held
    return Bind(role.name, call.variable, f"{name}.{attribute}", reason, "unsure" if note else "likely", static)


def _form(scene: Scene, call: Call) -> Form:
    container = scene.compose.container(call.by)
    target = scene.compose.container(call.of)
    if container is None or target is None:
        return Form("text")
    names = (call.through or call.of, *target.aliases, *other_names(scene.compose, call.by))
    return form_of(scene.environment(container)[call.variable].reveal(), names)


def _attribute(call: Call, kind: str, form: Form) -> str:
    by = "name" if call.reached else "localhost"
    if form.shape == "host" and kind != "bucket":
        return "host"
    if kind == "bucket" and not call.reached:
        return "public_url" if form.path else "public_endpoint"
    asked = asked_attribute(call.variable, kind, by=by)
    if form.shape == "url" and asked in {"host", "port", "user", "password", "database"}:
        return {"web": "internal_url", "private": "internal_url"}.get(kind, "url")
    return asked if kind != "sqs" else ("endpoint" if "ENDPOINT" in call.variable.upper() else "url")


def _around(
    scene: Scene,
    role: Role,
    calls: Mapping[str, Call],
    environment: Mapping[str, Secret],
    stores: Mapping[str, StoreGuess],
) -> Iterator[Bind]:
    """What goes with an address: port, user, password, bucket, keys."""
    taken = set(calls)
    for call in calls.values():
        store = stores.get(call.of)
        form = _form(scene, call)
        if store is not None and store.kind == "bucket" and form.shape in {"url", "host-and-port"}:
            found = _beside_bucket(role, call, store, environment)
        elif form.shape == "host":
            found = _beside_host(scene, role, call, store, environment)
        else:
            found = iter(())
        for bind in found:
            if bind.variable not in taken:
                taken.add(bind.variable)
                yield bind


def _beside_bucket(role: Role, call: Call, store: StoreGuess, environment: Mapping[str, Secret]) -> Iterator[Bind]:
    before = re.sub(r"(?:ENDPOINT|URL|HOST|ADDRESS|ADDR)(?:_URL)?$", "", call.variable.upper())
    for variable in sorted(environment):
        # Not by the first word alone: SHOP_S3_ENDPOINT and SHOP_SESSION_SECRET_KEY have nothing to do with each other.
        near = (before and variable.upper().startswith(before)) or set(variable.upper().split("_")) & _BUCKET_WORDS
        attribute = next((what for pattern, what in _OF_A_BUCKET if pattern.search(variable.upper())), None)
        if attribute and _VARIABLE.match(variable) and (near or attribute == "bucket"):
            yield Bind(role.name, variable, f"{store.name}.{attribute}", f"stands beside {call.variable}")


def _beside_host(
    scene: Scene, role: Role, call: Call, store: StoreGuess | None, environment: Mapping[str, Secret]
) -> Iterator[Bind]:
    """Port, user, password and database beside a host: by their names, else by the values of the store's server."""
    name = store.of(call.variable) if store else call.of
    before = prefix(call.variable)
    asked = beside(call.variable, store.kind if store else "") or {f"{before}PORT": "port"}
    told = f"stands beside {call.variable}"
    for variable, attribute in asked.items():
        if variable in environment:
            yield Bind(role.name, variable, f"{name}.{attribute}", told)
        elif f"{variable}_FILE" in environment:
            reason = f"instead of {variable}_FILE, a file that is there only under Compose; let it read this"
            yield Bind(role.name, variable, f"{name}.{attribute}", reason, "unsure")
    if store is None:
        return
    if f"{before}PORT" not in environment:
        reason = f"goes with {call.variable}, and is not in the Compose file: here the port is another one"
        yield Bind(role.name, f"{before}PORT", f"{name}.port", reason, "unsure")
    server = scene.compose.container(call.of)
    for pattern, attribute, value, said in _given(server, store.kind) if server else ():
        for variable, secret in environment.items():
            if value and secret.reveal() == value and pattern.search(variable.upper()):
                yield Bind(role.name, variable, f"{name}.{attribute}", f"holds the same as {said} of {call.of}")


def _given(server: Container, kind: str) -> Iterator[tuple[re.Pattern[str], str, str, str]]:
    """What the server of a store is given: which variables may hold it too, as what, its value and its name."""
    if kind == "postgres":
        for pattern, given, attribute in _SAME_VALUE:
            if given in server.environment:
                yield pattern, attribute, server.environment[given].reveal(), given
    words = server.command or ()
    if kind == "redis" and "--requirepass" in words[:-1]:
        yield _PASSWORD, "password", words[words.index("--requirepass") + 1], "the password in the command"


def prefix(variable: str) -> str:
    """What the variables beside a host begin with: `DB_` of DB_HOST."""
    suffix = next(
        (one for one in ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR") if variable.upper().endswith(one)), ""
    )
    return variable[: len(variable) - len(suffix)] if suffix else f"{variable}_"


def spread(found: Iterable[Bind]) -> Iterator[Guess]:
    """The bindings as they stand on the page: once below `"*"` where several services agree, else below each."""
    known = list(found)
    for variable in sorted({bind.variable for bind in known}):
        running = [bind for bind in known if bind.variable == variable and not bind.static]
        same = {bind.reference or bind.reason for bind in running}
        shared = len(running) > 1 and len(same) == 1
        if shared:
            doubtful = max(running, key=lambda bind: bind.confidence == "unsure")
            yield _guess("*", doubtful, f" ({_names(running)})")
        for bind in known:
            if bind.variable == variable and not (shared and not bind.static):
                yield _guess(bind.service, bind, "")


def _guess(owner: str, bind: Bind, where: str) -> Guess:
    return Guess(("bind", owner, bind.variable), bind.reference, f"{bind.reason}{where}", bind.confidence)


def _names(found: list[Bind]) -> str:
    names = [bind.service for bind in found]
    return ", ".join(names) if len(names) < 4 else f"{len(names)} services"


def purposes(scene: Scene, name: str) -> dict[str, str]:
    """The variables that hold the address of a redis and whose names say what for."""
    held = {call.variable for call in scene.calls if call.of == name}
    return {variable: told for variable in sorted(held) for told in [purpose(variable)] if told}
