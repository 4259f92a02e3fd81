"""Where the value of a variable comes from: how it is written, and its name, tell; a secret is never written out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.artifact_scenes import app, service, store

from towline.artifacts.rendered import Variable
from towline.artifacts.variables import is_secret_name, on_a_server, serves_at_random, variables_of
from towline.core.secret import Secret
from towline.spec.container import Build, Container
from towline.spec.model import Binding
from towline.spec.source import read_source
from towline.spec.spelled import spelled_in

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARY = "canary-S3cret-value"


def found(compose: str, values: Mapping[str, Mapping[str, str]], **changes: object) -> dict[tuple[str, str], Variable]:
    """The variables of a Compose file whose values Compose says are `values`, by service and name."""
    containers = {
        name: Container(name, environment={key: Secret(value) for key, value in given.items()})
        for name, given in values.items()
    }
    spelled = spelled_in((read_source(compose, "compose.yaml", strict=False),), values)
    made = app(*(service(name) for name in values), **changes)  # type: ignore[arg-type]
    return {(one.service, one.name): one for one in variables_of(made, containers, spelled)}


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD", "DB_PASS", "MYSQL_PWD", "JWT_SECRET", "SECRET_KEY_BASE", "STRIPE_API_KEY",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SENTRY_DSN", "SLACK_WEBHOOK", "OPENAI_API_KEY",
        "SLACK_WEBHOOK_URL",
        "DATABASE_URL", "REDIS_URL", "MONGODB_URI", "AMQP_URL", "SMTP_URL", "KEY", "apiKey", "API_KEYS", "TLS_CERT",
        "PRIVATE_KEY_BASE64", "HASH_SALT", "GOOGLE_CREDENTIALS_JSON", "SIGNING_KEY_2", "AZURE_CONNECTION_STRING",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """These say that nobody may read what they hold."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PUBLIC_KEY", "VAPID_PUBLIC_KEY", "NEXT_PUBLIC_STRIPE_KEY", "STRIPE_PUBLISHABLE_KEY", "RECAPTCHA_SITE_KEY",
        "CACHE_KEY_PREFIX", "KEY_PREFIX", "TOKEN_TTL", "JWT_SECRET_EXPIRES_IN", "PASSWORD_MIN_LENGTH", "MAX_TOKENS",
        "LLM_MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYCLOAK_URL", "MONKEY", "AUTH_URL", "API_URL", "PORT", "NODE_ENV",
        "SESSION_TTL", "REQUIRE_AUTH", "LOG_LEVEL", "S3_BUCKET", "API_KEY_HEADER", "PASSTHROUGH", "SECRET_NAME",
    ],
)  # fmt: skip
def test_names_that_only_look_like_it(name: str) -> None:
    """These hold what everybody may know."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("name", "random"),
    [
        ("JWT_SECRET", True), ("SESSION_SECRET", True), ("SECRET_KEY", True), ("SECRET_KEY_BASE", True),
        ("APP_SECRET", True),
        ("PASSWORD_PEPPER", True), ("HASH_SALT", True), ("COOKIE_SECRET", True), ("NEXTAUTH_SECRET", True),
        ("JWT_SIGNING_KEY", True), ("VERIFY_TOKEN", True), ("ENCRYPTION_KEY", True), ("STRIPE_SECRET_KEY", False),
        ("GITHUB_WEBHOOK_SECRET", False), ("GOOGLE_CLIENT_SECRET", False), ("API_KEY", False),
        ("SLACK_SIGNING_SECRET", False),
        ("AWS_SECRET_ACCESS_KEY", False), ("DB_PASSWORD", False), ("GITHUB_TOKEN", False), ("S3_SECRET_KEY", False),
    ],
)  # fmt: skip
def test_what_may_be_made_at_random(name: str, random: bool) -> None:
    """A secret that only the app knows may be any text; one that somebody else gave out may not."""
    assert serves_at_random(name) is random


def test_every_way_to_write_a_value() -> None:
    """Spelled out, asked for, asked for with something in its place, in part, or not in the Compose file at all."""
    compose = """
    services:
      api:
        environment:
          MODE: fast
          RETRIES: 3
          STRICT: true
          PRICE: "$$5"
          REGION: ${REGION}
          LIMIT: ${LIMIT:-20}
          BANNER: ${BANNER-}
          NEEDED: ${NEEDED:?why}
          GREETING: Hello ${WHO:-you}
          OTHER: $ELSEWHERE
          SHELLS:
    """
    values = {"MODE": "fast", "RETRIES": "3", "STRICT": "true", "PRICE": "$5", "REGION": "eu", "LIMIT": "7"}
    values |= {"BANNER": "", "NEEDED": "x", "GREETING": "Hello you", "OTHER": "x", "SHELLS": "x", "FILED": "x"}
    told = found(compose, {"api": values})
    spelled = {name: one.value for (_, name), one in told.items() if one.origin == "spelled"}
    assert spelled == {"MODE": "fast", "RETRIES": "3", "STRICT": "true", "PRICE": "$5"}
    asked = {name: (one.setting, one.default) for (_, name), one in told.items() if one.origin == "asked"}
    assert asked == {
        "REGION": ("REGION", None), "LIMIT": ("LIMIT", "20"), "BANNER": ("BANNER", ""), "NEEDED": ("NEEDED", None),
        "GREETING": ("GREETING", None), "OTHER": ("ELSEWHERE", None), "SHELLS": ("SHELLS", None),
        "FILED": ("FILED", None),
    }  # fmt: skip


def test_lists_anchors_and_extended_services() -> None:
    """The other forms of Compose: a list of pairs, a merged mapping, and a service that builds on another."""
    compose = """
    x-all: &all {LEVEL: info, SIZE: "${SIZE:-4}"}
    services:
      base: {environment: {FROM_BASE: "1", OVER: base}}
      one: {environment: [MODE=fast, "REGION=${REGION}", SHELLS]}
      two: {environment: {<<: *all, LEVEL: debug}}
      three: {extends: base, environment: {OVER: own}}
      four: {extends: {service: base}}
      five: {extends: {service: base, file: other.yaml}}
    """
    values = {
        "one": {"MODE": "fast", "REGION": "eu", "SHELLS": "x"},
        "two": {"LEVEL": "debug", "SIZE": "4"},
        "three": {"FROM_BASE": "1", "OVER": "own"},
        "four": {"FROM_BASE": "1", "OVER": "base"},
        "five": {"FROM_BASE": "1"},
    }
    told = found(compose, values)
    assert {key: one.value for key, one in told.items() if one.origin == "spelled"} == {
        ("one", "MODE"): "fast",
        ("two", "LEVEL"): "debug",
        ("three", "FROM_BASE"): "1",
        ("three", "OVER"): "own",
        ("four", "FROM_BASE"): "1",
        ("four", "OVER"): "base",
    }
    assert told["two", "SIZE"].default == "4"


def test_a_later_file_goes_before_an_earlier_one() -> None:
    """An override that asks for a value makes it asked, whatever the first file spells."""
    first = read_source("services: {api: {environment: {MODE: fast, KIND: a}}}", "compose.yaml", strict=False)
    second = read_source('services: {api: {environment: {MODE: "${MODE}"}}}', "compose.override.yaml", strict=False)
    told = spelled_in((first, second), ["api"]).environment["api"]
    assert (told["MODE"].literal, told["KIND"].literal) == (False, True)


def test_a_secret_is_never_written_out() -> None:
    """By its name, by the name it is asked by, or by its form: what a secret holds is in no field of a variable."""
    compose = f"""
    services:
      api:
        environment:
          JWT_SECRET: {CANARY}
          STRIPE_API_KEY: {CANARY}
          ADDRESS: postgresql://me:{CANARY}@elsewhere/db
          PASSED_ON: ${{ADMIN_PASSWORD:-{CANARY}}}
          MAYBE_TOKEN: ${{MAYBE_TOKEN:-}}
          ODD: sk_live_{CANARY}
    """
    names = ("JWT_SECRET", "STRIPE_API_KEY", "PASSED_ON")
    values = dict.fromkeys(names, CANARY) | {"MAYBE_TOKEN": "", "ODD": f"sk_live_{CANARY}"}
    told = found(compose, {"api": values | {"ADDRESS": f"postgresql://me:{CANARY}@elsewhere/db"}})
    assert CANARY not in repr(told)
    assert {name: (one.origin, one.default) for (_, name), one in told.items()} == {
        "JWT_SECRET": ("generated", None),
        "STRIPE_API_KEY": ("asked", None),
        "ADDRESS": ("asked", None),
        "PASSED_ON": ("asked", None),
        "MAYBE_TOKEN": ("asked", ""),
        "ODD": ("asked", None),
    }


def test_two_services_share_a_setting_only_when_they_share_its_value() -> None:
    """One `.env` for all: the same name with another value in another service gets a name of its own."""
    compose = "services: {api: {environment: {}}, gen: {environment: {}}}"
    values = {"api": {"LEVEL": "info", "SAME": "1"}, "gen": {"LEVEL": "debug", "SAME": "1"}}
    told = found(compose, values)
    assert {key: one.setting for key, one in told.items()} == {
        ("api", "LEVEL"): "API_LEVEL",
        ("gen", "LEVEL"): "GEN_LEVEL",
        ("api", "SAME"): "SAME",
        ("gen", "SAME"): "SAME",
    }


def test_a_binding_goes_before_what_the_compose_file_says() -> None:
    """A bound variable is a reference, once, whether the Compose file has it or not."""
    made = app(
        service("api"),
        service("page", "static"),
        stores=(store("db", "postgres"),),
        bindings=(
            Binding("api", "DATABASE_URL", "db", "url"),
            Binding("api", "EXTRA", "db", "host"),
            Binding("page", "VITE_API_URL", "api", "url"),
        ),
    )
    containers = {"api": Container("api", environment={"DATABASE_URL": Secret("postgresql://a:b@db/c")})}
    told = variables_of(made, containers, spelled_in((), ["api"]))
    assert [(one.service, one.name, one.origin, one.reference, one.build) for one in told] == [
        ("api", "DATABASE_URL", "reference", "db.url", False),
        ("api", "EXTRA", "reference", "db.host", False),
        ("page", "VITE_API_URL", "reference", "api.url", True),
    ]


def test_build_arguments_are_read_when_it_is_built() -> None:
    """An argument of a build is a variable of its own; all variables of a static service are read at its build."""
    arguments = Build(Path("/project"), None, args={"VERSION": Secret("1"), "NPM_TOKEN": Secret(CANARY)})
    containers = {
        "api": Container("api", build=arguments, environment={"MODE": Secret("fast")}),
        "page": Container("page", environment={"VITE_TITLE": Secret("Shop")}),
    }
    compose = """
    services:
      api: {build: {context: ., args: {VERSION: 1, NPM_TOKEN: "${NPM_TOKEN}"}}, environment: {MODE: fast}}
      page: {environment: {VITE_TITLE: Shop}}
    """
    spelled = spelled_in((read_source(compose, "compose.yaml", strict=False),), containers)
    told = variables_of(app(service("api"), service("page", "static")), containers, spelled)
    assert [(one.name, one.origin, one.value, one.build) for one in told] == [
        ("MODE", "spelled", "fast", False),
        ("NPM_TOKEN", "asked", None, True),
        ("VERSION", "spelled", "1", True),
        ("VITE_TITLE", "spelled", "Shop", True),
    ]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("NODE_ENV", "development", ("asked", "production")),
        ("APP_ENV", "dev", ("asked", "production")),
        ("NODE_ENV", "production", ("spelled", None)),
        ("DEBUG", "true", ("asked", "false")),
        ("DEBUG", "0", ("spelled", None)),
        ("FRONTEND_URL", "http://localhost:3000", ("asked", None)),
        ("BIND", "0.0.0.0:8000", ("spelled", None)),
        ("LEVEL", "info", ("spelled", None)),
        ("NAME", "only-on-this-laptop", ("asked", None)),
    ],
)
def test_what_is_right_on_the_authors_machine_only(name: str, value: str, told: tuple[str, str | None]) -> None:
    """A server never gets `development` or an address of the author's machine by default; the rest stays."""
    plain = Variable("api", name, "spelled", value=value)
    asked = Variable("api", name, "asked", default=value, setting=name)
    assert (on_a_server(plain).origin, on_a_server(plain).default) == told
    assert on_a_server(asked).default == (told[1] if told[0] == "asked" else value)
