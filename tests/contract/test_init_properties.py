"""Whatever stands in the files, guessing gives a page without mistakes, the same one each time, and never a value."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.spec.compose import ComposeConfig, config_of
from towline.spec.dockerfile import read_dockerfile
from towline.spec.ground import Ground
from towline.spec.guess.model import CODES, Proposal
from towline.spec.guess.page_text import page_text, scalar
from towline.spec.guess.propose import propose
from towline.spec.guess.scene import Scene
from towline.spec.guess.surroundings import Folder
from towline.spec.mistakes import page_of
from towline.spec.procfile import READ, translate_procfile
from towline.spec.render_yaml import translate_render
from towline.spec.source import Source, read_source
from towline.spec.write_compose import Translated, compose_text, config

CANARY = "canary-value"
ROOT = Path("/app/shop")
# Enough to notice a slip while working; `TOWLINE_EXAMPLES=5000` looks harder.
RELAXED = settings(
    max_examples=int(os.environ.get("TOWLINE_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

ENVIRONMENT = {
    "DATABASE_URL": f"postgresql://u:{CANARY}@db:5432/{CANARY}?x=1",
    "DB_HOST": "db",
    "DB_PASSWORD_FILE": "/run/secrets/db",
    "REDIS_URL": f"redis://:{CANARY}@redis:6379/2",
    "CACHE_URL": f"redis://:{CANARY}@redis:6379/1",
    "CELERY_BROKER_URL": "redis://redis:6379",
    "MONGO_URL": f"mongodb://{CANARY}@mongo:27017",
    "MONGO_HOST": "mongo",
    "S3_ENDPOINT": "http://minio:9000",
    "S3_BUCKET": CANARY,
    "S3_PUBLIC_URL": f"http://localhost:9000/{CANARY}",
    "API_URL": f"http://api:8000/{CANARY}",
    "ML": "ml:50051",
    "PORT": "8000",
}
BUILD = {"context": "/app/shop", "args": {"VITE_API_URL": "http://localhost:8000", "TOKEN": CANARY}}
SERVICES: dict[str, dict[str, Any]] = {
    "api": {
        "build": BUILD,
        "ports": [{"target": 8000, "published": "8000"}],
        "environment": ENVIRONMENT,
        "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
        "healthcheck": {"test": ["CMD", "curl", "http://localhost:8000/health"]},
        "container_name": "api-1",
        "volumes": [{"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime"}],
        "secrets": [{"source": "db"}],
    },
    "worker": {"build": BUILD, "command": ["celery", "-A", "shop", "worker"], "environment": ENVIRONMENT},
    "beat": {"build": BUILD, "command": ["celery", "-A", "shop", "beat"], "stop_grace_period": "1m30s"},
    "migrate": {"build": BUILD, "command": ["python", "manage.py", "migrate", f"--password={CANARY}"], "restart": "no"},
    "ml": {"build": BUILD, "expose": ["8001"], "privileged": True},
    "web": {"build": BUILD, "ports": [{"target": 80, "published": "80"}], "environment": ENVIRONMENT},
    "nginx": {"image": "nginx:1.27", "ports": [{"target": 80}], "network_mode": "host"},
    "db": {
        "image": "postgres",
        "environment": {"POSTGRES_PASSWORD": CANARY},
        "ports": [{"target": 5432, "published": "5"}],
    },
    "redis": {"image": "redis:7", "command": ["redis-server"]},
    "mongo": {"image": "mongo:8"},
    "minio": {"image": "minio/minio", "ports": [{"target": 9000, "published": "9000"}]},
    "mc": {"image": "minio/mc", "entrypoint": ["sh", "-c", "mc mb l/x; mc anonymous set public l/x/a"]},
    "sqs": {"image": "localstack/localstack"},
    "mail": {"image": "axllent/mailpit"},
}
DOCKERFILE = """FROM node AS b
WORKDIR /w
RUN x
FROM nginx:1
COPY --from=b /w/dist /usr/share/nginx/html
HEALTHCHECK CMD curl http://localhost/up
"""

ODD = st.sampled_from(
    [
        *("", "a", "true", "null", "1", "a.b", "-x", "_y", "A B", "é", "db", "api", "redis", "\0", "\n", "x: y", "# z"),
        *("'", '"', "{", "*", "&a", "@", "%", "latest", "mysql", "npm run x", "sh -c", "/health", "postgres://db/x"),
        *("http://localhost:8000", "$X", "${X}", "::", "9" * 30, "x" * 300, "\u2028", "🙂", "worker", "migrate"),
        "python manage.py migrate",
    ]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6), ODD)
JUNK = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3), max_leaves=6
)
NAMES = st.text(alphabet="abcXYZ019._-", min_size=1, max_size=12).filter(lambda name: name[0].isalnum())


def mutated(draw: st.DrawFn, value: Any, junk: st.SearchStrategy[Any], times: int = 6) -> Any:
    """A copy of `value` with some of its parts dropped, replaced or renamed."""
    root = {"": copy.deepcopy(value)}
    for _ in range(draw(st.integers(0, times))):
        around: Any = root
        key: Any = ""
        while isinstance(around[key], (dict, list)) and around[key] and draw(st.integers(0, 3)):
            around = around[key]
            key = draw(st.sampled_from(sorted(around) if isinstance(around, dict) else range(len(around))))
        how = draw(st.sampled_from(["drop", "replace", "rename"]))
        if around is root or how == "replace":
            around[key] = draw(junk)
        elif how == "rename" and isinstance(around, dict):
            around[draw(ODD)] = around.pop(key)
        else:
            del around[key]
    return root[""]


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with some of its parts dropped, renamed or replaced by anything."""
    return mutated(draw, value, JUNK)


@st.composite
def configs(draw: st.DrawFn) -> ComposeConfig:
    """What Compose could answer: services and keys dropped, renamed, filled oddly; the raw file is anything at all."""
    services: dict[str, Any] = {}
    for name, body in SERVICES.items():
        if draw(st.integers(0, 4)) == 0:
            continue
        kept = {key: copy.deepcopy(value) for key, value in body.items() if draw(st.integers(0, 5))}
        for key in ("image", "restart"):
            if key in kept and draw(st.integers(0, 3)) == 0:
                kept[key] = draw(ODD)
        if "command" in kept and draw(st.integers(0, 2)) == 0:
            kept["command"] = draw(st.lists(ODD, max_size=3))
        for variable in draw(st.lists(st.sampled_from(sorted(ENVIRONMENT)), max_size=2)):
            kept.setdefault("environment", {})[variable] = draw(ODD)
        if draw(st.integers(0, 3)) == 0:
            kept.setdefault("environment", {})[draw(ODD)] = CANARY
        services[name if draw(st.integers(0, 5)) else draw(NAMES)] = kept
    raw = mutated(draw, {"services": SERVICES}, JUNK)
    return config_of({"name": draw(ODD) or "shop", "services": services}, ROOT, (Source("compose.yaml", raw),))


@st.composite
def folders(draw: st.DrawFn) -> dict[str, Folder]:
    """What could lie in the folders of the services."""
    found = {}
    for name in draw(st.lists(st.sampled_from(sorted(SERVICES)), max_size=4, unique=True)):
        text = draw(st.one_of(st.just(DOCKERFILE), st.text(alphabet="FROM nginx:COPY/ab \n$", max_size=60)))
        scripts = {key: draw(ODD) for key in draw(st.lists(st.sampled_from(["build", "start", "dev"]), max_size=3))}
        found[name] = Folder(
            ground=Ground(read_dockerfile(text.encode())),
            dockerfile=text,
            cwd=draw(st.sampled_from([None, "packages/web"])),
            names=frozenset(
                draw(st.lists(st.sampled_from(["package.json", "uv.lock", "go.mod", "yarn.lock"]), max_size=3))
            ),
            scripts={key: value for key, value in scripts.items() if value.isprintable()},
            packages=frozenset(draw(st.lists(st.sampled_from(["vite", "bullmq", "next"]), max_size=2))),
            proxy=draw(
                st.sampled_from(["", "proxy_pass http://api:8000;", "fastcgi_pass ml:9000;", "server web:99999;"])
            ),
        )
    return found


def judged(proposal: Proposal, source: str = "compose.yaml") -> str:
    """The page of a proposal, which is without mistakes; and everything that is told, as one text."""
    text = page_text(proposal, source)
    read = page_of(read_source(text, "towline.yaml"))
    assert read.findings == (), (read.findings, text)
    assert all(guess.reason for guess in proposal.guesses)
    assert {finding.code for finding in proposal.findings} <= set(CODES)
    assert {finding.level for finding in proposal.findings} <= {"warning"}
    json.dumps([guess.as_json() for guess in proposal.guesses])
    return f"{text}{proposal!r}"


@given(configs(), folders())
@RELAXED
def test_any_compose_file_gives_a_page(compose: ComposeConfig, around: dict[str, Folder]) -> None:
    """No answer of Compose and no raw file makes guessing fail; the page has no mistake, no value, twice the same."""
    scene = Scene(compose, around)
    proposal = propose(scene)
    assert CANARY not in judged(proposal)
    assert propose(Scene(compose, around)) == proposal


def judged_translation(translated: Translated) -> None:
    """The Compose file can be read, and the page for it is without mistakes."""
    if not translated.services:
        return
    written = read_source(compose_text(translated, "shop"), "compose.yaml")
    assert written.findings == (), (written.findings, compose_text(translated, "shop"))
    assert list(written.value["services"]) == list(translated.services)
    scene = Scene(config(translated, ROOT, "shop"), {}, translated.told, translated.otherwise)
    judged(propose(scene))
    assert {finding.code for finding in translated.findings} <= set(CODES)


RENDER = {
    "envVarGroups": [{"name": "g", "envVars": [{"key": "A", "value": 1}]}],
    "databases": [{"name": "db", "databaseName": "x", "postgresMajorVersion": "16"}, {"name": "my-redis"}],
    "projects": [
        {"name": "p", "environments": [{"name": "e", "services": [{"type": "web", "name": "q", "runtime": "go"}]}]}
    ],
    "services": [
        {
            "type": "web",
            "name": "api",
            "runtime": "node",
            "rootDir": "api",
            "buildCommand": "cd x && npm ci\nnpm run build",
            "startCommand": "npm start",
            "healthCheckPath": "/up",
            "domains": ["a.example.com"],
            "disk": {"name": "d", "mountPath": "/data"},
            "numInstances": 2,
            "preDeployCommand": "npm run migrate",
            "maxShutdownDelaySeconds": 60,
            "envVars": [
                {"key": "DATABASE_URL", "fromDatabase": {"name": "db", "property": "connectionString"}},
                {"key": "REDIS", "fromService": {"name": "kv", "type": "keyvalue", "property": "connectionString"}},
                {"key": "ML", "fromService": {"name": "ml", "type": "pserv", "property": "hostport"}},
                {"key": "COPY", "fromService": {"name": "ml", "type": "pserv", "envVarKey": "K"}},
                {"key": "S", "sync": False},
                {"fromGroup": "g"},
            ],
        },
        {
            "type": "pserv",
            "name": "ml",
            "runtime": "docker",
            "dockerfilePath": "./ml/Dockerfile",
            "envVars": [{"key": "K", "value": "$1"}],
        },
        {"type": "web", "name": "site", "env": "static", "buildCommand": "make", "staticPublishPath": "dist"},
        {"type": "cron", "name": "c", "runtime": "python", "schedule": "* * * * *", "startCommand": "x"},
        {"type": "worker", "name": "w", "runtime": "image", "image": {"url": "a/b:1"}},
        {"type": "keyvalue", "name": "kv", "maxmemoryPolicy": "allkeys_lru", "ipAllowList": []},
    ],
}


@given(changed(RENDER))
@RELAXED
def test_any_render_yaml_gives_files_that_can_be_read(value: Any) -> None:
    """Keys dropped, types changed, odd words: always a Compose file that can be read and a page without mistakes."""
    judged_translation(translate_render(Source("render.yaml", value)))


ABOUT = {
    "addons": ["heroku-postgresql", {"plan": "jawsdb"}, "cloudamqp"],
    "env": {"A": "1", "B": {"value": "2"}, "C": {"generator": "secret"}},
    "formation": {"web": {"quantity": 3}},
}
PROCESSES = st.tuples(st.sampled_from(["web", "worker", "release", "clock", "x y", "1", "urgent_queue"]), ODD)


@given(
    st.lists(PROCESSES, max_size=5),
    st.dictionaries(st.sampled_from(READ), ODD | st.just("psycopg\nredis\n"), max_size=4),
    changed(ABOUT),
    ODD,
)
@RELAXED
def test_any_procfile_gives_files_that_can_be_read(
    lines: list[tuple[str, str]], files: dict[str, str], about: Any, more: str
) -> None:
    """The same of a Procfile and what lies beside it."""
    text = "\n".join(f"{name}: {command}" for name, command in lines)
    judged_translation(translate_procfile(text + more, {**files, "app.json": json.dumps(about)}))
    judged_translation(translate_procfile(text, files))


@given(st.one_of(ODD.filter(str.isprintable), st.text(max_size=12).filter(str.isprintable)))
@settings(max_examples=500, deadline=None)
def test_a_value_is_read_back_as_it_was(value: str) -> None:
    """Whatever a line says, YAML reads it back as the same text."""
    assert read_source(f"a: {scalar(value)} # why\n", "x").value == {"a": value}
