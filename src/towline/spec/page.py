"""The page: towline.yaml as typed, frozen models; what is documented here is printed as its reference."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue  # noqa: TC002 - pydantic reads it

from towline.spec.model import ServiceKind, ShapeName, SiteKind, StoreKind  # noqa: TC001 - pydantic reads them
from towline.spec.page_fields import (
    Change,
    Domain,
    InnerPath,
    Label,
    Name,
    Port,
    Public,
    Reference,
    ShellLine,
    Size,
    Span,
    Text,
    UrlPath,
    Variable,
    Word,
    Words,
    read_list,
    read_mapping,
)


class Entry(BaseModel):
    """One section of the page: unknown keys are refused, nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_default(cls, value: object) -> object:
        return read_mapping(value)


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
    backup_first: bool | None = None
    """Back the databases up before it runs. Default: on hosts yes, where they are; never on a laptop, where a warning
    says so when `true` is written here."""
    rehearse: bool = True
    """Run it on a restored copy of the backup first: what it takes away from the version that runs stops the release
    before anything is changed."""
    allow: Annotated[tuple[Change, ...], BeforeValidator(read_list)] = ()
    """What it may take away, as the report names it, for example `drop-column orders.note`."""
    lock_timeout: Annotated[Span, Field(ge=1, le=3600)] = 5.0
    """How long it may wait for a lock that others hold on the database."""
    keep_backups: int = Field(default=5, ge=1, le=1000)
    """How many of the backups taken before releases are kept."""
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


class SeedEntry(Entry):
    """What fills a new target with its first data: run once a target, after the release command."""

    in_service: Word | None = Field(default=None, alias="in")
    """The service in whose image and environment it runs. Default: the first web service."""
    run: ShellLine
    """The shell line. Once it has ended well it is not run again, however it is changed."""
    within: Span = 600.0
    """How long it may take."""


class HooksEntry(Entry):
    """Shell lines of your own that run on the machine that deploys to hosts, in the folder of the project."""

    before: ShellLine | None = None
    """Before anything is changed. When it fails, nothing is."""
    after: ShellLine | None = None
    """When the new version runs and was verified."""
    failed: ShellLine | None = None
    """When a step failed, or the new version was found not to be as it should."""
    within: Span = 60.0
    """How long each of them may take."""


class NoticeEntry(Entry):
    """Whom to tell how a deploy went. Its name is that of a secret, the address to which it is sent."""

    form: Literal["json", "slack", "discord"] | None = None
    """What is sent: `json` is all that is known, `slack` and `discord` are what those take. Default: by the address."""
    on: Literal["always", "failed"] = "always"
    """When it is sent."""


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
    sites: Annotated[dict[Name, SiteEntry], BeforeValidator(read_mapping)] = {}
    """Its places by name. Default: one site `local` of kind `local`."""
    place: Annotated[
        dict[str, Annotated[tuple[Name, ...], BeforeValidator(read_list)]], BeforeValidator(read_mapping)
    ] = {}
    """Which site each service and store is on; `"*"` is all that is not named; a list spreads a service over several.
    Default: everything on the site, when there is one."""
    budget: Text | None = Field(default=None, title="text")
    """What it may cost, for example `$40/month`."""
    keep: int = Field(default=5, ge=1, le=50)
    """How many releases before the running one keep their images and environments on a host, to be gone back to."""


class Page(Entry):
    """All of towline.yaml."""

    app: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$", title="name")] | None = None
    """The app's name, part of addresses such as `api.postcards.localhost`. Default: Compose's project name."""
    compose: Annotated[tuple[InnerPath, ...], BeforeValidator(read_list), Field(title="path, or a list of paths")] = ()
    """The Compose file, or several that Compose merges. Default: those that `docker compose` finds."""
    services: Annotated[dict[str, ServiceEntry], BeforeValidator(read_mapping)] = {}
    """What the Compose file cannot say of its services, by name."""
    stores: Annotated[dict[Name, StoreEntry], BeforeValidator(read_mapping)] = {}
    """What holds data, by name."""
    bind: Annotated[
        dict[str, Annotated[dict[Variable, Reference], BeforeValidator(read_mapping)]], BeforeValidator(read_mapping)
    ] = {}
    """How each service learns the addresses: a service, or `"*"` for all that run code, to variables, each filled from
    a store or a service by reference. A static service gets only what its own name says."""
    release: ReleaseEntry | None = None
    """What runs once on every release."""
    seed: SeedEntry | None = None
    """What fills a new target with its first data."""
    verify: VerifyEntry = VerifyEntry()
    """How the running app is proved from outside."""
    hooks: HooksEntry = HooksEntry()
    """Shell lines of your own around a deploy to hosts."""
    notify: Annotated[dict[Variable, NoticeEntry], BeforeValidator(read_mapping)] = {}
    """Whom to tell how a deploy to hosts went, by the name of the secret that holds the address."""
    targets: Annotated[dict[Name, TargetEntry], BeforeValidator(read_mapping)] = {}
    """Where the app runs, by name. `laptop` is always there."""
