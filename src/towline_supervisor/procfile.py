"""Reads what to run: one process table (JSON or TOML), or a whole TOML file, with all mistakes at once."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from towline_supervisor.order import find_cycle, start_order
from towline_supervisor.spec import (
    OWN_NAME,
    Backoff,
    CommandReady,
    GiveUp,
    HttpReady,
    ProcessSpec,
    Procfile,
    Ready,
    SettledReady,
    SpecErrors,
    Stop,
    TcpReady,
)
from towline_supervisor.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,99}$")
_URL = re.compile(r"^http://(?P<host>\[[0-9a-fA-F:.]+\]|[^/:?#\[\]@]+)(?::(?P<port>\d{1,5}))?(?P<path>/[^\s#]*)?$")
_TCP = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[^/:\[\]@]+):(?P<port>\d{1,5})$")
_LOCAL = re.compile(r"^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:.]*:[0-9a-f:.]*|localhost|.+\.localhost)$")
_LOOPBACK = ("127.0.0.1", "[::1]")
_OWNED = sys.platform == "linux"


def read_process(given: Mapping[str, object], where: str = "process", folder: Path | None = None) -> ProcessSpec:
    """One process from its table; relative paths are joined to `folder`. Raises SpecErrors with every mistake."""
    mistakes: list[tuple[str, str]] = []
    spec = _process(Table(given, where, mistakes), given, folder)
    if mistakes:
        raise SpecErrors(mistakes)
    return spec


def read_file(path: Path) -> Procfile:
    """A whole file, its processes in start order. Raises SpecErrors with every mistake."""
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecErrors([(str(path), f"cannot be read: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecErrors([(str(path), f"is not TOML: {error}")]) from None
    return read_procfile(values, path.absolute().parent)


def read_procfile(values: Mapping[str, object], folder: Path) -> Procfile:
    """A whole file from its parsed table. Raises SpecErrors with every mistake."""
    mistakes: list[tuple[str, str]] = []
    top = Table(values, "", mistakes)
    name = top.text("name", "services") or "services"
    banner = top.texts("banner") or ("All services running",)
    limit = top.table("limit")
    memory = limit.size("memory") if limit else None
    if limit:
        limit.finish()
    specs = _processes(top, folder)
    top.finish()
    mistakes += _order_mistakes(specs)
    if mistakes:
        raise SpecErrors(mistakes)
    return Procfile(name, banner, tuple(start_order(specs)), memory)


def _processes(top: Table, folder: Path) -> list[ProcessSpec]:
    tables = top.take("process")
    if not isinstance(tables, dict) or not tables:
        top.wrong("process", "must hold at least one table [process.NAME]")
        return []
    specs = []
    for name, given in tables.items():
        if not isinstance(given, dict):
            top.wrong(f"process.{name}", "must be a table")
            continue
        whole = {"name": name, **given}
        specs.append(_process(Table(whole, f"process.{name}", top.mistakes), whole, folder))
    return specs


def _order_mistakes(specs: list[ProcessSpec]) -> list[tuple[str, str]]:
    names = {spec.name for spec in specs}
    missing = [
        (f"process.{spec.name}.after", f"names {other}, which is no process of this file")
        for spec in specs
        for other in spec.after
        if other not in names
    ]
    cycle = find_cycle(specs)
    if cycle:
        missing.append((f"process.{cycle[0]}.after", f"waits for itself: {' after '.join(cycle)}"))
    return missing


def _process(table: Table, given: Mapping[str, object], folder: Path | None) -> ProcessSpec:
    spec = ProcessSpec(
        name=_name(table),
        command=table.texts("command", filled=True),
        cwd=_path(table, "cwd", folder) or (str(folder) if folder else None),
        env_file=_path(table, "env_file", folder),
        env=table.pairs("env"),
        after=table.texts("after"),
        ready=_ready(table),
        restart=table.choice("restart", ("always", "on-failure", "never"), "always"),
        backoff=_backoff(table.table("backoff")),
        give_up=_give_up(table.table("give_up")),
        stop=_stop(table.table("stop")),
        vital=table.flag("vital", default=False),
        memory=table.size("memory"),
        hold=_hold(table, folder),
        labels=table.pairs("labels"),
        given=json.dumps(given, sort_keys=True, separators=(",", ":"), default=str),
    )
    if spec.hold is not None and not isinstance(spec.ready, HttpReady | TcpReady):
        table.wrong("hold", "needs `ready` with http or tcp: connections are led to that address")
    table.finish()
    return spec


def _name(table: Table) -> str:
    name = table.text("name")
    if name is None:
        if not table.mistakes or table.mistakes[-1][0] != table.path("name"):
            table.wrong("name", "is missing")
        return ""
    if not _NAME.match(name):
        table.wrong(
            "name", "may hold a-z, 0-9, dot, underscore and dash, at most 100, and begins with a letter or digit"
        )
    if name == OWN_NAME:
        table.wrong("name", f"{OWN_NAME} is the name under which the supervisor itself speaks")
    return name


def _path(table: Table, key: str, folder: Path | None) -> str | None:
    text = table.text(key)
    if text is None:
        return None
    path = Path(text)
    if path.is_absolute():
        return text
    if folder is None:
        table.wrong(key, "must be an absolute path")
        return text
    return str(folder / path)


def _ready(table: Table) -> Ready:
    settle = table.seconds("settle", 0.3)
    inner = table.table("ready")
    if inner is None:
        return SettledReady(settle)
    kinds = [kind for kind in ("http", "tcp", "command") if inner.has(kind)]
    if len(kinds) != 1:
        table.wrong("ready", "must have exactly one of http, tcp and command")
        return SettledReady(settle)
    reader = {"http": _http, "tcp": _tcp, "command": _command}[kinds[0]]
    ready = reader(inner)
    inner.finish()
    return ready or SettledReady(settle)


def _http(table: Table) -> Ready | None:
    url = table.text("http") or ""
    header = table.text("host")
    status = table.whole("status", 200, 100, 599)
    within, owned = table.seconds("within", 60.0, 0.1), table.flag("owned", default=_OWNED)
    match = _URL.match(url)
    if not match:
        table.wrong("http", "must look like http://127.0.0.1:3001/path")
        return None
    address = _address(table, "http", match["host"], int(match["port"] or 80))
    path = match["path"] or "/"
    return HttpReady(url, *address, path, header or f"{match['host']}:{address[1]}", status, within, owned)


def _tcp(table: Table) -> Ready | None:
    match = _TCP.match(table.text("tcp") or "")
    within, owned = table.seconds("within", 30.0, 0.1), table.flag("owned", default=_OWNED)
    if not match:
        table.wrong("tcp", "must look like 127.0.0.1:5432")
        return None
    return TcpReady(*_address(table, "tcp", match["host"], int(match["port"])), within, owned)


def _hold(table: Table, folder: Path | None) -> tuple[str, int] | None:
    if not table.has("hold"):
        table.take("hold")
        return None
    if folder is not None:
        table.wrong("hold", "is for clients of the control socket: nobody else says when connections may go on")
        table.take("hold")
        return None
    match = _TCP.match(table.text("hold") or "")
    if not match or match["host"] not in _LOOPBACK:
        # What waits here is let through to a process that others may not reach.
        table.wrong("hold", "must look like 127.0.0.1:8333, with an address of this machine only")
        return None
    return _address(table, "hold", match["host"], int(match["port"]))


def _command(table: Table) -> Ready:
    return CommandReady(table.texts("command", filled=True), table.seconds("within", 30.0, 0.1))


def _address(table: Table, key: str, host: str, port: int) -> tuple[str, int]:
    bare = host.strip("[]").lower()
    if not _LOCAL.match(bare):
        # A name would need a resolver, and a resolver may block: the process to ask is on this machine anyway.
        table.wrong(key, "must name a numeric address or localhost")
    if not 0 < port < 65536:
        table.wrong(key, "has no usable port")
    return bare, port


def _backoff(table: Table | None) -> Backoff:
    if table is None:
        return Backoff()
    backoff = Backoff(
        table.seconds("first", 0.5),
        table.seconds("factor", 2.0, 1.0),
        table.seconds("most", 30.0),
        table.seconds("reset_after", 60.0),
    )
    table.finish()
    return backoff


def _give_up(table: Table | None) -> GiveUp:
    if table is None:
        return GiveUp()
    give_up = GiveUp(table.whole("times", 5, 1, 1000), table.seconds("within", 60.0, 0.1))
    table.finish()
    return give_up


def _stop(table: Table | None) -> Stop:
    if table is None:
        return Stop()
    stop = Stop(
        table.choice("signal", ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2"), "TERM"),
        table.seconds("within", 10.0),
        table.flag("group", default=False),
    )
    table.finish()
    return stop
