"""What a site over a network can do besides: nothing here is a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from towline.core.secret import Secret
    from towline.steps.container import Container
    from towline.steps.images import ImageParts
    from towline.steps.model import Lease, Line


class Remote(Protocol):
    """A site that is reached over a network, and that a command leads into."""

    def inside(self, instance: str, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
        """The argv here of a command in there, with the environment of the instance; good while the connection is.

        Its exit status is that of the command, 125 when the instance does not run, 255 when the connection broke.
        """

    def fresh(self, container: Container, env: str | None, *, terminal: bool) -> tuple[str, ...]:
        """The argv here of a container that is made for its own command, and deleted after it.

        `env` is the digest of its stashed environment. The exit status is as of `inside`.
        """

    def close(self) -> None:
        """Let go of the connection; a later call opens another."""

    def past(self) -> tuple[Line, ...]:
        """The lines of its journal, as of the last look at it."""

    def image_parts(self) -> ImageParts:
        """What it has to make images of."""

    def take_part(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep a part of an image, whole or not at all: a layer that gzip has packed, or `DIGEST.json`."""

    def fetch(self, image: str, login: Secret | None) -> None:
        """Fetch an image from its registry, with a login that is kept nowhere: the content of Docker's config.json.

        Raises StepFailed with the registry's words.
        """

    def digest_of(self, image: str, login: Secret | None) -> str:
        """The digest under which the registry of an image has it for this machine. Raises StepFailed."""

    def reached(self, store: str) -> tuple[int, ...] | None:
        """The ports of a store that answer whoever shares its network there; None where it runs without neighbours."""

    def forget(self, lease: Lease, gone: tuple[str, ...] = ()) -> None:
        """Delete all that is kept of the target besides the data of its stores: the journal, the lock, the stash.

        Backups stay, except of the stores in `gone`.
        """
