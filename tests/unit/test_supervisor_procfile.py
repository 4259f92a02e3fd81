"""A process table is read whole: defaults, every mistake at once, and equality of what is run."""

import json
import sys
from pathlib import Path

import pytest

from towline_supervisor.procfile import read_process, read_procfile
from towline_supervisor.report import digest, shown
from towline_supervisor.spec import Backoff, CommandReady, GiveUp, HttpReady, SettledReady, SpecErrors, Stop, TcpReady


def mistakes_of(table: dict[str, object]) -> dict[str, str]:
    with pytest.raises(SpecErrors) as caught:
        read_process(table)
    return dict(caught.value.mistakes)


def test_defaults() -> None:
    """Name and command are enough; everything else has the documented default."""
    spec = read_process({"name": "api-1f3c-1", "command": ["uvicorn", "app:app"]})
    assert spec.command == ("uvicorn", "app:app")
    assert spec.ready == SettledReady(0.3)
    assert spec.backoff == Backoff(0.5, 2.0, 30.0, 60.0)
    assert spec.give_up == GiveUp(5, 60.0)
    assert spec.stop == Stop("TERM", 10.0, group=False)
    assert (spec.restart, spec.vital, spec.memory, spec.after) == ("always", False, None, ())


def test_everything_given() -> None:
    """Every key of the reference is read to its value."""
    spec = read_process(
        {
            "name": "db",
            "command": ["postgres"],
            "cwd": "/data",
            "env_file": "/run/db.json",
            "env": {"B": "2", "A": "1"},
            "after": ["disk"],
            "ready": {"tcp": "[::1]:5432", "within": 5, "owned": False},
            "restart": "on-failure",
            "backoff": {"first": 1, "factor": 3, "most": 9, "reset_after": 10},
            "give_up": {"times": 2, "within": 7},
            "stop": {"signal": "INT", "within": 3, "group": True},
            "vital": True,
            "memory": "512MB",
            "labels": {"service": "db"},
        }
    )
    assert spec.ready == TcpReady("::1", 5432, 5.0, owned=False)
    assert spec.env == (("A", "1"), ("B", "2"))
    assert (spec.cwd, spec.env_file, spec.memory) == ("/data", "/run/db.json", 512_000_000)
    assert (spec.backoff, spec.give_up) == (Backoff(1.0, 3.0, 9.0, 10.0), GiveUp(2, 7.0))
    assert (spec.stop, spec.restart, spec.vital) == (Stop("INT", 3.0, group=True), "on-failure", True)
    assert spec.labels == (("service", "db"),)


def test_http_readiness_has_a_host_header() -> None:
    """The header is the one given, else the host and port of the address; the status is 200 unless said."""
    given_header = read_process(
        {
            "name": "a",
            "command": ["x"],
            "ready": {"http": "http://127.0.0.1:3001/h?x=1", "host": "api.localhost", "status": 204},
        }
    ).ready
    assert given_header == HttpReady(
        "http://127.0.0.1:3001/h?x=1", "127.0.0.1", 3001, "/h?x=1", "api.localhost", 204, 60.0, sys.platform == "linux"
    )
    plain = read_process({"name": "a", "command": ["x"], "ready": {"http": "http://localhost:8000"}}).ready
    assert isinstance(plain, HttpReady)
    assert (plain.header, plain.path, plain.status) == ("localhost:8000", "/", 200)


def test_command_readiness() -> None:
    """A readiness command is an argument list."""
    ready = read_process({"name": "a", "command": ["x"], "ready": {"command": ["pg_isready", "-q"]}}).ready
    assert ready == CommandReady(("pg_isready", "-q"), 30.0)


def test_all_mistakes_at_once() -> None:
    """One reading reports every mistake, each at its own path, and suggests the key that was meant."""
    found = mistakes_of(
        {
            "name": "API!",
            "command": [],
            "comand": ["x"],
            "cwd": "relative",
            "env": {"A": 1},
            "ready": {"http": "https://127.0.0.1/", "within": 0},
            "restart": "sometimes",
            "stop": {"signal": "KILL"},
            "give_up": {"times": 0},
            "memory": "lots",
            "vital": "yes",
        }
    )
    assert set(found) == {
        "process.name",
        "process.command",
        "process.comand",
        "process.cwd",
        "process.env",
        "process.ready.http",
        "process.ready.within",
        "process.restart",
        "process.stop.signal",
        "process.give_up.times",
        "process.memory",
        "process.vital",
    }
    assert "did you mean command?" in found["process.comand"]


@pytest.mark.parametrize(
    ("ready", "path"),
    [
        ({}, "process.ready"),
        ({"http": "http://127.0.0.1/", "tcp": "127.0.0.1:1"}, "process.ready"),
        ({"http": "http://example.com/"}, "process.ready.http"),
        ({"tcp": "127.0.0.1:70000"}, "process.ready.tcp"),
        ({"tcp": "nowhere"}, "process.ready.tcp"),
        ({"command": "pg_isready"}, "process.ready.command"),
        ({"tcp": "127.0.0.1:1", "status": 200}, "process.ready.status"),
        ({"tcp": "127.0.0.1:1", "within": float("nan")}, "process.ready.within"),
        ({"tcp": "127.0.0.1:1", "within": True}, "process.ready.within"),
    ],
)
def test_unusable_readiness(ready: dict[str, object], path: str) -> None:
    """A condition that could never be asked, or that a resolver might block, is refused at its path."""
    assert path in mistakes_of({"name": "a", "command": ["x"], "ready": ready})


def test_env_values_are_never_repeated() -> None:
    """Neither a mistake nor the shown table holds the value of a variable."""
    assert "hunter2" not in str(mistakes_of({"name": "a", "command": ["x"], "env": {"P=Q": "hunter2"}}))
    spec = read_process({"name": "a", "command": ["x"], "env": {"PASSWORD": "hunter2"}})
    assert shown(spec)["env"] == ["PASSWORD"]
    assert "hunter2" not in json.dumps(shown(spec))


def test_equal_when_run_the_same_way() -> None:
    """A default written out is the same process; another variable is another one."""
    short = read_process({"name": "a", "command": ["x"]})
    long = read_process({"command": ["x"], "name": "a", "restart": "always", "stop": {"signal": "TERM"}})
    other = read_process({"name": "a", "command": ["x"], "env": {"A": "1"}})
    assert short == long
    assert short != other


def test_digest_is_that_of_the_given_table() -> None:
    """A client can compute the digest itself, whatever the order of the keys; the value is from `sha256sum`."""
    first = digest(read_process({"name": "a", "command": ["x"]}))
    second = digest(read_process({"command": ["x"], "name": "a"}))
    # printf '{"command":["x"],"name":"a"}' | sha256sum
    assert first == second == "1ef99a9c1329c3c0f55ea16af3430e1a08296ebee6c6053866741fb84a675329"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"hold": "0.0.0.0:80", "ready": {"tcp": "127.0.0.1:81"}}, "with an address of this machine only"),
        ({"hold": "127.0.0.1", "ready": {"tcp": "127.0.0.1:81"}}, "must look like 127.0.0.1:8333"),
        ({"hold": "127.0.0.1:80"}, "needs `ready` with http or tcp"),
        ({"hold": "127.0.0.1:80", "ready": {"command": ["true"]}}, "needs `ready` with http or tcp"),
    ],
)
def test_connections_are_held_on_this_machine_for_a_process_that_listens(
    table: dict[str, object], sentence: str
) -> None:
    """Nothing else has an address to lead them to, and nobody from outside may come in this way."""
    with pytest.raises(SpecErrors, match=sentence):
        read_process({"name": "a", "command": ["x"], **table})
    assert read_process({"name": "a", "command": ["x"]}).hold is None


def test_a_file_holds_no_connections() -> None:
    """In a container nobody would say when they may go on."""
    whole = {"process": {"a": {"command": ["x"], "hold": "127.0.0.1:80", "ready": {"tcp": "127.0.0.1:81"}}}}
    with pytest.raises(SpecErrors, match="for clients of the control socket"):
        read_procfile(whole, Path("/"))


def test_mistakes_of_a_whole_file() -> None:
    """A name nobody has, a circle and a wrong key are all reported together."""
    with pytest.raises(SpecErrors) as caught:
        read_procfile(
            {
                "nam": "x",
                "process": {
                    "a": {"command": ["x"], "after": ["b"]},
                    "b": {"command": ["x"], "after": ["a"]},
                    "c": {"command": ["x"], "after": ["d"]},
                },
            },
            Path("/"),
        )
    found = dict(caught.value.mistakes)
    assert found["nam"] == "is not known; did you mean name?"
    assert found["process.a.after"] == "waits for itself: a after b after a"
    assert found["process.c.after"] == "names d, which is no process of this file"
