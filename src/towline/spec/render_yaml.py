"""A render.yaml read as what it says of the app: services, stores, variables; what it cannot say is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from towline.spec.guess.model import Guess
from towline.spec.guess.platforms import Runtime, dockerfile, moved, site_dockerfile, text_at
from towline.spec.guess.render_values import Reading, dicts, in_shell, start_line, variables
from towline.spec.write_compose import Translated, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.source import Source

_KINDS = {"web": "web", "pserv": "private", "worker": "worker", "static": "static"}
_POSTGRES = "17"
_NOT_SAID = {
    "ipAllowList": "who may reach it is decided by where it is placed",
    "disk": "its disk becomes a volume; better a bucket, which every copy can reach",
    "headers": "its headers have no line in towline.yaml",
    "routes": "its routes have no line in towline.yaml; the address of every service is its own",
    "initialDeployHook": "its first deploy's hook is not run",
}


def translate_render(source: Source) -> Translated:
    """The services and stores of a render.yaml as Compose services; never raises for what is written in it."""
    reading = Reading(source)
    value = source.value if isinstance(source.value, dict) else {}
    resources = list(_resources(reading, value))
    for one in resources:
        for database in dicts(one.get("databases")):
            _database(reading, database)
        for service in dicts(one.get("services")):
            if text_at(service, "type") in {"redis", "keyvalue"}:
                _key_value(reading, service)
    groups = {
        text_at(group, "name"): dicts(group.get("envVars"))
        for one in resources
        for group in dicts(one.get("envVarGroups"))
    }
    plain = [
        (reading.names.free(text_at(service, "name") or "service"), service)
        for one in resources
        for service in dicts(one.get("services"))
        if text_at(service, "type") not in {"redis", "keyvalue"}
    ]
    reading.raw.update(plain)
    for name, service in plain:
        _service(reading, name, service)
    for name, service in plain:
        variables(reading, name, service, groups)
    return Translated(
        source.place,
        reading.services,
        tuple(reading.told),
        tuple(reading.otherwise),
        tuple(reading.findings),
        reading.notes,
    )


def _resources(reading: Reading, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where services may stand: the file itself, what belongs to no project, the first environment of each project."""
    yield value
    if isinstance(value.get("ungrouped"), dict):
        yield value["ungrouped"]
    for project in dicts(value.get("projects")):
        environments = dicts(project.get("environments"))
        yield from environments[:1]
        if environments[1:]:
            reading.tell("not-written", "Only the first environment of a project is read; the others are targets", None)


def _database(reading: Reading, raw: dict[str, Any]) -> None:
    written = text_at(raw, "name") or "db"
    name = reading.names.free(written)
    if re.search(r"redis|valkey|cache", written):
        reading.tell("not-written", f"`{name}` stands below `databases:` and is named like a redis: it is read as one")
        reading.services[name] = {"image": "valkey/valkey:9"}
        reading.stores[written] = (name, "redis", "")
        return
    major = text_at(raw, "postgresMajorVersion")
    if not re.fullmatch(r"\d{1,2}", major):
        reading.tell(
            "not-written",
            f"`{name}` names no major version of Postgres; {_POSTGRES} is assumed",
            "postgresMajorVersion",
        )
        major = _POSTGRES
    user = _word(text_at(raw, "user") or written)
    database = _word(text_at(raw, "databaseName") or written)
    password = f"${{{_word(written).upper()}_PASSWORD:-only-on-this-machine}}"
    reading.services[name] = {
        "image": f"postgres:{major}",
        "environment": {"POSTGRES_USER": user, "POSTGRES_PASSWORD": password, "POSTGRES_DB": database},
    }
    reading.stores[written] = (name, "postgres", f"{user} {password} {database}")


def _key_value(reading: Reading, raw: dict[str, Any]) -> None:
    written = text_at(raw, "name") or "redis"
    name = reading.names.free(written)
    policy = text_at(raw, "maxmemoryPolicy").replace("_", "-") or "allkeys-lru"
    body: dict[str, Any] = {"image": "valkey/valkey:9"}
    if re.fullmatch(r"[a-z]+(-[a-z]+)?", policy) and policy != "noeviction":
        body["command"] = ["valkey-server", "--maxmemory-policy", policy]
        if not text_at(raw, "maxmemoryPolicy"):
            reading.notes[name, "command"] = "the platform's own default: it drops keys when memory is short"
    elif policy == "noeviction":
        body["command"] = ["valkey-server", "--maxmemory-policy", "noeviction", "--appendonly", "yes"]
    reading.services[name] = body
    reading.stores[written] = (name, "redis", "")


def _word(text: str) -> str:
    word = re.sub(r"[^A-Za-z0-9_]", "_", text)[:60]
    return word if word[:1].isalpha() else f"db_{word}"


def _service(reading: Reading, name: str, raw: dict[str, Any]) -> None:
    """A service without its variables."""
    runtime = text_at(raw, "runtime") or text_at(raw, "env")
    kind = "static" if runtime == "static" else _KINDS.get(text_at(raw, "type"))
    body = _made_of(reading, name, raw, "static" if kind == "static" else runtime)
    reading.services[name] = body
    if text_at(raw, "type") == "cron" or kind is None:
        body["restart"] = "no"
        reason = f"runs by a schedule ({text_at(raw, 'schedule') or 'not told'}), of which towline.yaml knows nothing"
        reading.told.append(Guess(("services", name, "omit"), True, reason, "unsure"))  # noqa: FBT003
        hint = "run it from a worker that is `single`, or from outside with `towline exec`"
        reading.tell("not-written", f"`{name}` {reason}: it is left out", hint)
        return
    reading.guess(name, "kind", kind, f"`type: {text_at(raw, 'type')}` in {reading.source.place}")
    _facts(reading, name, raw, kind)
    kept = raw.get("disk") if isinstance(raw.get("disk"), dict) else {}
    for key, sentence in _NOT_SAID.items():
        if raw.get(key) and not (key == "disk" and text_at(kept, "name").endswith("-single")):
            reading.tell("not-written", f"`{name}`: {sentence}")


def _facts(reading: Reading, name: str, raw: dict[str, Any], kind: str) -> None:
    """What the file states of a service beside what it is made of."""
    body = reading.services[name]
    path = text_at(raw, "healthCheckPath")
    if kind in {"web", "private"} and re.fullmatch(r"/[^\s?#]*", path):
        reading.guess(name, "ready", path, "healthCheckPath")
    listed = raw.get("domains")
    domains = [text_at(raw, "domain"), *(str(one) for one in (listed if isinstance(listed, list) else []))]
    good = [one for one in domains if re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", one)]
    if good and kind in {"web", "static"}:
        reading.guess(name, "domain", good[0], "its first domain")
    delay = raw.get("maxShutdownDelaySeconds")
    if isinstance(delay, int) and not isinstance(delay, bool) and 0 < delay <= 300:
        body["stop_grace_period"] = f"{delay}s"
    copies = raw.get("numInstances")
    if isinstance(copies, int) and not isinstance(copies, bool) and 1 < copies <= 100:
        reading.guess(name, "scale", copies, "numInstances")
    disk = raw.get("disk") if isinstance(raw.get("disk"), dict) else {}
    mount = text_at(disk, "mountPath")
    if text_at(disk, "name").endswith("-single"):
        reading.guess(name, "single", True, "its disk is there so that the old one stops first")  # noqa: FBT003
    elif re.fullmatch(r"/[\w./-]+", mount):
        body["volumes"] = [f"{name}-data:{mount}"]
    _released(reading, name, in_shell(text_at(raw, "preDeployCommand")), kind)


def _released(reading: Reading, name: str, line: str, kind: str) -> None:
    """The command before a deploy, the first one that the file has; it starts where the service does."""
    if not line or kind == "static" or any(one.field == ("release", "run") for one in reading.told):
        return
    cwd = next((one.value for one in reading.told if one.field == ("services", name, "cwd")), "")
    inner, folder = moved(line)
    reason = f"preDeployCommand of {name} in {reading.source.place}"
    reading.told.append(Guess(("release", "in"), name, reason, "sure"))
    reading.told.append(Guess(("release", "run"), inner if folder == cwd else line, "preDeployCommand", "sure"))


def _made_of(reading: Reading, name: str, raw: dict[str, Any], runtime: str) -> dict[str, Any]:
    """Image, Dockerfile, or the Dockerfile that the platform's own builder amounts to."""
    image = raw.get("image") if isinstance(raw.get("image"), dict) else {}
    root = _folder(text_at(raw, "rootDir"))
    start, cwd = moved(start_line(raw)[0])
    if text_at(image, "url") or runtime == "image":
        body: dict[str, Any] = {"image": literal(text_at(image, "url") or "scratch")}
        return {**body, **({"command": ["/bin/sh", "-c", literal(start)]} if start else {})}
    if runtime == "docker":
        context = _folder(text_at(raw, "dockerContext")) if text_at(raw, "dockerContext") else root
        build: dict[str, Any] = {"context": context}
        path = text_at(raw, "dockerfilePath").removeprefix("./")
        if path:
            inside = path.removeprefix(context.removeprefix("./") + "/")
            build["dockerfile"] = literal(inside)
        return {"build": build, **({"command": ["/bin/sh", "-c", literal(start)]} if start else {})}
    made, built_in = moved(text_at(raw, "buildCommand"))
    cwd = cwd or built_in
    if cwd:
        reading.guess(name, "cwd", cwd, "its commands begin with `cd` into it")
    version = next(
        (text_at(one, "value") for one in dicts(raw.get("envVars")) if str(one.get("key")).endswith("_VERSION")), ""
    )
    if runtime == "static":
        return {"build": {"context": root, "dockerfile_inline": literal(_site(reading, name, raw, made, cwd))}}
    known = Runtime(runtime, version)
    if not known.known:
        reading.tell(
            "not-written",
            f"`{name}` has the runtime `{runtime[:30]}`, of which no image is known",
            "correct its Dockerfile",
        )
    if made:
        reason = "buildCommand; no lock file tells another line"
        reading.otherwise.append(Guess(("services", name, "setup"), made, reason, "unsure"))
    if not start:
        reading.guess(name, "run", None, "it has no startCommand: the shell line that starts it")
    return {"build": {"context": root, "dockerfile_inline": literal(dockerfile(known, made, start, cwd))}}


def _site(reading: Reading, name: str, raw: dict[str, Any], made: str, cwd: str) -> str:
    published = text_at(raw, "staticPublishPath").strip("/").removeprefix("./")
    output = published.removeprefix(f"{cwd}/") if cwd else published
    if made:
        reading.guess(name, "build", made, "buildCommand")
    good = bool(output) and ".." not in output.split("/")
    reading.guess(name, "output", output if good else None, "staticPublishPath" if good else "the folder of its files")
    return site_dockerfile(made, cwd, published or ".")


def _folder(text: str) -> str:
    parts = [part for part in text.split("/") if part not in {"", "."}]
    return literal(f"./{'/'.join(parts)}") if parts and ".." not in parts else "."
