"""The smallest page for a Compose file: its stores by their images, its addresses by what its variables hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.spec.addresses import addresses, asked_attribute, beside, purpose
from towline.spec.detect import redis_use, store_kind
from towline.spec.layout import app_name, lay_out
from towline.spec.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.compose import ComposeConfig
    from towline.spec.model import StoreKind


@dataclass(frozen=True)
class _Guess:
    """A store as far as the Compose file tells."""

    name: str
    service: str
    kind: StoreKind
    use: str | None


def smallest_page(compose: ComposeConfig) -> str:
    """The text of a towline.yaml that fits `compose`; holds names, never a value."""
    guesses = list(_stores(compose))
    bound = dict(sorted(_bindings(compose, guesses)))
    stores = [f"  {guess.name}: {{kind: {guess.kind}{_use(guess)}}}" for guess in guesses]
    for split in _mixed(guesses, bound):
        stores.append(f"  {split}-cache: {{kind: redis, use: cache}}")
        for variable in [one for one, of in bound.items() if purpose(one) == "cache" and of.startswith(f"{split}.")]:
            bound[variable] = f"{split}-cache.{bound[variable].rpartition('.')[2]}"
    lines = [f"app: {app_name(compose.name)}"]
    lines += ["stores:", *stores] if stores else []
    lines += ["bind:", '  "*":', *(f"    {name}: {of}" for name, of in bound.items())] if bound else []
    return "\n".join(lines) + "\n"


def _stores(compose: ComposeConfig) -> Iterator[_Guess]:
    for name, service in lay_out(compose, Page()).stores.items():
        container = compose.container(service or "")
        kind = store_kind(container) if container else None
        if container is not None and kind is not None:
            yield _Guess(name, container.name, kind, redis_use(container) if kind == "redis" else None)


def _use(guess: _Guess) -> str:
    return f", use: {guess.use}" if guess.use else ""


def _bindings(compose: ComposeConfig, guesses: list[_Guess]) -> Iterator[tuple[str, str]]:
    """Every variable that holds the address of a store, and what stands beside it."""
    of_service = {guess.service: guess for guess in guesses}
    for container in compose.containers:
        for address in addresses(container.environment, compose) if container.name not in of_service else ():
            guess = of_service.get(address.of)
            if guess is None:
                continue
            yield address.variable, f"{guess.name}.{asked_attribute(address.variable, guess.kind, by=address.by)}"
            for variable, attribute in beside(address.variable, guess.kind).items():
                if variable in container.environment:
                    yield variable, f"{guess.name}.{attribute}"


def _mixed(guesses: list[_Guess], bound: dict[str, str]) -> list[str]:
    """Each redis that is queue and cache at once: a cache drops keys, so it becomes a store of its own."""
    purposes = {(of.partition(".")[0], purpose(variable)) for variable, of in bound.items()}
    redis = [guess.name for guess in guesses if guess.kind == "redis"]
    return [name for name in redis if {(name, "queue"), (name, "cache")} <= purposes]
