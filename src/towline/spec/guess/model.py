"""A guess and its reason, as data; and the findings that are printed beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.core.errors import Finding, Where

if TYPE_CHECKING:
    from collections.abc import Iterable

Confidence = Literal["sure", "likely", "unsure", "open"]
"""`open`: nobody can tell from the files; it is written as a TODO line, and its value is only an example."""

CODES: dict[str, str] = {
    "address-in-code": "A service waits for a store, and no variable of it holds its address: it may be in its code.",
    "bind-mount": "A folder or file of this machine is mounted. Elsewhere it is not there.",
    "container-name": "A fixed container name: two copies of it cannot stand side by side under Compose.",
    "data-in-service": "A service keeps files in a volume: they do not move with it, and bind it to one machine.",
    "development-command": "The command starts a server that is made for development.",
    "docker-socket": "The service is given Docker's socket: whoever gets into it owns the machine.",
    "host-network": "The service shares the network of the machine, so nothing says what it opens.",
    "image-latest": "An image without a version: the next pull may be another major, which data cannot follow.",
    "links": "`links:` is legacy; the other names that it gives exist only under Compose.",
    "needs-container": "The service asks for something that only a container on a machine of your own can have.",
    "no-equal": "The image keeps data and is no store that Towline runs or buys: it becomes `stateful`.",
    "no-memory-limit": "Nothing limits the memory of these services: one of them can take the whole machine.",
    "not-written": "Something in the file cannot be said in towline.yaml; the sentence says what becomes of it.",
    "needs-value": "A variable needs a value that the file does not hold.",
    "privileged": "The service runs with all rights of the machine.",
    "profiled": "A service starts only with a profile, so it is no part of the app.",
    "published-store": "A store is published on all addresses of the machine. Docker opens it past the firewall.",
    "secret-file": "The service reads a secret from a file that Compose mounts. Towline gives values as variables.",
    "several-databases": "Variables name several databases of one server. A store of Towline is one database.",
    "todo": "A line of the page that only you can write: it is marked TODO there.",
}
"""What `towline init` tells beside the page, by code. All of them are warnings."""


@dataclass(frozen=True)
class Guess:
    """One line of the page: where it stands, what it says and why. `value` is None where there is no telling."""

    field: tuple[str, ...]
    value: str | int | bool | tuple[str, ...] | None
    reason: str
    confidence: Confidence = "likely"

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {
            "field": list(self.field),
            "value": list(self.value) if isinstance(self.value, tuple) else self.value,
            "reason": self.reason,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Proposal:
    """A page as guesses, in the order of the page, and what is told beside it."""

    app: str
    guesses: tuple[Guess, ...]
    findings: tuple[Finding, ...]

    @property
    def open(self) -> tuple[Guess, ...]:
        """What only a person can tell."""
        return tuple(guess for guess in self.guesses if guess.confidence == "open")

    def values(self, *prefix: str) -> dict[str, str | int | bool | tuple[str, ...]]:
        """What is guessed one step below `prefix`: `values("services", "api")` to its fields."""
        size = len(prefix)
        return {
            guess.field[size]: guess.value
            for guess in self.guesses
            if guess.field[:size] == prefix and len(guess.field) == size + 1 and guess.value is not None
        }


def told(code: str, sentence: str, where: Where | None, hint: str | None = None) -> Finding:
    """A finding of this room: a warning, since the page is only proposed."""
    return Finding(code, sentence, where, hint, "warning")


def once(guesses: Iterable[Guess]) -> tuple[Guess, ...]:
    """The first guess of each field; what is told from elsewhere is given first and wins."""
    kept: dict[tuple[str, ...], Guess] = {}
    for guess in guesses:
        kept.setdefault(guess.field, guess)
    return tuple(kept.values())
