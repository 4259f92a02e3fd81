"""The whole environment of a process: nothing of the machine but the list, bound values last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.artifact_scenes import ROOT, addresses, app, everything, service, store

from towline.artifacts.environment import OF_THE_MACHINE, as_contents, of_build, of_service
from towline.core.secret import Secret
from towline.spec.model import Binding

FOREIGN = {"AWS_SECRET_ACCESS_KEY": "x", "DATABASE_URL": "x", "PYTHONPATH": "x", "VIRTUAL_ENV": "x", "PORT": "1"}
INSTALLERS = {"PIP_INDEX_URL": "https://pip", "npm_config_registry": "https://npm", "UV_CACHE_DIR": "/uv"}


def plain(environment: dict[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in environment.items()}


def test_nothing_of_the_machine_but_the_list() -> None:
    """As in a container: a key that lies in the developer's shell does not reach the app."""
    of = app(service("api"))
    machine = {**{name: f"own {name}" for name in OF_THE_MACHINE}, **FOREIGN, **INSTALLERS, "PATH": "/bin"}
    got = plain(of_service(of, of.service("api"), addresses(of), machine))
    assert got == {
        **{name: f"own {name}" for name in OF_THE_MACHINE},
        "PATH": "/project/api/.venv/bin:/project/api/node_modules/.bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
    }


@pytest.mark.parametrize("name", ["HOME", "LANG", "TZ", "SSL_CERT_FILE", "HTTPS_PROXY", "no_proxy"])
def test_what_every_program_needs_is_given(name: str) -> None:
    """Home, language, time zone, certificates and the way out."""
    of = app(service("api"))
    assert plain(of_service(of, of.service("api"), addresses(of), {name: "given"}))[name] == "given"


def test_path_begins_with_the_services_own_programs() -> None:
    """Of the folder it starts in; a machine without PATH has the usual one behind."""
    of = app(service("api", folder=Path("/a")), service("bare", folder=ROOT))
    usual = "/usr/local/bin:/usr/bin:/bin"
    for name, folder in (("api", "/a"), ("bare", "/project")):
        for make in (of_service, of_build):
            got = make(of, of.service(name), addresses(of), {})
            assert got["PATH"] == Secret(f"{folder}/.venv/bin:{folder}/node_modules/.bin:{usual}")


def test_bound_values_win() -> None:
    """Over what Compose says, and over what the machine has."""
    of = app(
        service("api", environment={"DATABASE_URL": Secret("postgres://compose"), "TZ": Secret("compose")}),
        stores=(store("db", "postgres"),),
        bindings=(Binding("api", "DATABASE_URL", "db", "host"), Binding("other", "MODE", "db", "host")),
    )
    got = plain(of_service(of, of.service("api"), addresses(of), {"TZ": "machine", "DATABASE_URL": "machine"}))
    assert got["DATABASE_URL"] == "127.0.0.1"
    assert got["TZ"] == "compose"
    assert "MODE" not in got


def test_host_is_loopback_whatever_compose_says() -> None:
    """`HOST=0.0.0.0` is right inside a container and opens a laptop to its network."""
    of = app(service("api", environment={"HOST": Secret("0.0.0.0"), "PYTHONUNBUFFERED": Secret("0")}))
    got = plain(of_service(of, of.service("api"), addresses(of), {"HOST": "0.0.0.0"}))
    assert got["HOST"] == "127.0.0.1"
    assert got["PYTHONUNBUFFERED"] == "0"


def test_path_is_this_machines_whatever_compose_says() -> None:
    """A PATH of a container leads nowhere here; the service's own environments come first."""
    of = app(service("api", environment={"PATH": Secret("/app/bin")}))
    got = plain(of_service(of, of.service("api"), addresses(of), {"PATH": "/usr/bin"}))
    assert got["PATH"].endswith("/node_modules/.bin:/usr/bin")
    assert "/app/bin" not in got["PATH"]


def test_a_static_build_gets_build_variables_and_its_bindings_only() -> None:
    """What is built is public: nothing of the running environment may get into it."""
    of = everything()
    page = of.service("page")
    got = plain(of_build(of, page, addresses(of), {**FOREIGN, **INSTALLERS, "HOME": "/h"}))
    assert got == {
        "HOME": "/h",
        "PATH": "/project/page/.venv/bin:/project/page/node_modules/.bin:/usr/local/bin:/usr/bin:/bin",
        **INSTALLERS,
        "VITE_TITLE": "canary-build",
        "VITE_API": "http://api.shop.localhost:20000",
    }


def test_setup_gets_no_key_of_a_store() -> None:
    """An installer runs the code of strangers."""
    of = everything()
    got = of_build(of, of.service("api"), addresses(of), {})
    assert set(got) == {"PATH"}


def test_contents_are_json_in_the_order_of_names() -> None:
    """Equal environments have equal contents, in whatever order they were written."""
    one, two = Secret("1"), Secret('"zwei"')
    assert as_contents({"B": two, "A": one}) == as_contents({"A": one, "B": two})
    text = as_contents({"B": two, "A": one}).reveal()
    assert list(json.loads(text)) == ["A", "B"]
    assert json.loads(text) == {"A": "1", "B": '"zwei"'}
