"""Images that are built here, with the user's own Docker: what goes in, what comes out, and the way it is packed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from towline.artifacts.images import content_of, name_of, source_label
from towline.artifacts.source import source_digest
from towline.core.errors import SiteUnreachable, StepFailed, Where
from towline.core.events import Progressed, StepBegan, StepDone
from towline.core.process import run
from towline.core.secret import redact
from towline.ops.image_archive import read_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.core.events import Listener
    from towline.core.process import Ran
    from towline.core.secret import Secret
    from towline.ops.image_archive import Archive

BUILD_WITHIN: Final = 3600.0
_ASK_WITHIN: Final = 60.0
_SAVE_WITHIN: Final = 900.0

_KEPT_HERE: Final = 3
"""How many outcomes of one service's builds stay in the local Docker, the newest first."""

_OF_THE_CLIENT: Final = re.compile(
    r"PATH|HOME|DOCKER_(?:API_VERSION|BUILDKIT|CERT_PATH|CLI_.*|CONFIG|CONTENT_TRUST.*|CONTEXT|CUSTOM_HEADERS"
    r"|DEFAULT_PLATFORM|HOST|TLS|TLS_VERIFY)|BUILDKIT_(?:COLORS|HOST|PROGRESS|TTY_LOG_LINES)"
    r"|BUILDX_(?:BUILDER|CONFIG|GIT_.*|METADATA_.*|NO_DEFAULT_.*)"
)
"""Variables that Docker's client reads itself (its reference, and that of buildx): a build argument of such a name is
told in words, which everybody on this machine can see. No other is: it may be secret."""


_VAULTS: Final = ("/secrets/*.age", "/secrets/*.recipients")
"""Written beside the code by a deploy itself."""


@dataclass(frozen=True)
class Order:
    """One image to be built: `dockerfile` of `context`, up to `stage`. `architecture` is Docker's word."""

    app: str
    service: str
    context: Path
    dockerfile: Path
    architecture: str
    stage: str | None = None
    args: Mapping[str, Secret] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def marked(self, source: str) -> dict[str, str]:
        """Its labels, with those by which Towline knows it again."""
        own = {"towline.app": self.app, "towline.service": self.service, "towline.source": source}
        return {**self.labels, **own}

    def source(self, salt: bytes) -> str:
        """What it is made from, keyed; what tools leave in a folder does not count."""
        own = sorted(path for path in self.context.glob(".env*") if path.is_file())
        told = [path.read_text(errors="replace") for path in (self.dockerfile, *own)]
        own_labels = (f"{name}={value}" for name, value in sorted(self.labels.items()))
        parts = (source_digest(self.context, _VAULTS), *told, *own_labels, self.stage or "", self.architecture)
        return source_label(salt, parts, self.args)


@dataclass(frozen=True)
class Built:
    """An image of the local Docker. `id` is what that Docker calls it, `layers` are digests, lowest first."""

    name: str
    content: str
    id: str
    layers: tuple[str, ...]


class Builder:
    """The user's own Docker, as far as images go. What it saves lies in a folder that goes with this object."""

    def __init__(self, environ: Mapping[str, str], listener: Listener) -> None:
        self._environ = dict(environ)
        self._listener = listener
        self._asked: tuple[bool, str] | None = None
        self._archives: dict[str, Archive] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def build(self, order: Order, source: str, *, anew: bool) -> Built:
        """Build, and name the outcome after what it holds. `anew`: from the newest bases, without the cache.

        Raises StepFailed with the builder's last lines, SiteUnreachable when no Docker answers.
        """
        buildx, own = self._engine(order.service)
        title = f"build the image of {order.service}"
        self._listener(StepBegan("here", title))
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="towline-build-") as folder:
            file = Path(folder) / "id"
            argv = (*_command(order, source, buildx=buildx, own=own), *(("--pull", "--no-cache") if anew else ()))
            ran = self._ran((*argv, "--iidfile", str(file), str(order.context)), order.args, title)
            if ran.status != 0:
                raise _broken(order, ran)
            made = self._inspected(file.read_text().strip())
        content = content_of(made)
        built = Built(name_of(order.app, order.service, content), content, str(made["Id"]), _layers(made))
        self._must("tag", built.id, built.name)
        self._forget_older(order)
        self._listener(StepDone("here", title, already=False, seconds=time.monotonic() - started, saw=built.name))
        return built

    def _forget_older(self, order: Order) -> None:
        """Earlier outcomes go, but for the last few, whose layers the next build may use again."""
        repo = name_of(order.app, order.service, "").removesuffix(":")
        own = ("--filter", f"label=towline.app={order.app}", "--filter", f"label=towline.service={order.service}")
        listed = self._must("image", "ls", *own, "--format", "{{.Repository}}:{{.Tag}}").splitlines()
        for name in [one for one in listed if one.startswith(f"{repo}:")][_KEPT_HERE:]:
            # One that a container here uses stays.
            run(("docker", "image", "rm", name), within=_ASK_WITHIN, env=self._environ)

    def archive(self, built: Built) -> Archive:
        """The image as a file, written once."""
        if built.id not in self._archives:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="towline-images-")
            file = Path(self._folder.name) / f"{built.content}.tar"
            self._must("save", "--output", str(file), built.name, within=_SAVE_WITHIN)
            self._archives[built.id] = read_archive(file)
        return self._archives[built.id]

    def close(self) -> None:
        """Give the room back that saved images take."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder, self._archives = None, {}

    def _engine(self, service: str) -> tuple[bool, str]:
        """Whether BuildKit's command is there, and the processor that the daemon builds for by itself."""
        if self._asked is None:
            self._asked = self._found(service)
        return self._asked

    def _found(self, service: str) -> tuple[bool, str]:
        if shutil.which("docker", path=self._environ.get("PATH")) is None:
            raise _no_docker(service, "there is no program `docker`")
        ran = run(("docker", "version", "--format", "{{.Server.Arch}}"), within=_ASK_WITHIN, env=self._environ)
        if ran.status != 0:
            raise _no_docker(service, ran.last_lines[-1] if ran.last_lines else "it is silent")
        buildx = run(("docker", "buildx", "version"), within=_ASK_WITHIN, env=self._environ).status == 0
        if not buildx:
            # Without it the client builds with what is inside the daemon, when told to.
            self._environ.setdefault("DOCKER_BUILDKIT", "0")
        return buildx, ran.stdout.strip()

    def _ran(self, argv: tuple[str, ...], args: Mapping[str, Secret], title: str) -> Ran:
        told = {name: one.reveal() for name, one in args.items() if not _OF_THE_CLIENT.fullmatch(name)}
        known = tuple(args.values())

        def show(line: str) -> None:
            self._listener(Progressed("here", title, redact(line, known)))

        environ = {**self._environ, **told, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        return run(argv, within=BUILD_WITHIN, env=environ, on_line=show)

    def _inspected(self, image: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self._must("image", "inspect", image))
        return found[0]

    def _must(self, *words: str, within: float = _ASK_WITHIN, on_line: Callable[[str], None] | None = None) -> str:
        ran = run(("docker", *words), within=within, env=self._environ, on_line=on_line)
        if ran.status != 0:
            raise StepFailed(
                f"`docker {' '.join(words[:2])}` failed here",
                where=Where("docker"),
                hint="docker info; df -h",
                evidence=ran.last_lines,
            )
        return ran.stdout


def _no_docker(service: str, why: str) -> SiteUnreachable:
    return SiteUnreachable(
        f"`{service}` has to be built, and no Docker answers here: {why}",
        hint="docker version   (start it; or name an image that is built already: image: NAME@sha256:...)",
    )


def _command(order: Order, source: str, *, buildx: bool, own: str) -> tuple[str, ...]:
    words = ["docker", *(("buildx", "build", "--load") if buildx else ("build",)), "--file", str(order.dockerfile)]
    words += [word for name, value in order.marked(source).items() for word in ("--label", f"{name}={value}")]
    for name, value in sorted(order.args.items()):
        # Its value comes by the environment, where not everybody sees it.
        words += ["--build-arg", f"{name}={value.reveal()}" if _OF_THE_CLIENT.fullmatch(name) else name]
    if order.stage:
        words += ["--target", order.stage]
    if order.architecture and order.architecture != own:
        words += ["--platform", f"linux/{order.architecture}"]
    return tuple(words)


def _layers(made: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(one) for one in made["RootFS"]["Layers"])


def _broken(order: Order, ran: Ran) -> StepFailed:
    known = tuple(order.args.values())
    how = f"was not done within {BUILD_WITHIN / 60:.0f} min" if ran.timed_out else f"failed with status {ran.status}"
    return StepFailed(
        f"the build of `{order.service}` {how}; no host was touched",
        where=Where(str(order.dockerfile)),
        hint=shlex.join(("docker", "build", "--file", str(order.dockerfile), str(order.context))),
        evidence=tuple(redact(line, known) for line in ran.last_lines),
    )
