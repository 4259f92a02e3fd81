"""Every variable of an app, and where its value comes from: decided by how it is written, and by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.artifacts.rendered import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from towline.core.secret import Secret
    from towline.spec.container import Container
    from towline.spec.model import App, Service
    from towline.spec.spelled import Spelled, Written

_SECRET_WORDS = frozenset({
    "PASSWORD", "PASSWORDS", "PASSWD", "PASS", "PWD", "PASSPHRASE", "SECRET", "SECRETS", "TOKEN", "TOKENS", "KEY",
    "KEYS", "APIKEY", "CREDENTIAL", "CREDENTIALS", "CREDS", "DSN", "SALT", "PEPPER", "WEBHOOK", "CERT", "PEM", "AUTH",
})  # fmt: skip
_AFTER = frozenset({"ID", "BASE", "B64", "BASE64", "HEX", "JSON", "OLD", "NEW", "CURRENT", "PREVIOUS"})
"""Words that may follow one of them without making it harmless: SECRET_KEY_BASE, AWS_ACCESS_KEY_ID."""

_HARMLESS_BEFORE = frozenset({
    "PUBLIC", "PUBLISHABLE", "SITE", "MAX", "MIN", "NUM", "CACHE", "SORT", "PARTITION", "PRIMARY", "FOREIGN", "BYPASS",
    "REQUIRE", "ENABLE", "DISABLE", "USE", "ALLOW", "PER",
})  # fmt: skip
_WITH_ADDRESS = re.compile(
    r"(?:^|_)(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|MYSQL|MONGO|MONGODB|REDIS|VALKEY|AMQP|RABBITMQ|BROKER|SMTP|MAIL|MAILER|"
    r"CONNECTION|WEBHOOK|HOOK)_?(?:URL|URI|STRING)$"
)
_CREDENTIALS_IN = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_KNOWN_FORMS = re.compile(
    r"^(?:sk[-_]|rk_|ghp_|gho_|github_pat_|glpat-|xox[abpr]-|AKIA|ASIA|eyJ[A-Za-z0-9]|-----BEGIN)"
)

_OWN = frozenset({
    "JWT", "SESSION", "SESSIONS", "COOKIE", "COOKIES", "APP", "AUTH", "NEXTAUTH", "CSRF", "SIGNING", "SIGNATURE",
    "ENCRYPTION", "HMAC", "TOKEN", "ACCESS", "REFRESH", "INTERNAL", "FLASK", "DJANGO", "RAILS", "SECRET", "KEY", "BASE",
    "VERIFY", "PEPPER", "SALT", "PASSWORD", "HASH", "SERVER", "SERVICE",
})  # fmt: skip
"""Words of a secret that nobody but the app itself has to know."""

_RANDOM = re.compile(
    r"(?:^|_)(?:SECRET|SECRET_KEY|SECRET_KEY_BASE|SIGNING_KEY|SIGNATURE_KEY|ENCRYPTION_KEY|HMAC_KEY|JWT_KEY|SESSION_KEY|"
    r"COOKIE_KEY|PEPPER|SALT|INTERNAL_TOKEN|VERIFY_TOKEN|INTERNAL_KEY)$"
)
_ONLY_HERE = re.compile(
    r"localhost|127\.0\.0\.1|\[::1\]|host\.docker\.internal|laptop|change-?me|your[-_]", re.IGNORECASE
)
_MODE = re.compile(r"(?:^|_)(?:ENV|ENVIRONMENT|MODE)$")
_DEVELOPMENT = re.compile(r"^(?:dev|devel|development|local|test|testing|debug)$", re.IGNORECASE)
_SWITCHED_ON = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class _Place:
    """One variable of one service: what it holds, how it is written, and whether its build reads it."""

    service: str
    name: str
    value: Secret | None
    written: Written | None
    build: bool


def variables_of(app: App, containers: Mapping[str, Container], spelled: Spelled) -> tuple[Variable, ...]:
    """Every variable that the user's files give a service, in the order of the services, then by name.

    Those that a Dockerfile sets are in the image, and not among them.
    """
    places = [one for service in app.services for one in _places(service, containers.get(service.name), spelled)]
    shared = _not_shared(places)
    told = {app.job.bearer} if app.job is not None and app.job.bearer else set()
    found = []
    for service in app.services:
        bound = [
            Variable(service.name, one.variable, "reference", one.reference, build=service.kind == "static",
                     why=f"towline.yaml binds it to {one.reference}")
            for one in app.bindings_of(service.name)
        ]  # fmt: skip
        names = {one.name for one in bound}
        own = [_variable(one, shared, told) for one in places if one.service == service.name and one.name not in names]
        found += sorted((*bound, *own), key=lambda one: (one.name, one.build))
    return tuple(found)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds what nobody may read: PASSWORD, API_KEY, SENTRY_DSN; not PUBLIC_KEY."""
    words = [word for word in re.split(r"[^A-Z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()) if word]
    if _WITH_ADDRESS.search("_".join(words)):
        return True
    found = [number for number, word in enumerate(words) if word in _SECRET_WORDS]
    if not found or _HARMLESS_BEFORE & set(words[: found[-1]]):
        return False
    return all(word in _AFTER or word in _SECRET_WORDS or word.isdigit() for word in words[found[-1] + 1 :])


def serves_at_random(name: str) -> bool:
    """Whether any random text does for a secret of this name: only the app itself ever has to know it."""
    return bool(_RANDOM.search(name.upper())) and set(name.upper().split("_")) <= _OWN


def on_a_server(variable: Variable) -> Variable:
    """The variable as a server gets it: what is only right on the author's machine is asked for.

    A mode such as NODE_ENV, or DEBUG, becomes that of production; an address of `localhost` must be told.
    """
    text = variable.value if variable.origin == "spelled" else variable.default
    if not text or variable.origin not in ("spelled", "asked"):
        return variable
    production = None
    if _MODE.search(variable.name) and _DEVELOPMENT.match(text):
        production = "production"
    elif variable.name.upper().split("_")[-1] == "DEBUG" and text.lower() in _SWITCHED_ON:
        production = "false"
    elif not _ONLY_HERE.search(text):
        return variable
    why = "the Compose file's value is for the author's own machine"
    setting = variable.setting or variable.name
    return replace(variable, origin="asked", value=None, default=production, setting=setting, why=why)


def _places(service: Service, container: Container | None, spelled: Spelled) -> Iterator[_Place]:
    if container is None:
        return
    said = spelled.environment.get(service.name, {})
    for name, value in container.environment.items():
        yield _Place(service.name, name, value, said.get(name), build=service.kind == "static")
    arguments = container.build.args if container.build is not None else {}
    said = spelled.arguments.get(service.name, {})
    for name, value in arguments.items():
        if not (service.kind == "static" and name in container.environment):
            yield _Place(service.name, name, value, said.get(name), build=True)


def _setting(place: _Place) -> str:
    """The name to ask by: that of the user's own `.env` where the Compose file asks for one."""
    known = place.written
    return known.asks[0] if known is not None and known.alone and known.asks[0] else place.name


def _not_shared(places: Iterable[_Place]) -> frozenset[str]:
    """The names under which several services hold different values, so that each needs one of its own."""
    values: dict[str, set[Secret | None]] = {}
    for one in places:
        if not _stands(one):
            values.setdefault(_setting(one), set()).add(one.value)
    return frozenset(name for name, found in values.items() if len(found) > 1)


def _stands(place: _Place) -> bool:
    """Whether its value may be written out: the Compose file spells it, and nothing says that it is a secret."""
    return place.written is not None and place.written.literal and not _is_secret(place)


def _is_secret(place: _Place) -> bool:
    text = place.value.reveal() if place.value is not None else ""
    looks = bool(_CREDENTIALS_IN.search(text) or _KNOWN_FORMS.match(text))
    return looks or is_secret_name(place.name) or is_secret_name(_setting(place))


def _variable(place: _Place, not_shared: frozenset[str], told: set[str]) -> Variable:
    plain, known = Variable(place.service, place.name, "asked", build=place.build), place.written
    if _stands(place):
        text = place.value.reveal() if place.value is not None else ""
        return replace(plain, origin="spelled", value=text, why="compose.yaml says so")
    setting = _setting(place)
    if setting in not_shared:
        setting = f"{re.sub(r'[^A-Za-z0-9]+', '_', place.service).upper()}_{setting}"
    fallback = known.fallback if known is not None else None
    if not _is_secret(place):
        why = "compose.yaml takes it from its surroundings" if known is not None else "an environment file holds it"
        return replace(plain, setting=setting, default=fallback, why=why)
    if serves_at_random(place.name) or place.name in told:
        why = "a secret of the app's own: any random text serves"
        return replace(plain, origin="generated", setting=setting, why=why)
    # A secret may stay empty where the Compose file lets it; whatever else stands there is one itself.
    optional = "" if fallback == "" else None
    return replace(plain, setting=setting, default=optional, why="a secret that only you have")
