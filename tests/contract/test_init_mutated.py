"""Compose files with keys dropped, types changed and odd words, read by the real Compose: a page or findings."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.compose_projects import ENV

from towline.core.errors import Findings
from towline.ops.init import proposed
from towline.spec.mistakes import page_of
from towline.spec.source import read_source

CANARY = "canary-value"
PLAIN: dict[str, Any] = {
    "name": "shop",
    "services": {
        "api": {
            "build": {"context": ".", "args": {"VITE_API_URL": "http://localhost:8000"}},
            "ports": ["8000:8000", {"target": 9000, "published": "9000"}],
            "environment": [f"DATABASE_URL=postgres://u:{CANARY}@db/x", "REDIS_HOST=redis", f"TOKEN={CANARY}"],
            "env_file": ["api.env"],
            "depends_on": {"db": {"condition": "service_healthy"}},
            "healthcheck": {"test": "curl http://localhost:8000/health"},
            "volumes": ["./data:/data", "cache:/cache"],
            "labels": ["traefik.http.routers.a.rule=Host(`a.example.com`)"],
            "secrets": ["one"],
            "deploy": {"replicas": 2, "resources": {"limits": {"memory": "256M"}}},
            "stop_grace_period": "1m",
        },
        "worker": {"extends": "api", "command": "celery -A shop worker", "container_name": "w"},
        "migrate": {"build": ".", "command": ["manage.py", "migrate"], "restart": "no", "links": ["db:database"]},
        "db": {"image": "postgres:18", "environment": {"POSTGRES_PASSWORD": CANARY}, "profiles": []},
        "redis": {"image": "redis", "command": ["redis-server", "--maxmemory-policy", "allkeys-lru"]},
        "nginx": {"image": "nginx:1", "volumes": ["./nginx.conf:/etc/nginx/nginx.conf"], "network_mode": "host"},
    },
    "volumes": {"cache": None},
    "secrets": {"one": {"file": "./one"}},
}
ODD = st.sampled_from(
    ["", "a", "1", "true", "db", "db:5432", "x y", "$X", "${X:?no}", "$$", "é", "::", "/", "latest", "*"]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70000) | ODD,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ODD, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The plain file with one to three of its parts dropped, renamed or replaced."""
    root: dict[str, Any] = {"": json.loads(json.dumps(PLAIN))}
    for _ in range(draw(st.integers(1, 3))):
        around: Any = root
        key: Any = ""
        while isinstance(around[key], (dict, list)) and around[key] and draw(st.integers(0, 5)):
            around = around[key]
            key = draw(st.sampled_from(sorted(around) if isinstance(around, dict) else range(len(around))))
        how = draw(st.sampled_from(["drop", "replace", "rename"]))
        if around is root:
            continue
        if how == "replace":
            around[key] = draw(JUNK)
        elif how == "rename" and isinstance(around, dict):
            around[draw(ODD)] = around.pop(key)
        else:
            del around[key]
    return root[""]


@given(mutated())
@settings(
    max_examples=int(os.environ.get("TOWLINE_EXAMPLES", "40")), deadline=None, suppress_health_check=list(HealthCheck)
)
def test_mutated_compose_files_give_a_page_or_findings(value: Any) -> None:
    """Whatever Compose makes of the file: a page without mistakes, or its reasons; never a value in either."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "shop"
        project.mkdir()
        (project / "compose.yaml").write_text(json.dumps(value))
        (project / "api.env").write_text(f"SECRET={CANARY}\n")
        (project / "Dockerfile").write_text("FROM python:3.12\nCMD serve\n")
        (project / "nginx.conf").write_text("proxy_pass http://api:8000;\n")
        assert CANARY not in told(project)


def told(project: Path) -> str:
    """All that `init` says of a project; its page is without mistakes, its refusal has reasons."""
    try:
        found = proposed(project, env=ENV)
    except Findings as refused:
        return "; ".join(repr(finding) for finding in refused.findings)
    text = found.files["towline.yaml"]
    assert page_of(read_source(text, "towline.yaml")).findings == ()
    return text + repr(found.proposal)
