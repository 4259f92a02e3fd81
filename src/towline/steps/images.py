"""Images of a site: what it has, and the steps that bring one there and clear away what no release needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from towline.core.units import show_bytes


@dataclass(frozen=True)
class ImageFact:
    """An image that a site has. `names` are its tags, `digests` those that a registry knows it by (`REPO@sha256:...`).

    `labels` are those of Towline alone, without their prefix: app, service, source. Bytes.
    """

    id: str
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True)
class ImageParts:
    """What a site has to make images of: the layers of each of its images, lowest first, and parts sent to it before.

    A part is named by the hexadecimal digits of its layer.
    """

    images: tuple[tuple[str, ...], ...] = ()
    sent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LoadImage:
    """Make an image of parts that were sent before, and of layers that the site has.

    `image` is its name, which ends in the first digits of `content`, the digest of what it holds. `layers` are the
    digests of all of its layers, lowest first. `size`: at most that many bytes had to be sent, before compression.
    """

    image: str
    content: str
    layers: tuple[str, ...]
    size: int
    kind: Literal["load-image"] = "load-image"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"load the image {self.image} (at most {show_bytes(self.size)} to send)"


@dataclass(frozen=True)
class FetchImage:
    """Fetch an image from its registry, by the digest that its name ends in."""

    image: str
    within: float = 1800.0
    kind: Literal["fetch-image"] = "fetch-image"

    @property
    def title(self) -> str:
        """What a person reads."""
        name, _, digest = self.image.partition("@sha256:")
        return f"fetch the image {name} ({digest[:12]})" if digest else f"fetch the image {name}"


@dataclass(frozen=True)
class BuildImage:
    """Build an image on the site, of a part that was sent before: `context` is its name.

    `image` ends in the first digits of what it is made from. `args` is the digest of stashed contents, a JSON object of
    the build arguments. `memory`: bytes that the build may use, where the builder can be told.
    """

    image: str
    context: str
    labels: dict[str, str]
    memory: int
    stage: str | None = None
    args: str | None = None
    within: float = 3600.0
    kind: Literal["build-image"] = "build-image"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"build the image {self.image}"


@dataclass(frozen=True)
class ClearAway:
    """Remove what no kept release needs: images, environments and other contents, old logs, what was sent.

    `oldest` is the first release that can still be gone back to. `images` and `contents` are those that stay; `gone`
    are images of earlier releases. An image that anybody else uses stays too, and this step never fails.
    """

    oldest: int
    images: tuple[str, ...]
    contents: tuple[str, ...]
    gone: tuple[str, ...] = ()
    kind: Literal["clear-away"] = "clear-away"

    @property
    def title(self) -> str:
        """What a person reads."""
        since = f"what no release from {self.oldest} on needs" if self.oldest else "what was sent and is done with"
        return f"clear away {since}"
