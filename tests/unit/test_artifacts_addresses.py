"""What a reference becomes on a laptop."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from tests.unit.artifact_scenes import addresses, app, everything, facts, service, store

from towline.artifacts.addresses import wanted_values
from towline.core.secret import Secret
from towline.spec.model import SERVICE_REFERENCES, STORE_REFERENCES

PORTS = {"db": 20011, "jobs": 20012, "files": 20013, "api": 20014, "inner": 20015, "index": 20016, "door": 20010}
LOCAL = addresses(everything(), facts(ports=PORTS))


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("db.url", "postgresql://app:canary-value-db-password@127.0.0.1:20011/shop"),
        ("db.direct_url", "postgresql://app:canary-value-db-password@127.0.0.1:20011/shop"),
        ("db.pooled_url", "postgresql://app:canary-value-db-password@127.0.0.1:20011/shop"),
        ("db.host", "127.0.0.1"),
        ("db.port", "20011"),
        ("db.user", "app"),
        ("db.password", "canary-value-db-password"),
        ("db.database", "shop"),
        ("jobs.url", "redis://:canary-value-jobs-password@127.0.0.1:20012/0"),
        ("jobs.host", "127.0.0.1"),
        ("jobs.port", "20012"),
        ("jobs.user", "default"),
        ("jobs.password", "canary-value-jobs-password"),
        ("files.endpoint", "http://127.0.0.1:20013"),
        ("files.public_endpoint", "http://files.shop.localhost:20010"),
        ("files.public_url", "http://files.shop.localhost:20010/shop"),
        ("files.bucket", "shop"),
        ("files.access_key", "canary-value-files-access_key"),
        ("files.secret_key", "canary-value-files-secret_key"),
        ("files.region", "us-east-1"),
        ("api.url", "http://api.shop.localhost:20010"),
        ("api.internal_url", "http://127.0.0.1:20014"),
        ("api.host", "127.0.0.1"),
        ("api.port", "20014"),
        ("inner.url", "http://127.0.0.1:20015"),
        ("inner.internal_url", "http://127.0.0.1:20015"),
        ("inner.host", "127.0.0.1"),
        ("inner.port", "20015"),
        ("page.url", "http://page.shop.localhost:20010"),
        ("index.host", "127.0.0.1"),
        ("index.port", "20016"),
    ],
)
def test_each_reference_has_its_value(reference: str, value: str) -> None:
    """Public addresses go through the door under their name, internal ones straight to the port."""
    of, attribute = reference.split(".")
    assert LOCAL.value(of, attribute) == Secret(value)


def test_every_allowed_reference_has_a_value() -> None:
    """The closed list of what a page may ask is answered whole."""
    of = everything()
    for one in of.stores:
        assert all(LOCAL.value(one.name, name).reveal() for name in STORE_REFERENCES[one.kind])
    for each in of.services:
        assert all(LOCAL.value(each.name, name).reveal() for name in SERVICE_REFERENCES.get(each.kind, ()))


def test_user_and_database_are_quoted_in_urls_only() -> None:
    """A name with `@`, `/` or a space is whole in the URL; outside it is as written."""
    of = app(stores=(store("db", "postgres", user="a@b/c:d", database="my shop/1"),))
    local = addresses(of)
    url = urlsplit(local.value("db", "url").reveal())
    assert (url.hostname, url.port) == ("127.0.0.1", 20001)
    assert url.username == "a%40b%2Fc%3Ad"
    assert unquote(url.username) == "a@b/c:d"
    assert url.path == "/my%20shop%2F1"
    assert local.value("db", "user") == Secret("a@b/c:d")
    assert local.value("db", "database") == Secret("my shop/1")


def test_the_public_name_is_the_hostname() -> None:
    """The page may call a service otherwise under the front door."""
    local = addresses(app(service("api", hostname="www")))
    assert local.value("api", "url") == Secret("http://www.shop.localhost:20000")


def test_the_values_that_stores_need() -> None:
    """Names by kind; what an administrator uses is another value than what the app uses."""
    of = app(stores=(store("db", "postgres"), store("q", "redis"), store("b", "bucket"), store("s", "sqs")))
    assert wanted_values(of) == (
        "db.password",
        "db.admin_password",
        "q.password",
        "b.access_key",
        "b.secret_key",
        "b.admin_access_key",
        "b.admin_secret_key",
        "s.access_key",
        "s.secret_key",
    )
