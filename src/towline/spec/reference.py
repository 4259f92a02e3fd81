"""Print the reference pages and the JSON schema of towline.yaml from the models themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from towline.spec.codes import CODES, WARNINGS
from towline.spec.model import SERVICE_REFERENCES, STORE_REFERENCES
from towline.spec.page import (
    Entry,
    HooksEntry,
    JobEntry,
    NoticeEntry,
    Page,
    ReadyEntry,
    ReleaseEntry,
    ScaleEntry,
    SeedEntry,
    ServiceEntry,
    SiteEntry,
    StoreEntry,
    TargetEntry,
    UploadEntry,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_FILE = "towline.schema.json"

_SECTIONS: tuple[tuple[str, type[Entry]], ...] = (
    ("The page", Page),
    ("services: NAME", ServiceEntry),
    ("services: NAME: ready", ReadyEntry),
    ("services: NAME: scale", ScaleEntry),
    ("stores: NAME", StoreEntry),
    ("release", ReleaseEntry),
    ("seed", SeedEntry),
    ("verify: job", JobEntry),
    ("verify: job: file", UploadEntry),
    ("hooks", HooksEntry),
    ("notify: NAME", NoticeEntry),
    ("targets: NAME", TargetEntry),
    ("targets: NAME: sites: NAME", SiteEntry),
)

EXAMPLE = """\
# yaml-language-server: $schema=towline.schema.json
app: postcards                          # part of every address: http://api.postcards.localhost:7080

services:                               # only what the Compose file cannot say
  api:
    kind: web
    ready: /health                      # or {path: /health, within: 90s}
    setup: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
  worker:
    max_job: 2m                         # a job in hand gets that long when a new version comes
    scale: 2
  relay: {kind: worker, single: true}   # never two at once
  web:
    kind: static
    build: npm ci && npm run build
    output: dist
  migrate: {omit: true}                 # the release command below does its work

stores:
  db: {kind: postgres}
  queue: {kind: redis, use: queue}      # drops nothing, writes to disk
  cache: {kind: redis, use: cache, service: redis-cache}
  media: {kind: bucket, public: true}

bind:                                   # addresses by reference, never by a copied value
  "*":                                  # all services that run code
    DATABASE_URL: db.url
    REDIS_URL: queue.url
    S3_ENDPOINT: media.endpoint
  web:                                  # a static service gets only what is written here, when it is built
    VITE_API_URL: api.url

release:
  in: api
  run: python -m postcards.migrate
  backup_first: true

verify:
  job:
    service: api
    path: /api/cards
    file: {field: photo, path: sample/photo.jpg}
    fields: {greeting: hello}
    follow: "/api/cards/{id}"
    until: {state: done}
    within: 30s
    object: image_url
    content_type: image/jpeg

seed:                                   # once a target, when it is new
  run: python -m postcards.seed

hooks:                                  # on the machine that deploys to hosts
  before: ./scripts/ready-to-deploy
  failed: ./scripts/wake-somebody

notify:                                 # by the name of the secret that holds the address
  SLACK_URL: {form: slack}
  STATUS_PAGE_URL: {on: failed}

targets:
  laptop:                               # always there; written only to change it
    sites:
      local: {kind: local, port: 7080}
    place: {"*": local}
  production:
    shape: hybrid
    sites:
      cloud: {kind: render, region: frankfurt}
      box: {kind: host, ssh: deploy@203.0.113.7}
    place: {web: cloud, api: cloud, db: cloud, "*": box}
    budget: $40/month
"""
"""A page with every section; a test reads it, so it stays true."""


def reference_files() -> dict[str, str]:
    """All printed files by name."""
    return {
        "towline-yaml.md": page_reference(),
        "findings.md": findings_reference(),
        SCHEMA_FILE: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
    }


def schema() -> dict[str, Any]:
    """The JSON schema of towline.yaml, for editors."""
    made = Page.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "towline.yaml",
        "description": "Where an app runs that a Compose file describes.",
    }


def page_reference() -> str:
    """The manual page of towline.yaml."""
    return "\n".join(
        [*_head(), *(line for title, model in _SECTIONS for line in _section(title, model)), *_attributes()]
    )


def _head() -> Iterator[str]:
    yield "# towline.yaml"
    yield ""
    yield "One page beside the Compose file. The Compose file says what the app is; this page says where it runs, and"
    yield "what Compose cannot say. Every field has a default unless it is marked *required*. Unknown keys are refused."
    yield "Mistakes are told all at once, each with its line: [findings](findings.md)."
    yield ""
    yield f"Editors complete and check it with [{SCHEMA_FILE}]({SCHEMA_FILE})."
    yield ""
    yield "Spans are written `500ms`, `30s`, `2m`, `1h30m` or as a number of seconds; sizes `512MB`, `1GiB` or as a"
    yield "number of bytes. Shell lines are run by `/bin/sh -c` in the service's folder (`cwd`)."
    yield ""
    yield "```yaml"
    yield from EXAMPLE.splitlines()
    yield "```"
    yield ""


def _section(title: str, model: type[Entry]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    described = model.model_json_schema(by_alias=True)
    wanted = described.get("required", [])
    for name, field in _fields(described).items():
        meaning, default = _meaning(field.get("description", ""))
        shown = "*required*" if name in wanted else default or _default(field)
        yield f"| `{name}` | {_type(field, described)} | {shown} | {meaning} |"
    yield ""


def _fields(described: dict[str, Any]) -> dict[str, Any]:
    """The properties, also of a section for which a shorter form may be written."""
    forms = [described, *described.get("anyOf", [])]
    return next((form["properties"] for form in forms if "properties" in form), {})


def _meaning(description: str) -> tuple[str, str]:
    """What a field means, and its default where that is told in words."""
    text = " ".join(description.split()).replace("|", "\\|")
    meaning, _, default = text.partition(" Default: ")
    return meaning, default.removesuffix(".")


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value in (None, {}, []) or (isinstance(value, dict) and field.get("type") != "object"):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)) and field.get("title") == "span":
        return f"`{value / 60:.0f}m`" if value >= 120 else f"`{value:.0f}s`"
    return f"`{json.dumps(value) if isinstance(value, dict) else value}`"


def _type(field: dict[str, Any], described: dict[str, Any]) -> str:
    """A field's type in words."""
    forms = [form for form in field.get("anyOf", [field]) if form.get("type") != "null"]
    return " or ".join(dict.fromkeys(_form(form, field, described) for form in forms))


def _form(form: dict[str, Any], field: dict[str, Any], described: dict[str, Any]) -> str:
    if "enum" in form:
        return ", ".join(f"`{value}`" for value in form["enum"])
    if "$ref" in form or "properties" in form:
        return "section"
    title = form.get("title", field.get("title", ""))
    if title == "URL path" or (title and title == title.lower()):
        return str(title)
    if form.get("type") == "object":
        named: dict[str, Any] = form.get("patternProperties", {})
        inner: dict[str, Any] = form.get("additionalProperties") or next(iter(named.values()), {})
        return f"names to {_form(inner, inner, described)}" if inner else "names to texts"
    if form.get("type") == "array":
        return f"{_form(form.get('items', {}), {}, described)}, or a list of them"
    return {"integer": "number", "boolean": "`true` or `false`", "string": "text"}.get(str(form.get("type")), "text")


def _attributes() -> Iterator[str]:
    yield "## What a binding may ask"
    yield ""
    yield "A binding is `VARIABLE: name.attribute`. The name is a store or a service; the attribute is one of these."
    yield ""
    yield "| of | attributes |"
    yield "|---|---|"
    for kind, attributes in {**STORE_REFERENCES, **SERVICE_REFERENCES}.items():
        noun = "store" if kind in STORE_REFERENCES else "service"
        yield f"| {noun} of kind `{kind}` | {', '.join(f'`{one}`' for one in attributes)} |"
    yield ""
    yield "Workers and tasks have no attributes: nothing calls them."
    yield ""


def findings_reference() -> str:
    """The table of all findings."""
    lines = [
        "# Findings",
        "",
        "What Towline can find in a Compose file and in towline.yaml. All findings are told at once, each with its",
        "file and line and a hint. An error stops everything before anything is started; a warning stops nothing.",
        "No finding ever holds the value of a variable.",
        "",
        "| code | level | meaning |",
        "|---|---|---|",
    ]
    for code, meaning in CODES.items():
        level = "warning" if code in WARNINGS else "error"
        level = "error or warning" if code == "missing-variable" else level
        lines.append(f"| `{code}` | {level} | {meaning} |")
    return "\n".join(lines) + "\n"
