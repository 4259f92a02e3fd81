"""The steps about images, as the programs of a batch (pure), and what a host has and lacks of an image."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from towline.core.errors import Defect
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote
from towline.steps.images import ImageFact, ImageParts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.drivers.host.target import Target
    from towline.steps.images import BuildImage, ClearAway, FetchImage, LoadImage

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = re.compile(r"[0-9a-f]{64}(\.json)?")

_ASK = """
[ ! -d "$home/incoming" ] || find "$home/incoming" -maxdepth 1 -type f ! -name '*.new' -printf 'sent %f\\n'
[ ! -d "$home/folders" ] || find "$home/folders" -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf 'sent %f\\n'
ids=$(docker image ls -q --no-trunc | sort -u)
[ -z "$ids" ] || docker image inspect -f 'layers {{range .RootFS.Layers}}{{.}} {{end}}' $ids 2>/dev/null || :
"""

_TAKE = """
umask 077
mkdir -p {folder} && cd {folder} || exit 74
trap 'rm -f {name}.{own}.new' EXIT
cat >{name}.{own}.new && {check} && sync {name}.{own}.new && mv -f {name}.{own}.new {name}
"""


def load_image(step: LoadImage) -> StepProgram:
    """The image, of what was sent and of the layers that are there."""
    layers = json.dumps(list(step.layers), separators=(",", ":"))
    body = _images()
    return StepProgram(
        holds=f"{body}made_before {_words(step.image, layers)}\n",
        apply=f"{body}load {_words(step.image, step.content, layers, *map(_checked, step.layers))}\n",
    )


def fetch_image(step: FetchImage) -> StepProgram:
    """The image, from its registry."""
    body = _images()
    return StepProgram(
        holds=f"{body}has_image {quote(step.image)}\n",
        apply=f"{body}fetch {_words(step.image, str(round(step.within)))}\n",
    )


def build_image(step: BuildImage) -> StepProgram:
    """The image, built there of what was sent."""
    body = _images() + part("build.sh")
    words = [word for name, value in sorted(step.labels.items()) for word in ("--label", f"{name}={value}")]
    words += ["--target", step.stage] if step.stage else []
    told = (step.image, _checked_part(step.context), step.args or "", str(step.memory), str(round(step.within)))
    return StepProgram(holds=f"{body}has_image {quote(step.image)}\n", apply=f"{body}build {_words(*told, *words)}\n")


def clear_away(step: ClearAway) -> StepProgram:
    """What no kept release needs goes."""
    lists = ("\n".join(step.images), "\n".join(step.contents), "\n".join(step.gone))
    return StepProgram(apply=f"{_images()}clear_away {_words(*lists)}\n")


def parts_of(target: Target) -> ImageParts:
    """What a host has of images."""
    images: list[tuple[str, ...]] = []
    sent: list[str] = []
    for line in target.ask(_ASK).splitlines():
        word, _, rest = line.partition(" ")
        if word == "layers":
            images.append(tuple(rest.split()))
        elif word == "sent":
            sent.append(rest)
    return ImageParts(tuple(images), frozenset(sent))


def taking(home: str, name: str, own: str) -> str:
    """A program that keeps its input as a part of an image, whole or not at all. `own` tells it from other senders'."""
    if not own.isalnum():
        raise Defect(f"{own!r} tells no sender")
    _checked_part(name)
    # The end of the input may be that of the connection: a layer that came to its end has the sum behind it.
    check = f"[ -s {name}.{own}.new ]" if name.endswith(".json") else f"gzip -t {name}.{own}.new"
    return _TAKE.format(folder=quote(f"{home}/incoming"), name=name, own=own, check=check)


def images_in(lines: Iterable[str]) -> tuple[ImageFact, ...]:
    """From lines of JSON: id, tags, digests, labels and size of each image."""
    return tuple(_image(json.loads(line)) for line in lines)


def _image(plain: dict[str, object]) -> ImageFact:
    labels = plain["labels"]
    own = {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}
    return ImageFact(
        id=str(plain["id"]),
        names=_texts(plain["names"]),
        digests=_texts(plain["digests"]),
        labels={name.removeprefix("towline."): own[name] for name in sorted(own) if name.startswith("towline.")},
        size=int(str(plain["size"] or 0)),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, list) else ()


def _images() -> str:
    return part("files.sh") + part("docker.sh") + part("images.sh")


def _checked(layer: str) -> str:
    if not _DIGEST.fullmatch(layer):
        raise Defect(f"{layer!r} is no digest of a layer")
    return layer


def _checked_part(name: str) -> str:
    if not _PART.fullmatch(name):
        raise Defect(f"{name!r} is no part of an image")
    return name


def _words(*words: str) -> str:
    return " ".join(map(quote, words))
