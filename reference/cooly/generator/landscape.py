"""The generator that needs no key and no network: the same words always give the same landscape."""

from __future__ import annotations

import asyncio
import io
import re
from typing import TYPE_CHECKING

import anyio.to_thread

from cooly.generator.port import Order, Picture, Refused, Tell, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

    from cooly.generator.painting import Painting

SIZE = 1024
PREVIEW = 32
Layer = tuple[str, "Callable[[], None]"]


class Landscape:
    """Paints layer by layer, spread over `seconds`.

    With `rehearse`, two words in a prompt are obeyed, so that failures can be seen without waiting for one:
    `fail!` is refused for good, `stumble!` fails the first attempt.
    """

    name = "landscape"

    def __init__(self, seconds: float, *, rehearse: bool = False) -> None:
        self._seconds = seconds
        self._rehearse = rehearse

    async def make(self, order: Order, tell: Tell) -> Picture:
        """Paint it; the work is done in a thread."""
        tell(0.02, "Looking for a place", None)
        painting = await anyio.to_thread.run_sync(_begin, order.prompt)
        layers = list(layers_of(painting))
        clock = asyncio.get_running_loop().time
        began = clock()
        for nr, (note, paint) in enumerate(layers, 1):
            await anyio.to_thread.run_sync(paint)
            if nr == len(layers) // 2:
                self._stumble(order)
            small = await anyio.to_thread.run_sync(_small, painting)
            tell(0.96 * nr / len(layers), note, small)
            await asyncio.sleep(max(0.0, began + self._seconds * nr / len(layers) - clock()))
        data = await anyio.to_thread.run_sync(lambda: _jpeg(painting.image(), 90))
        return Picture(data, "image/jpeg", SIZE, SIZE)

    def _stumble(self, order: Order) -> None:
        if not self._rehearse:
            return
        if re.search(r"\bfail!", order.prompt):
            raise Refused("The generator was asked to fail, and did.")
        if order.attempt == 1 and re.search(r"\bstumble!", order.prompt):
            raise Unavailable("The generator stumbled.", retry_after=0.1)


def _begin(prompt: str) -> Painting:
    # Only here: the processes that never paint need not carry what painting takes.
    from cooly.generator.painting import Painting
    from cooly.generator.scene import scene_of

    return Painting(scene_of(prompt), SIZE)


def layers_of(painting: Painting) -> Iterator[Layer]:
    """What to paint, in order, with the words for it."""
    things, horizon = painting.scene.things, painting.horizon
    yield "Mixing the light", painting.sky
    yield "Hanging the sky", _all(painting.stars, painting.aurora, painting.orb)
    yield "Letting clouds drift in", painting.clouds
    high = 0.34 if "peaks" in things else 0.16
    wet = "water" in things
    for nr, distance in enumerate((1.0, 0.8, 0.62) if not wet else (1.0, 0.75)):
        base, height = horizon + (0.03 if wet else 0.045) * nr - (0.005 if wet else 0), high * (1 - 0.22 * nr)
        yield ("Raising the far range" if nr == 0 else "Folding the hills"), _range(painting, distance, base, height)
    if wet:
        yield "Filling the water", painting.water
    if "dunes" in things:
        yield "Raking the sand", painting.dunes
    if not wet and "dunes" not in things:
        yield "Rolling out the foothills", lambda: _foothills(painting)
    if "forest" in things:
        yield "Planting trees", lambda: _woods(painting)
    if wet and "forest" not in things:
        yield "Setting the shore", lambda: painting.range(0.02, 1.0, 0.14)
    yield "A last look", _all(painting.birds, painting.finish)


def _all(*paint: Callable[[], None]) -> Callable[[], None]:
    def one_after_the_other() -> None:
        for one in paint:
            one()

    return one_after_the_other


def _range(painting: Painting, distance: float, base: float, height: float) -> Callable[[], None]:
    def paint() -> None:
        painting.range(distance, base, height)
        painting.mist(base + 0.01, 0.55)

    return paint


def _foothills(painting: Painting) -> None:
    for nr, distance in enumerate((0.34, 0.2, 0.06)):
        base = painting.horizon + 0.13 + 0.11 * nr
        painting.range(distance, base, 0.13)
        painting.mist(base + 0.05, 0.3 - 0.08 * nr)


def _woods(painting: Painting) -> None:
    wet = "water" in painting.scene.things
    for nr, distance in enumerate((0.12, 0.02) if wet else (0.42, 0.2, 0.02)):
        base = (0.97 + 0.05 * nr) if wet else painting.horizon + 0.14 + 0.15 * nr
        painting.forest(distance, base, 0.11 + 0.1 * nr)
        if not wet:
            painting.mist(base + 0.04, 0.35 - 0.1 * nr)


def _small(painting: Painting) -> bytes:
    return _jpeg(painting.image(PREVIEW), 60)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=quality > 80)
    return out.getvalue()
