"""The variables of a render.yaml: values, references to stores and services, addresses copied by hand."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.core.errors import Where
from towline.spec.guess.model import Guess, told
from towline.spec.guess.platforms import Names, text_at
from towline.spec.write_compose import literal

if TYPE_CHECKING:
    from towline.core.errors import Finding
    from towline.spec.guess.model import Confidence
    from towline.spec.source import Source

_SCHEMED = re.compile(
    r'^export (?P<all>[A-Za-z_]\w*="http://\$[A-Za-z_]\w*"(?: [A-Za-z_]\w*="http://\$[A-Za-z_]\w*")*); '
)
_NAMED = re.compile(r"(?:^| )(\w+)=")
_OWN_ADDRESS = "RENDER_EXTERNAL_URL"
"""The variable in which the platform tells every web service its own public address."""

_PORT = 10000
"""What the platform gives a service as PORT when the file does not say."""


@dataclass
class Reading:
    """What has been read so far."""

    source: Source
    names: Names = field(default_factory=Names)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[Guess] = field(default_factory=list)
    otherwise: list[Guess] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: dict[tuple[str, ...], str] = field(default_factory=dict)
    stores: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    raw: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, code: str, sentence: str, hint: str | None = None) -> None:
        """A finding, at the line on which what it speaks of first is named."""
        named = re.search(r"`([^`]+)`", sentence)
        line = self.source.line_with(rf"(?m)^.*\bname:\s*[\"']?{re.escape(named[1])}\b") if named else None
        self.findings.append(told(code, sentence, Where(self.source.place, line), hint))

    def guess(self, service: str, key: str, value: str | int | bool | None, reason: str) -> None:
        """A line of a service that the file states; None where it should and does not."""
        confidence: Confidence = "open" if value is None else "sure"
        self.told.append(Guess(("services", service, key), value, reason, confidence))


def dicts(value: Any) -> list[dict[str, Any]]:
    """The sections among the entries of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def in_shell(line: str) -> str:
    """What a line gives to a shell, where that is all it does: `/bin/sh -c 'npm start'`."""
    if not line.startswith(("/bin/sh -c ", "sh -c ")):
        return line
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    return words[2] if len(words) == 3 else line


def start_line(raw: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """The line that starts a service, and the variables that it puts `http://` before: a render.yaml cannot put texts
    together, so that a command does it (`export API_URL="http://$API_URL"; npm start`)."""
    line = in_shell(text_at(raw, "startCommand") or text_at(raw, "dockerCommand"))
    match = _SCHEMED.match(line)
    rest = line[match.end() :] if match else line
    schemed = frozenset(_NAMED.findall(match["all"])) if match else frozenset()
    return re.sub(r"^(cd \S+ && )?exec ", r"\1", rest), schemed


def variables(reading: Reading, name: str, raw: dict[str, Any], groups: dict[str, list[dict[str, Any]]]) -> None:
    """The variables of a service, and with them its ports and what it waits for."""
    entries = []
    for one in dicts(raw.get("envVars")):
        entries += groups.get(text_at(one, "fromGroup"), []) if one.get("fromGroup") else [one]
    body = reading.services[name]
    environment: dict[str, str] = {}
    unknown: list[str] = []
    needed: set[str] = set()
    schemed = start_line(raw)[1]
    for one in entries:
        key = text_at(one, "key")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            continue
        value = _public(reading, name, one) or _value(reading, one, needed)
        value = f"http://{value}" if value and key in schemed else value
        if value is None:
            unknown.append(key)
            reading.notes[name, "environment", key] = "not in the file: write it in .env"
        environment[key] = f"${{{key}:-}}" if value is None else value
    kind = next((str(one.value) for one in reading.told if one.field == ("services", name, "kind")), "")
    _ports(reading, name, kind, environment)
    if environment:
        body["environment"] = environment
    _copied_addresses(reading, name, environment)
    if needed:
        body["depends_on"] = sorted(needed - {name})
    if unknown:
        sentence = f"`{name}` needs a value of {', '.join(unknown[:8])}, which {reading.source.place} does not hold"
        reading.tell("needs-value", sentence, "write `NAME=value` in .env")


def _public(reading: Reading, name: str, one: dict[str, Any]) -> str | None:
    """The public address of another service, by reference; on the author's machine it is the published port."""
    source = one.get("fromService")
    if not isinstance(source, dict) or text_at(source, "envVarKey") != _OWN_ADDRESS:
        return None
    written = text_at(source, "name")
    target = next((other for other, raw in reading.raw.items() if text_at(raw, "name") == written), None)
    if target is None:
        return None
    reason = f"the public address of {target}"
    reading.told.append(Guess(("bind", name, text_at(one, "key")), f"{target}.url", reason, "sure"))
    entries = dicts(reading.raw[target].get("envVars"))
    port = next((text_at(other, "value") for other in entries if other.get("key") == "PORT"), "")
    return f"http://localhost:{_port_of(port)}"


def _copied_addresses(reading: Reading, name: str, environment: dict[str, str]) -> None:
    """An address that the platform gave another service, copied by hand: here it becomes a reference."""
    known = {re.sub(r"[^a-z0-9-]", "-", text_at(raw, "name").lower()): service for service, raw in reading.raw.items()}
    kinds = {guess.field[1]: guess.value for guess in reading.told if guess.field[2:] == ("kind",)}
    for key, value in environment.items():
        match = re.fullmatch(r"(https|wss)://([a-z0-9-]+)\.onrender\.com(/.*)?", value)
        target = known.get(match[2]) if match else None
        if match is None or target is None or kinds.get(target) not in {"web", "static"}:
            continue
        plain = match[1] == "https" and (match[3] or "/") == "/"
        note = "" if plain else "; what stands around it there, the reference has not"
        reason = f"holds the address that the platform gave {target}{note}"
        reading.told.append(Guess(("bind", name, key), f"{target}.url", reason, "likely" if plain else "unsure"))


def _ports(reading: Reading, name: str, kind: str, environment: dict[str, str]) -> None:
    if kind not in {"web", "private"}:
        return
    port = _port_of(environment.get("PORT", ""))
    environment["PORT"] = str(port)
    if kind == "private":
        reading.services[name]["expose"] = [str(port)]
        return
    used = {one.partition(":")[0] for body in reading.services.values() for one in body.get("ports", ())}
    published = next(one for one in range(port, 65536 + port) if str(one) not in used)
    reading.services[name]["ports"] = [f"{published % 65536 or 1}:{port}"]


def _port_of(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536 else _PORT


def _value(reading: Reading, one: dict[str, Any], needed: set[str]) -> str | None:
    """What a variable holds, as Compose text; None when the file does not say."""
    if "value" in one:
        value = one["value"]
        return literal(str(value).lower() if isinstance(value, bool) else text_at(one, "value"))
    source = one.get("fromDatabase") or one.get("fromService")
    if not isinstance(source, dict):
        return None
    written, asked = text_at(source, "name"), text_at(source, "property")
    if written in reading.stores:
        needed.add(reading.stores[written][0])
        return _of_store(reading.stores[written], asked)
    target = next((name for name, raw in reading.raw.items() if text_at(raw, "name") == written), None)
    if target is None:
        return None
    key = text_at(source, "envVarKey")
    if key:
        entry = next((other for other in dicts(reading.raw[target].get("envVars")) if other.get("key") == key), None)
        return None if entry is None or "value" not in entry else literal(text_at(entry, "value"))
    entries = dicts(reading.raw[target].get("envVars"))
    port = _port_of(next((text_at(other, "value") for other in entries if other.get("key") == "PORT"), ""))
    forms = {"host": target, "port": str(port), "hostport": f"{target}:{port}", "url": f"http://{target}:{port}"}
    return forms.get(asked)


def _of_store(store: tuple[str, str, str], asked: str) -> str | None:
    name, kind, rest = store
    if kind == "redis":
        forms = {"connectionString": f"redis://{name}:6379", "host": name, "port": "6379"}
        return forms.get(asked)
    user, password, database = rest.split(" ")
    return {
        "connectionString": f"postgresql://{user}:{password}@{name}:5432/{database}",
        "host": name,
        "port": "5432",
        "user": user,
        "password": password,
        "database": database,
    }.get(asked)
