"""The local site's pure parts: process tables, command lines, configuration files, Caddy's JSON, routes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from towline.core.errors import Defect, StepFailed
from towline.drivers.local import bucket, caddy, configs, data, routes, servers
from towline.drivers.local.starts import refuse_other_writer
from towline.steps.kinds import Instance, Probe

ROUTES = json.dumps(
    {
        "app": "cards",
        "port": 7080,
        "default": "web",
        "services": [
            {"name": "api", "kind": "proxy", "hosts": ["api.cards.localhost"], "slots": 3, "port": 20001},
            {"name": "gen", "kind": "proxy", "hosts": [], "slots": 2, "port": 20002},
            {"name": "media", "kind": "fixed", "hosts": ["media.cards.localhost"], "dial": "127.0.0.1:20003"},
            {"name": "web", "kind": "files", "hosts": ["web.cards.localhost"]},
        ],
    }
)


def instance(**changes: object) -> Instance:
    """An instance of a web service."""
    plain: dict[str, object] = {
        "name": "api.1f.1",
        "service": "api",
        "revision": "1f",
        "runs": "service",
        "ready": Probe("http", within=20, path="/health", status=204),
        "port": 20010,
        "command": ("node", "server.js"),
        "stop_within": 8.0,
    }
    return Instance(**{**plain, **changes})  # type: ignore[arg-type]


def table(one: Instance) -> dict[str, object]:
    """Its process table, started in a plain way."""
    return servers.process_table(one, servers.Start(("node", "server.js"), "/app", "/blobs/e"))


def door(text: str = ROUTES) -> dict[str, object]:
    """Caddy's configuration for these routes."""
    plain = caddy.config(routes.read(text), admin_socket="/run/t/door", listen=("127.0.0.1:7080", "[::1]:7080"))
    assert json.loads(json.dumps(plain)) == plain
    servers_: dict[str, object] = plain["apps"]["http"]["servers"]
    return servers_


def test_a_table_says_how_to_run_to_ask_and_to_stop() -> None:
    """Everything that the supervisor needs, with the environment as a file and never as values."""
    one = instance(memory=1000, ready=Probe("http", within=20, path="/health", host="h", status=204))
    found = table(one)
    labels = found.pop("labels")
    assert found == {
        "name": "api.1f.1",
        "command": ["node", "server.js"],
        "cwd": "/app",
        "restart": "always",
        "stop": {"signal": "TERM", "within": 8.0},
        "ready": {"http": "http://127.0.0.1:20010/health", "status": 204, "within": 20, "host": "h"},
        "env_file": "/blobs/e",
        "memory": 1000,
    }
    assert isinstance(labels, dict)
    assert all(isinstance(value, str) for value in labels.values())
    assert servers.instance_of(labels) == one
    assert servers.instance_of({}) is None


def test_readiness_follows_the_probe() -> None:
    """A port that accepts, or being alive for a while; without a port there is nothing to ask."""
    tcp = instance(ready=Probe("tcp", within=5))
    assert table(tcp)["ready"] == {"tcp": "127.0.0.1:20010", "within": 5}
    for alive in (instance(ready=Probe("lives", within=5, settle=0.7)), instance(port=None)):
        assert "ready" not in table(alive)
        assert table(alive)["settle"] == alive.ready.settle


def test_postgres_is_stopped_fast() -> None:
    """INT whatever the instance says, with time for a checkpoint."""
    one = instance(runs="postgres", stop_signal="TERM", stop_within=3.0)
    assert table(one)["stop"] == {"signal": "INT", "within": 20.0}


def test_postgres_listens_on_loopback() -> None:
    """The words of the command line, behind what hides root."""
    argv = servers.postgres(Path("/b/postgres"), ("unshare", "-U"), port=20001, data=Path("/d"), run=Path("/r"))
    assert argv[:5] == ("unshare", "-U", "/b/postgres", "-D", "/d")
    assert "listen_addresses=127.0.0.1" in argv
    assert "unix_socket_directories=/r" in argv
    assert "max_connections=200" in argv


def test_initdb_takes_the_password_from_a_file() -> None:
    """scram for everybody, also on the socket, and an order of text that does not depend on the machine."""
    argv = servers.initdb(Path("/b/initdb"), (), data=Path("/d"), password_file=Path("/c/pw"))
    assert argv[:3] == ("/b/initdb", "-D", "/d")
    assert {"--pwfile=/c/pw", "scram-sha-256", "--locale-provider=builtin"} <= {*argv}


def test_every_flag_of_weed_is_said() -> None:
    """All ports, no telemetry, no extra servers, no bucket that deletes itself; no secret."""
    ports = {name: 21000 + number for number, name in enumerate(servers.WEED_PORTS)}
    place = servers.WeedPlace(Path("/d"), Path("/c/s3.json"), Path("/r"), "http://media.localhost:7080")
    argv = servers.weed(Path("/b/weed"), place, ports)
    assert argv[:3] == ("/b/weed", "-logtostderr", "mini")
    expected = {
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.autoCreateBucket=false",
        "-s3.externalUrl=http://media.localhost:7080",
        "-s3.config=/c/s3.json",
        *(f"-{name}={port}" for name, port in ports.items()),
    }
    assert expected <= {*argv}


@pytest.mark.parametrize(
    ("use", "wanted"),
    [
        ("queue", ['maxmemory-policy "noeviction"', 'appendonly "yes"', 'appendfsync "everysec"', "save 900 1"]),
        ("cache", ['maxmemory-policy "allkeys-lru"', 'appendonly "no"', 'save ""']),
    ],
)
def test_valkey_has_a_configuration_for_each_use(use: str, wanted: list[str]) -> None:
    """Whatever a password or a path has in it stays one word."""
    text = configs.valkey({"use": use, "maxmemory": "64mb"}, password='a"b\\c', port=20002, folder="/with space/d")
    lines = text.splitlines()
    assert {'bind "127.0.0.1"', 'dir "/with space/d"', 'requirepass "a\\"b\\\\c"', 'maxmemory "64mb"'} <= {*lines}
    assert {*wanted} <= {*lines}


def test_s3_keys_open_what_they_should() -> None:
    """The app's key one bucket, the administrator's all."""
    settings = {"bucket": "cards-media", "access_key": "A", "admin_access_key": "B"}
    plain = json.loads(configs.s3(settings, secret_key="s", admin_secret_key="t"))
    app, admin = plain["identities"]
    assert app["actions"] == ["Read:cards-media", "Write:cards-media", "List:cards-media", "Tagging:cards-media"]
    assert app["credentials"] == [{"accessKey": "A", "secretKey": "s"}]
    assert "Admin" in admin["actions"]


def test_pages_behind_the_door_may_upload() -> None:
    """One star an origin, which is all that S3 allows."""
    assert bucket.origins("http://media.cards.localhost:7080") == ["http://*.localhost:7080"]
    assert bucket.origins("http://media.cards.localhost") == ["http://*.localhost"]


def test_a_proxied_service_reads_its_addresses_from_files() -> None:
    """One upstream a slot, tried for a while, answers marked with who gave them, streams not held back."""
    found = door()
    assert list(found) == ["door", "service api", "service gen"]
    route = found["door"]["routes"][0]  # type: ignore[index]
    assert route["match"] == [{"host": ["api.cards.localhost"]}]
    proxy = route["handle"][0]["routes"][0]["handle"][0]
    assert [one["dial"] for one in proxy["upstreams"]] == [f"{{file.door/api.{number}}}" for number in (1, 2, 3)]
    assert proxy["load_balancing"]["try_duration"] == caddy.TRY_FOR
    assert caddy.UPSTREAM_HEADER in proxy["headers"]["response"]["set"]


def test_other_services_have_a_listener_of_their_own() -> None:
    """A service without hosts has no public route, and one port of loopback."""
    found = door()
    assert found["service gen"]["listen"] == ["127.0.0.1:20002"]  # type: ignore[index]
    assert "gen" not in json.dumps(found["door"])
    assert found["door"]["listen"] == ["127.0.0.1:7080", "[::1]:7080"]  # type: ignore[index]


def test_the_default_service_has_the_machines_names() -> None:
    """And the others do not."""
    hosts = [route["match"][0]["host"] for route in door()["door"]["routes"] if "match" in route]  # type: ignore[index]
    assert hosts[-1] == ["web.cards.localhost", "localhost", "127.0.0.1", "::1"]
    assert all("localhost" not in names for names in hosts[:-1])


def test_an_unknown_host_is_told_the_known_ones() -> None:
    """The last route, with what a person can open: no bucket, no inner service."""
    last = door()["door"]["routes"][-1]["handle"][0]  # type: ignore[index]
    assert last["status_code"] == 404
    assert 'href="http://api.cards.localhost:7080"' in last["body"]
    assert "media" not in last["body"]


def test_names_cannot_break_out_of_the_page() -> None:
    """What the user calls things is text."""
    text = ROUTES.replace('"app": "cards"', '"app": "<b>&"')
    assert "&lt;b&gt;&amp; answers at" in door(text)["door"]["routes"][-1]["handle"][0]["body"]  # type: ignore[index]


def test_the_admin_interface_is_a_private_socket() -> None:
    """No port, nothing persisted."""
    plain = caddy.config(routes.read(ROUTES), admin_socket="/run/t/door", listen=())
    assert plain["admin"] == {"listen": "unix//run/t/door|0600", "config": {"persist": False}}


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"port": 1, "services": [{"name": "a", "kind": "x"}]}'])
def test_other_routes_are_a_defect(text: str) -> None:
    """They are made by Towline itself."""
    with pytest.raises(Defect):
        routes.read(text)


@pytest.mark.parametrize(
    ("kind", "wrote", "server", "fits"),
    [
        ("postgres", "18", "18", True),
        ("postgres", "17", "18", False),
        ("postgres", "19", "18", False),
        ("redis", "8", "9", True),
        ("redis", "10", "9", False),
        ("bucket", "3", "4", True),
        ("bucket", "strange", "4", False),
    ],
)
def test_which_server_opens_which_data(kind: str, wrote: str, server: str, *, fits: bool) -> None:
    """PostgreSQL its own major only, the others also what is older."""
    found, here = data.Written(kind, wrote), data.Written(kind, server)
    if fits:
        refuse_other_writer("s", found, here)
    else:
        with pytest.raises(StepFailed, match=f"{kind} {wrote}"):
            refuse_other_writer("s", found, here)


def test_data_of_another_kind_is_not_opened() -> None:
    """A store that was a queue and is a database now."""
    with pytest.raises(StepFailed, match="written by redis, not by postgres"):
        refuse_other_writer("s", data.Written("redis", "9"), data.Written("postgres", "18"))
