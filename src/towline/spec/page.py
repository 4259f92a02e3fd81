"""The page: towline.yaml as typed, frozen models; what is documented here is printed as its reference."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue  # noqa: TC002 - pydantic reads it

from towline.core.units import byte_count, seconds
from towline.spec.model import ServiceKind, ShapeName, SiteKind, StoreKind  # noqa: TC001 - pydantic reads them

_PREFIX = re.compile(r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)+$")

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


def _read_list(value: object) -> object:
    """One word stands for a list of one."""
    return [value] if isinstance(value, (str, int, float)) else value


def _read_mapping(value: object) -> object:
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
Words = Annotated[tuple[Word, ...], BeforeValidator(_read_list)]
Port = Annotated[int, Field(ge=1, le=65535, title="port")]


class Entry(BaseModel):
    """One section of the page: unknown keys are refused, nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_default(cls, value: object) -> object:
        return _read_mapping(value)


class ReadyEntry(Entry):
    """How a service says that it is ready. A path alone may be written instead: `ready: /health`."""

    path: UrlPath | None = None
    """The path that answers 200 once the service can take requests. Default: that of the Compose healthcheck."""
    within: Span = 60.0
    """How long it may take from its start until it is ready."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": "^/"}, handler.resolve_ref_schema(handler(core))]}

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class ScaleEntry(Entry):
    """How many copies run. A number alone may be written instead: `scale: 2`."""

    min: int | None = Field(default=None, ge=0, le=200)
    """How many copies always run. Default: `deploy.replicas` of the Compose file, else 1."""
    max: int | None = Field(default=None, ge=1, le=200)
    """How many copies there may be where a site scales by itself. Default: `min`."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "integer", "minimum": 0}, handler.resolve_ref_schema(handler(core))]}

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, value: object) -> object:
        alone = isinstance(value, int) and not isinstance(value, bool)
        return {"min": value, "max": max(value, 1)} if alone and isinstance(value, int) else value


class ServiceEntry(Entry):
    """What the Compose file cannot say of a service. Its name is that of a service there."""

    kind: ServiceKind | None = None
    """`web` takes requests from the internet, `private` from other services only, `worker` from nobody; `static` is
    built files; `task` runs to its end; `stateful` keeps data of its own. Default: told from ports and restart."""
    omit: bool = False
    """Leave it out: Towline does its work (making a bucket, migrating), or it is for another purpose."""
    ready: ReadyEntry = ReadyEntry()
    """How it says that it is ready."""
    domain: Domain | None = None
    """The domain under which the internet finds it."""
    hostname: Label | None = None
    """Its name under the front door of a laptop: `api` in `api.postcards.localhost`. Default: its name."""
    run: ShellLine | None = None
    """The shell line that starts it where there are no containers. Default: `command` of Compose, else `CMD`."""
    cwd: InnerPath | None = None
    """The folder in which its process, its `setup` and its `build` start on a laptop, relative to its build context (to
    the Compose file, when it is not built): for an app in a folder of the repository that is built from its root.
    `PATH` begins with the `.venv/bin` and `node_modules/.bin` of this folder, and lock files are looked for in it.
    Default: the build context itself."""
    setup: ShellLine | None = None
    """The shell line that installs what it needs; run again when a lock file in its folder has changed."""
    build: ShellLine | None = None
    """The shell line that builds it, a static service above all."""
    output: InnerPath | None = None
    """The folder in which a static service's files are after `build`, relative to the one that `build` starts in."""
    max_job: Span | None = Field(default=None, title="span")
    """How long its longest job takes: it gets that long to finish when it must give way. Default:
    `stop_grace_period` of the Compose file, else 30s for workers and tasks, 10s for others."""
    scale: ScaleEntry = ScaleEntry()
    """How many copies run."""
    single: bool = False
    """Never two at once, not even for a moment: the old one ends before the new one starts."""
    reload: bool = False
    """Replaced as soon as its code changes, while `towline up` shows the log. Its code is all of its build context,
    whatever its `cwd` is."""
    port: Port | None = None
    """The port on which it listens. Default: the first of `ports`, `expose` or `EXPOSE`, else `PORT`."""
    port_variable: Variable | None = None
    """The variable by which it takes another port. Default: `PORT`, when it is used."""
    memory: Size | None = Field(default=None, title="size")
    """The memory it may use. Default: the limit in the Compose file."""
    after: Words = ()
    """Services that must be ready before it starts, besides `depends_on` of the Compose file."""


class StoreEntry(Entry):
    """Something that holds data. Stores that the Compose file runs from a known image need no entry."""

    kind: StoreKind | None = None
    """`postgres`, `redis`, `bucket` (S3 objects) or `sqs`. Default: told from the image."""
    use: Literal["queue", "cache"] | None = None
    """For redis: a queue never drops a key and writes to disk; a cache drops what was not used for long.
    Default: `cache` when the Compose file lets it evict, else `queue`."""
    public: Public = False
    """For a bucket: everybody may read its objects by their URL; or only those under a prefix, such as `cards/`."""
    service: Word | None = None
    """The service of the Compose file that this is. Default: the one of the same name."""
    major: Text | None = Field(default=None, title="text")
    """The major version that its data needs. Default: that of the image's tag."""


class ReleaseEntry(Entry):
    """What runs once on every release, before any traffic goes to the new version."""

    in_service: Word | None = Field(default=None, alias="in")
    """The service in whose folder and environment it runs. Default: the first web service."""
    run: ShellLine
    """The shell line; safe to run twice."""
    backup_first: bool = False
    """Back the databases up before it runs. Not on a laptop, where a warning says so."""
    within: Span = 600.0
    """How long it may take."""


class UploadEntry(Entry):
    """A file that is sent with a request."""

    field: Text
    """The name of the form field."""
    path: InnerPath
    """The file, relative to the Compose file."""


class JobEntry(Entry):
    """A job that `towline verify` sends through the app from outside, as a user would."""

    service: Word | None = None
    """The service that takes the job. Default: the first web service."""
    method: Literal["POST", "PUT", "GET"] = "POST"
    """The method of the request."""
    path: UrlPath
    """The path of the request."""
    fields: dict[str, Text] = {}
    """What is sent: form fields when there is a `file`, else a JSON object."""
    file: UploadEntry | None = None
    """The file that is sent."""
    accepted: int = Field(default=202, ge=200, le=299)
    """The status that says that the job was taken."""
    follow: UrlPath
    """The path that is asked until the job is done; `{id}` is filled from the answer to the request, `{data.id}` from
    a field inside a field. The same dots work in `until`, `failed` and `object`."""
    until: dict[str, Text] = {"state": "done"}
    """Fields of the followed answer, and their values once the job is done."""
    failed: dict[str, Text] = {"state": "failed"}
    """Fields of the followed answer, and their values once it has failed."""
    within: Span = 30.0
    """How long the job may take."""
    object: Text | None = Field(default=None, title="text")
    """The field of the followed answer that holds the URL of what was made; it is loaded."""
    content_type: Text | None = Field(default=None, title="text")
    """What that must load as, for example `image/jpeg`."""
    bearer: Text | None = Field(default=None, title="variable")
    """The variable of the service whose value is sent as `Authorization: Bearer`, for an app that lets nobody else
    in. It never leaves for another host."""


class VerifyEntry(Entry):
    """What `towline verify` does besides loading every service's address."""

    job: JobEntry | None = None
    """A job that is sent through the app."""


class SiteEntry(Entry):
    """A place that can run things. Further fields belong to its kind."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    kind: SiteKind
    """`local`, `host`, `render`, `vercel`, `coolify`, `dokploy`, `supabase`, `neon`, `upstash`, `s3` or `sqs`.
    The only further field of `local` is `port`, that of its front door."""
    __pydantic_extra__: dict[str, Text] = Field(init=False)

    @property
    def options(self) -> dict[str, str]:
        """The fields besides `kind`, as written."""
        return dict(self.__pydantic_extra__)


class TargetEntry(Entry):
    """An environment of the app."""

    shape: ShapeName | None = None
    """`laptop`, `combined`, `vps`, `hybrid` or `managed`. Default: told from the kinds of its sites."""
    sites: Annotated[dict[Name, SiteEntry], BeforeValidator(_read_mapping)] = {}
    """Its places by name. Default: one site `local` of kind `local`."""
    place: Annotated[
        dict[str, Annotated[tuple[Name, ...], BeforeValidator(_read_list)]], BeforeValidator(_read_mapping)
    ] = {}
    """Which site each service and store is on; `"*"` is all that is not named; a list spreads a service over several.
    Default: everything on the site, when there is one."""
    budget: Text | None = Field(default=None, title="text")
    """What it may cost, for example `$40/month`."""


class Page(Entry):
    """All of towline.yaml."""

    app: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$", title="name")] | None = None
    """The app's name, part of addresses such as `api.postcards.localhost`. Default: Compose's project name."""
    compose: Annotated[tuple[InnerPath, ...], BeforeValidator(_read_list), Field(title="path, or a list of paths")] = ()
    """The Compose file, or several that Compose merges. Default: those that `docker compose` finds."""
    services: Annotated[dict[str, ServiceEntry], BeforeValidator(_read_mapping)] = {}
    """What the Compose file cannot say of its services, by name."""
    stores: Annotated[dict[Name, StoreEntry], BeforeValidator(_read_mapping)] = {}
    """What holds data, by name."""
    bind: Annotated[
        dict[str, Annotated[dict[Variable, Reference], BeforeValidator(_read_mapping)]], BeforeValidator(_read_mapping)
    ] = {}
    """How each service learns the addresses: a service, or `"*"` for all that run code, to variables, each filled from
    a store or a service by reference. A static service gets only what its own name says."""
    release: ReleaseEntry | None = None
    """What runs once on every release."""
    verify: VerifyEntry = VerifyEntry()
    """How the running app is proved from outside."""
    targets: Annotated[dict[Name, TargetEntry], BeforeValidator(_read_mapping)] = {}
    """Where the app runs, by name. `laptop` is always there."""
