"""Whatever stands in the files, reading them gives findings and nothing else, and never a value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.core.errors import Findings
from towline.spec.check import check, in_order
from towline.spec.checks.view import View
from towline.spec.codes import CODES
from towline.spec.complaints import Known, complaints
from towline.spec.compose import ComposeConfig, config_of
from towline.spec.dockerfile import read_dockerfile
from towline.spec.ground import Ground
from towline.spec.mistakes import page_of
from towline.spec.reference import EXAMPLE
from towline.spec.resolve import resolve
from towline.spec.source import Source, read_source
from towline.spec.write import smallest_page

CANARY = "canary-S3cret-value"
VALID = read_source(EXAMPLE, "towline.yaml").value
# Enough to notice a slip while working; `TOWLINE_EXAMPLES=5000` looks harder.
RELAXED = settings(
    max_examples=int(os.environ.get("TOWLINE_EXAMPLES", "500")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

BUILD = {"context": "/app"}
SERVICES: dict[str, Any] = {
    "api": {
        "build": {**BUILD, "args": {"KEY": CANARY}},
        "ports": [{"target": 8000, "published": "8000"}],
        "environment": {
            "DATABASE_URL": f"postgres://u:{CANARY}@db/x",
            "REDIS_URL": f"redis://:{CANARY}@queue:6379",
            "CACHE_URL": f"redis://:{CANARY}@redis-cache:6379",
            "MEDIA": f"http://localhost:9000/{CANARY}",
            "PORT": CANARY,
        },
        "depends_on": {
            "db": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        },
    },
    "worker": {"build": BUILD, "command": ["work", CANARY], "environment": {"TOKEN": CANARY}, "privileged": True},
    "relay": {"build": BUILD},
    "web": {"build": BUILD},
    "migrate": {"build": BUILD, "restart": "no"},
    "db": {"image": "postgres:18", "environment": {"POSTGRES_PASSWORD": CANARY}},
    "queue": {"image": "valkey/valkey:9", "command": ["valkey-server", "--requirepass", CANARY]},
    "redis-cache": {"image": "redis:7"},
    "media": {"image": "chrislusf/seaweedfs:4.48", "ports": [{"target": 8333, "published": "9000"}]},
}
COMPOSE = config_of({"name": "postcards", "services": SERVICES}, Path("/app"), (Source("compose.yaml"),))
GROUND = {"api": Ground(read_dockerfile(f'FROM a\nWORKDIR /srv\nENV TOKEN={CANARY} LIB=/srv/x\nCMD ["a"]'.encode()))}

WORDS = st.sampled_from(
    [
        "api",
        "web",
        "worker",
        "db",
        "queue",
        "media",
        "local",
        "box",
        "*",
        "",
        "laptop",
        "db.url",
        "/x",
        "../x",
        "30s",
        "a b",
        "..",
        "\0",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), WORDS, st.just(10**30), st.just("9" * 30)
)
JUNK = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in paths_of(part, (*path, key)))]


ALL_PATHS = paths_of(VALID)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The example page with one to four of its parts replaced, dropped or renamed."""
    page = {"": json.loads(json.dumps(VALID))}
    for _ in range(draw(st.integers(1, 4))):
        path = ("", *draw(st.sampled_from(ALL_PATHS)))
        around: Any = page
        for step in path[:-1]:
            try:
                around = around[step]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(around, dict) and path[-1] in around:
            kept = around.pop(path[-1])
            how = draw(st.sampled_from(["junk", "drop", "rename"]))
            if how == "rename" and path != ("",):
                around[draw(WORDS)] = kept
            elif how == "junk" or path == ("",):
                around[path[-1]] = draw(JUNK)
    return page[""]


def judged(source: Source, target: str = "laptop", compose: ComposeConfig = COMPOSE) -> str:
    """Everything that reading says of a page, as text; each finding has a known code and a place."""
    page = page_of(source)
    app, place, layout = resolve(compose, page, target, ground=GROUND)
    findings = in_order((*page.findings, *check(View(compose, page, app, place, layout, GROUND))))
    assert {finding.code for finding in findings} <= set(CODES)
    assert all(finding.where is not None and finding.sentence for finding in findings)
    return f"{findings!r}{Findings(findings)}{Findings(findings).as_json()}{app!r}{place!r}{page!r}{compose!r}"


def test_the_example_of_the_reference_is_without_mistakes() -> None:
    """The page that the reference shows is read without a finding of its own."""
    assert page_of(read_source(EXAMPLE, "towline.yaml")).findings == ()


@given(mutated(), st.sampled_from(["laptop", "production", "other"]))
@RELAXED
def test_mutated_pages_give_findings_only(page: Any, target: str) -> None:
    """No page makes reading fail, and none makes it show what stands in the Compose file."""
    assert CANARY not in judged(Source("towline.yaml", page), target).replace(f"'work', '{CANARY}'", "")


@given(
    st.lists(
        st.tuples(st.integers(0, len(EXAMPLE)), st.text(alphabet=" \t\n:{}[]&*!%-'\"#|>?a\0", max_size=3)), max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_mutated_text_gives_findings_only(edits: list[tuple[int, str]]) -> None:
    """The same for the characters of the file."""
    text = EXAMPLE
    for position, inserted in edits:
        text = text[:position] + inserted + text[position + len(inserted) :]
    judged(read_source(text, "towline.yaml"))


@given(
    st.lists(
        st.sampled_from(["FROM", "ENV", "ARG", "CMD", "ENTRYPOINT", "EXPOSE", "WORKDIR", "SHELL", "RUN", "#"]),
        max_size=6,
    ),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_dockerfiles_never_fail(words: list[str], data: st.DataObject) -> None:
    """Any Dockerfile gives a recipe, whose repr shows no value of a variable."""
    rest = st.text(alphabet="aA1=$ {}\":-'[],\\<E/", max_size=12)
    text = "".join(f"{word} {data.draw(rest)}\n" for word in words)
    assert CANARY not in repr(read_dockerfile(f"FROM x\nENV A={CANARY}\n{text}".encode()))
    read_dockerfile(data.draw(st.binary(max_size=40)))


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_complaint_is_a_finding(stderr: str) -> None:
    """Whatever Compose prints becomes findings, without the values that are known."""
    found = complaints(
        f"{stderr}\n{CANARY}", (Source("compose.yaml"),), Known.from_files(Path("/nowhere"), (secret(),))
    )
    assert CANARY not in repr(found)


def secret() -> Source:
    """A Compose file with the canary in it."""
    return Source("compose.yaml", {"services": {"a": {"environment": [f"A={CANARY}"]}}})


def test_the_smallest_page_holds_no_value() -> None:
    """What is proposed names variables and never repeats what they hold, and is itself a page."""
    text = smallest_page(COMPOSE)
    assert CANARY not in text
    assert page_of(read_source(text, "towline.yaml")).findings == ()


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "[" * 80 + "]" * 80, "[" * 5000, "{a: " * 3000])
def test_endless_documents_end(text: str) -> None:
    """A document that holds itself, or is deeper than anybody writes, is one finding."""
    assert [finding.code for finding in read_source(text, "x").findings] == ["yaml-syntax"]
