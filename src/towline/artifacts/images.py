"""The names of images: after what they hold, or by the digest that a registry gave them (pure)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from towline.core.secret import Secret
    from towline.steps.images import ImageFact, ImageParts

DIGITS: Final = 12
"""How many digits of a digest stand in a name: enough for the images of one service."""

_SHORT: Final = ("index.docker.io/library/", "docker.io/library/", "index.docker.io/", "docker.io/")

_CONFIG: Final = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "OnBuild", "Shell", "StopSignal", "User", "Volumes",
    "WorkingDir",
)  # fmt: skip
"""What an engine runs an image by. Other fields differ between engines that hold the same image."""

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True)
class Pin:
    """Exactly one image. `known` is whether a registry knows it by this text; else only this machine does."""

    image: str
    known: bool


def architecture_of(machine: str) -> str:
    """What Docker calls the processor that `uname -m` names."""
    return _MACHINES.get(machine, machine)


def familiar(reference: str) -> str:
    """A reference as Docker lists it: `docker.io/library/postgres` is `postgres:latest`."""
    name = reference
    for prefix in _SHORT:
        name = name.removeprefix(prefix)
    if "@" in name:
        return name
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def repository(reference: str) -> str:
    """A reference without its tag and digest."""
    name = familiar(reference).partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def registry(reference: str) -> str:
    """The host of the registry that a reference names; Docker Hub where it names none."""
    first, slash, _ = reference.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if named and first not in ("docker.io", "index.docker.io") else "docker.io"


def is_exact(reference: str) -> bool:
    """Whether a reference can only ever mean one image."""
    return "@sha256:" in reference or reference.startswith("sha256:")


def pinned(reference: str, images: Iterable[ImageFact]) -> Pin | None:
    """Which image of a site a reference means there: by its digest, or by its id where no registry knows it.

    None where the site does not have it.
    """
    name, digest = familiar(reference), reference.partition("@")[2]
    for one in images:
        if digest and any(known == f"{repository(reference)}@{digest}" for known in map(_plain, one.digests)):
            return Pin(reference, known=True)
        if reference == one.id or (not digest and name in one.names):
            return _exactly(reference, one)
    return None


def content_of(inspected: Mapping[str, Any]) -> str:
    """The digest of what an image holds, from what `docker image inspect` says of it.

    Layers and configuration count; times, history and labels of Towline do not: an image that was built again with the
    same outcome has the same digest, in every kind of image store.
    """
    config = inspected.get("Config") or {}
    labels = {name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith("towline.")}
    held = {name: config[name] for name in _CONFIG if config.get(name)}
    plain = {
        "architecture": inspected.get("Architecture"),
        "os": inspected.get("Os"),
        "config": held | ({"Labels": labels} if labels else {}),
        "layers": list((inspected.get("RootFS") or {}).get("Layers") or ()),
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def name_of(app: str, service: str, content: str) -> str:
    """`APP-SERVICE:DIGITS`, in the letters that a reference may have."""
    plain = "".join(one if one.isalnum() or one in "._-" else "-" for one in f"{app}-{service}".lower()).strip("-._")
    return f"{plain}:{content[:DIGITS]}"


def chains_of(layers: Sequence[str]) -> tuple[str, ...]:
    """What an engine finds each layer by: its own digest with those of all below it, by the image specification."""
    found: list[str] = []
    for layer in layers:
        found.append(f"sha256:{hashlib.sha256(f'{found[-1]} {layer}'.encode()).hexdigest()}" if found else layer)
    return tuple(found)


def lacking(layers: Sequence[str], parts: ImageParts) -> tuple[str, ...]:
    """The layers, lowest first, that a site can neither take from an image of its own nor from what was sent to it.

    An engine finds a layer only with all that lies below it.
    """
    known = {chain for image in parts.images for chain in chains_of(image)}
    wanted = (layer for layer, chain in zip(layers, chains_of(layers), strict=True) if chain not in known)
    return tuple(dict.fromkeys(one for one in wanted if one.removeprefix("sha256:") not in parts.sent))


def source_label(salt: bytes, parts: Iterable[str], args: Mapping[str, Secret]) -> str:
    """What an image was built from, keyed: build arguments may be secret, and this stands in a label."""
    told = {name: one.reveal() for name, one in args.items()}
    text = json.dumps([list(parts), told], sort_keys=True)
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:16]


def _exactly(reference: str, one: ImageFact) -> Pin:
    own = repository(reference)
    for known in one.digests:
        name, _, digest = known.partition("@")
        if _plain(name) == own:
            return Pin(f"{reference.partition('@')[0]}@{digest}", known=True)
    return Pin(one.id, known=False)


def _plain(name: str) -> str:
    for prefix in _SHORT:
        name = name.removeprefix(prefix)
    return name
