"""What the fields of towline.yaml may hold: spans, sizes, names, paths."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from towline.core.units import byte_count, seconds

_PREFIX = re.compile(r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)+$")

_CHANGE = re.compile(r"^(drop-(table|view|column|default|value|function|extension)|change-type|require-column) \S.*$")

# The values themselves are not repeated in a message: one of them may be a secret in the wrong place.
_SPAN_WANTED = "a span of time is wanted, for example 90s, 2m or 1h30m"
_SIZE_WANTED = "a size is wanted, for example 512MB or 1GiB"


def _read_span(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value == "":
        raise ValueError(_SPAN_WANTED)
    try:
        span = seconds(value)
    except ValueError as error:
        raise ValueError(_SPAN_WANTED) from error
    if not (math.isfinite(span) and span >= 0):
        raise ValueError(_SPAN_WANTED)
    return span


def _read_size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(_SIZE_WANTED)  # noqa: TRY004 - pydantic takes a ValueError
    try:
        size = byte_count(value)
    except ValueError as error:
        raise ValueError(_SIZE_WANTED) from error
    if size <= 0:
        raise ValueError(_SIZE_WANTED)
    return size


def _read_text(value: object) -> object:
    """18 and true are text where text is wanted: nobody should need to think about YAML's types."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _read_public(value: object) -> object:
    """One check for both forms, so that a mistake is told once and not once a form."""
    if isinstance(value, bool) or (isinstance(value, str) and _PREFIX.fullmatch(value)):
        return value
    raise ValueError("`true` is wanted, or a prefix that ends in a slash, for example `cards/`")


def read_list(value: object) -> object:
    """One word stands for a list of one."""
    return [value] if isinstance(value, (str, int, float)) else value


def read_mapping(value: object) -> object:
    """A key with nothing behind it is an empty section, not a mistake."""
    return {} if value is None else value


def _one_line(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("a command line is wanted, for example `npm run build`")
    return value


def _inside(value: str) -> str:
    parts = value.replace("\\", "/").split("/")
    if not value or value.startswith("/") or ".." in parts:
        raise ValueError("a path inside the project is wanted, without `..` or a leading `/`, for example `app/data`")
    return value


def _change(value: str) -> str:
    if not _CHANGE.fullmatch(value):
        raise ValueError("a change is wanted as a report names it, for example `drop-column orders.note`")
    return value


def _plain_schema(kind: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": ["string", "number"] if kind != "text" else ["string", "number", "boolean"],
            "title": kind,
            "examples": [example],
        }
    )


Span = Annotated[float, BeforeValidator(_read_span), _plain_schema("span", "30s")]
Size = Annotated[int, BeforeValidator(_read_size), _plain_schema("size", "512MB")]
Text = Annotated[str, BeforeValidator(_read_text), _plain_schema("text", "done")]
ShellLine = Annotated[str, AfterValidator(_one_line), Field(title="shell line")]
InnerPath = Annotated[str, AfterValidator(_inside), Field(title="path in the project", max_length=240)]
UrlPath = Annotated[str, Field(pattern=r"^/[^\s?#]*$", title="URL path", examples=["/health"])]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", title="host label")]
Domain = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$", title="domain", max_length=253),
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$", title="name")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", title="service name")]
Public = Annotated[
    bool | str,
    BeforeValidator(_read_public),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "title": "prefix", "pattern": _PREFIX.pattern}]}),
]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", title="variable")]
Reference = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.[a-z_]+$", title="name.attribute", examples=["db.url"]),
]
Words = Annotated[tuple[Word, ...], BeforeValidator(read_list)]
Change = Annotated[
    str,
    AfterValidator(_change),
    WithJsonSchema({"type": "string", "title": "change", "pattern": _CHANGE.pattern}),
]
Port = Annotated[int, Field(ge=1, le=65535, title="port")]
