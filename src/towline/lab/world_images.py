"""Images in the world of a fake site: names that are there, and those that are cleared away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.steps.folders import PlaceFolder
    from towline.steps.images import BuildImage, ClearAway, FetchImage, LoadImage

World = dict[str, Any]


def _bring(world: World, step: LoadImage | FetchImage | BuildImage) -> str:
    world.setdefault("images", []).append(step.image)
    return "it is there"


def _is_there(world: World, step: LoadImage | FetchImage | BuildImage) -> str | None:
    return "it is there" if step.image in world.get("images", []) else None


def _clear(world: World, step: ClearAway) -> str:
    there = world.get("images", [])
    world["images"] = [name for name in there if name not in step.gone]
    return f"removed {len(there) - len(world['images'])} images"


def _place(world: World, step: PlaceFolder) -> str:
    world.setdefault("folders", []).append(step.folder)
    return "it is there"


def _is_placed(world: World, step: PlaceFolder) -> str | None:
    return "it is there" if step.folder in world.get("folders", []) else None


_KINDS = ("load-image", "fetch-image", "build-image")

HOLDS: dict[str, Callable[[World, Any], str | None]] = {
    **dict.fromkeys(_KINDS, _is_there),
    "place-folder": _is_placed,
}
ACTS: dict[str, Callable[[World, Any], str]] = {
    **dict.fromkeys(_KINDS, _bring),
    "place-folder": _place,
    "clear-away": _clear,
}
