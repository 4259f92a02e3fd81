"""A Procfile, with app.json and the manifests beside it, read as services; what they cannot say is told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.core.errors import Where
from towline.spec.guess.model import Guess, told
from towline.spec.guess.platforms import Names, Runtime, dockerfile, text_at
from towline.spec.write_compose import Translated, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.core.errors import Finding

READ = (
    "app.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "package.json",
    "Gemfile",
    "go.mod",
    "composer.json",
    "mix.exs",
    "pom.xml",
    "build.gradle",
    "Cargo.toml",
    "runtime.txt",
    ".python-version",
    ".node-version",
    ".nvmrc",
    ".ruby-version",
    "Dockerfile",
)
"""The files beside a Procfile that are looked at."""

_LINE = re.compile(r"^([A-Za-z0-9_-]+)\s*:\s*(.+)$")
_LANGUAGES = (
    ("requirements.txt", "python", "pip install -r requirements.txt", ("runtime.txt", ".python-version")),
    ("pyproject.toml", "python", "pip install .", ("runtime.txt", ".python-version")),
    ("Pipfile", "python", "pip install pipenv && pipenv install --system --deploy", ("runtime.txt", ".python-version")),
    ("Gemfile", "ruby", "bundle install", (".ruby-version",)),
    ("go.mod", "go", "go build -o /usr/local/bin/ ./...", ()),
    ("composer.json", "php", "", ()),
    ("mix.exs", "elixir", "mix local.hex --force && mix deps.get", ()),
    ("pom.xml", "java", "./mvnw -q package", ()),
    ("build.gradle", "java", "./gradlew build", ()),
    ("Cargo.toml", "rust", "cargo build --release", ()),
    ("package.json", "node", "npm install", (".node-version", ".nvmrc")),
)
_ADDONS = (
    (re.compile(r"postgres"), "postgres"),
    (re.compile(r"redis|valkey|openredis|memetria"), "redis"),
    (re.compile(r"cloudamqp|rabbitmq"), "rabbitmq"),
    (re.compile(r"jawsdb|cleardb|mysql"), "mysql"),
    (re.compile(r"bucketeer|cloudcube"), "bucket"),
)
_PACKAGES = (
    (
        re.compile(r"(?mi)^[\s\"'-]*(?:gem\s+[\"'])?(?:psycopg\w*|asyncpg|pg8000|pg|postgrex|postgresql|lib/pq|pgx)\b"),
        "postgres",
    ),
    (
        re.compile(
            r"(?mi)^[\s\"'-]*(?:gem\s+[\"'])?(?:redis|ioredis|bullmq|bull|celery\[redis\]|rq|sidekiq|redix|arq)\b"
        ),
        "redis",
    ),
)
_SERVERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "postgres": (
        "db",
        {
            "image": "postgres:17",
            "environment": {
                "POSTGRES_USER": "app",
                "POSTGRES_PASSWORD": "${DB_PASSWORD:-only-on-this-machine}",
                "POSTGRES_DB": "app",
            },
        },
        "DATABASE_URL",
        "postgresql://app:${DB_PASSWORD:-only-on-this-machine}@db:5432/app",
    ),
    "redis": ("redis", {"image": "valkey/valkey:9"}, "REDIS_URL", "redis://redis:6379"),
    "rabbitmq": ("rabbitmq", {"image": "rabbitmq:4"}, "CLOUDAMQP_URL", "amqp://rabbitmq:5672"),
    "mysql": (
        "mysql",
        {
            "image": "mysql:8.4",
            "environment": {"MYSQL_DATABASE": "app", "MYSQL_ROOT_PASSWORD": "${DB_PASSWORD:-only-on-this-machine}"},
        },
        "DATABASE_URL",
        "mysql://root:${DB_PASSWORD:-only-on-this-machine}@mysql:3306/app",
    ),
}
_PORT = 8000


@dataclass
class _Reading:
    """What has been read so far."""

    files: Mapping[str, str]
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[Guess] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: dict[tuple[str, ...], str] = field(default_factory=dict)

    def tell(
        self, code: str, sentence: str, line: int | None = None, hint: str | None = None, place: str = "Procfile"
    ) -> None:
        self.findings.append(told(code, sentence, Where(place, line), hint))


def translate_procfile(text: str, files: Mapping[str, str]) -> Translated:
    """The processes of a Procfile as Compose services; `files` are the texts of what lies beside it, of READ.

    Never raises for what is written in them.
    """
    reading = _Reading(files)
    about = _app_json(files.get("app.json", ""))
    processes = dict(_processes(reading, text))
    release = processes.pop("release", None)
    environment = _environment(reading, about)
    stores = tuple(_stores(reading, about))
    names = Names({_SERVERS[store][0] for store in stores if store in _SERVERS})
    for name, command in processes.items():
        service = names.free(name)
        _process(reading, service, command, {**environment, **_addresses(stores)}, about)
        if stores:
            reading.services[service]["depends_on"] = [_SERVERS[store][0] for store in stores]
    _released(reading, release)
    for store in stores:
        name, body, _, _ = _SERVERS[store]
        reading.services[name] = dict(body)
    return Translated("Procfile", reading.services, tuple(reading.told), (), tuple(reading.findings), reading.notes)


def _processes(reading: _Reading, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line.strip())
        if match and match[2].isprintable():
            yield match[1], match[2].strip()
        elif line.strip() and not line.lstrip().startswith("#"):
            reading.tell("not-written", "This line is no `name: command`", number)


def _app_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _environment(reading: _Reading, about: dict[str, Any]) -> dict[str, str]:
    """The variables of app.json; a value that is not there is asked of `.env`."""
    written = about.get("env")
    found: dict[str, str] = {}
    for name, entry in (written if isinstance(written, dict) else {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            continue
        value = entry if isinstance(entry, str) else text_at(entry, "value")
        found[name] = literal(value) if value and value.isprintable() else f"${{{name}:-}}"
        if found[name].startswith("${"):
            why = "is made by the platform" if text_at(entry, "generator") else "has no value"
            reading.tell("needs-value", f"`{name}` {why}", None, f"write `{name}=value` in .env", "app.json")
    return found


def _stores(reading: _Reading, about: dict[str, Any]) -> Iterator[str]:
    """The stores that the addons name; without an app.json those whose libraries are installed."""
    listed = about.get("addons")
    names = [
        one if isinstance(one, str) else text_at(one, "plan") for one in (listed if isinstance(listed, list) else [])
    ]
    found: dict[str, str] = {}
    for name in names:
        kind = next((kind for pattern, kind in _ADDONS if pattern.search(name)), None)
        if kind in _SERVERS:
            found.setdefault(str(kind), f"the addon {name[:40]}")
        elif name:
            reading.tell("not-written", f"The addon `{name[:40]}` has no equal here", None, None, "app.json")
    if not names:
        texts = [text for file, text in reading.files.items() if file not in {"app.json", "Dockerfile"}]
        for pattern, kind in _PACKAGES:
            if any(pattern.search(text) for text in texts):
                found[kind] = "a library that the app installs"
    for kind, why in found.items():
        name, _, variable, _ = _SERVERS[kind]
        sentence = f"`{name}` is guessed from {why}; its version and the variable {variable} are assumed"
        reading.tell("not-written", sentence, None, "correct compose.yaml")
        yield kind


def _addresses(stores: tuple[str, ...]) -> dict[str, str]:
    return {_SERVERS[store][2]: _SERVERS[store][3] for store in stores}


def _process(reading: _Reading, name: str, command: str, environment: dict[str, str], about: dict[str, Any]) -> None:
    body: dict[str, Any] = {"build": _build(reading), "command": ["/bin/sh", "-c", literal(command)]}
    if name == "web":
        environment = {**environment, "PORT": str(_PORT)}
        body["ports"] = [f"{_PORT}:{_PORT}"]
        reading.told.append(
            Guess(("services", name, "kind"), "web", "`web` in the Procfile takes the requests", "sure")
        )
    if environment:
        body["environment"] = environment
    formation = about.get("formation")
    copies = formation.get(name, {}) if isinstance(formation, dict) else {}
    count = copies.get("quantity") if isinstance(copies, dict) else None
    if isinstance(count, int) and not isinstance(count, bool) and 1 < count <= 100:
        reading.told.append(Guess(("services", name, "scale"), count, "the formation of app.json", "sure"))
    reading.services[name] = body


def _build(reading: _Reading) -> dict[str, Any]:
    """The Dockerfile beside it, else the one that the platform's own builder amounts to."""
    if "Dockerfile" in reading.files:
        return {"context": "."}
    found = next((one for one in _LANGUAGES if one[0] in reading.files), None)
    if found is None:
        _tell_once(
            reading, "Nothing tells the language of the app: no manifest lies beside the Procfile", "write a Dockerfile"
        )
        return {"context": ".", "dockerfile_inline": dockerfile(Runtime(""), "", "", "")}
    _, language, install, versions = found
    written = next((reading.files[file] for file in versions if file in reading.files), "")
    match = re.search(r"\d+(?:\.\d+){0,2}", written)
    runtime = Runtime(language, match[0] if match else "")
    if not match:
        _tell_once(reading, f"Nothing tells the version of {language}; {runtime.image} is assumed", None)
    return {"context": ".", "dockerfile_inline": literal(dockerfile(runtime, install, "", ""))}


def _tell_once(reading: _Reading, sentence: str, hint: str | None) -> None:
    if all(one.sentence != sentence for one in reading.findings):
        reading.tell("not-written", sentence, None, hint)


def _released(reading: _Reading, command: str | None) -> None:
    home = next((name for name in ("web", *reading.services) if name in reading.services), None)
    if command and home:
        reading.told.append(Guess(("release", "in"), home, "`release` in the Procfile", "sure"))
        reading.told.append(Guess(("release", "run"), command, "`release` in the Procfile", "sure"))
