"""The layers of a landscape, from the sky forward; all arrays are float32 and of linear light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from cooly.generator.noise import line, plane, smooth
from cooly.generator.scene import Scene, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cooly.generator.noise import Field
    from cooly.generator.scene import Colour

    Canvas = NDArray[np.float32]


class Painting:
    """A square canvas that is painted from back to front."""

    def __init__(self, scene: Scene, size: int) -> None:
        self.scene, self.size = scene, size
        self.random = np.random.default_rng(scene.seed)
        self.down, self.across = np.mgrid[0:size, 0:size].astype(np.float32) / size
        self.horizon = self._horizon()
        self.orb_at = (float(self.random.uniform(0.2, 0.8)), self._orb_height())
        self.canvas: Canvas = np.zeros((size, size, 3), np.float32)
        self.haze = rgb(scene.light.haze)

    def sky(self) -> None:
        """A gradient of three colours, warmed around the sun or moon."""
        top, middle, low = (np.array(rgb(one), np.float32) for one in self.scene.light.sky)
        part = np.clip(self.down / self.horizon, 0, 1)[..., None]
        upper, lower = smooth(part, 0.0, 0.62), smooth(part, 0.45, 1.0)
        self.canvas = (top * (1 - upper) + middle * upper) * (1 - lower) + low * lower
        away = self._away(1.0, 1.5)
        self._add(rgb(self.scene.light.glow), 0.5 * np.exp(-(away**2) / 0.05) + 0.22 * np.exp(-away / 0.22))

    def stars(self) -> None:
        """Many faint ones, few bright ones, and a band where they are dense."""
        strength = self.scene.light.stars
        if not strength:
            return
        size, random = self.size, self.random
        lean = random.uniform(-0.5, 0.5)
        band = np.exp(-(((self.down - 0.3 - lean * (self.across - 0.5)) / 0.16) ** 2))
        milky = band * smooth(plane(random, size, (4, 4), 6), 0.38, 0.75)
        self._add(rgb("#7f8fc9"), 0.16 * strength * milky)
        spots = random.random((size, size)).astype(np.float32)
        lit = (spots > 0.9988 - 0.0025 * milky) * random.random((size, size)).astype(np.float32) ** 5
        soft = lit + 0.35 * (np.roll(lit, 1, 0) + np.roll(lit, 1, 1) + np.roll(lit, -1, 0) + np.roll(lit, -1, 1))
        self._add((0.9, 0.95, 1.0), 1.6 * strength * soft * smooth(self.horizon - self.down, 0.02, 0.3))

    def aurora(self) -> None:
        """Green curtains that hang from a wavering line."""
        if "aurora" not in self.scene.things:
            return
        for nr, colour in enumerate(("#2dffa0", "#37e0c8", "#8a5cff")):
            low = 0.26 + 0.07 * nr + 0.3 * (line(self.random, self.size, 3, 2) - 0.5)
            rays = 0.45 + 0.55 * line(self.random, self.size, 60, 3)
            above = low[None, :] - self.down
            curtain = np.where(above > 0, np.exp(-above / 0.13), np.exp(above / 0.035)) * smooth(low - above, -0.1, 0.2)
            self._add(
                rgb(colour), 0.5 * curtain * rays[None, :] * (0.4 + 0.6 * line(self.random, self.size, 3, 2)[None, :])
            )

    def orb(self) -> None:
        """Sun or moon: a disc with a soft rim."""
        if self.scene.hour == "storm":
            return
        away = self._away()
        radius = 0.052 if self.scene.hour in {"night", "sunset", "dawn"} else 0.04
        disc = 1 - smooth(away, radius - 1.5 / self.size, radius + 1.5 / self.size)
        if self.scene.hour == "night":
            seas = plane(self.random, self.size, (26, 26), 3)
            disc = disc * (0.62 + 0.5 * smooth(seas, 0.3, 0.65))
        self._lay(rgb(self.scene.light.orb), disc)
        self._add(rgb(self.scene.light.glow), 0.6 * np.exp(-np.maximum(away - radius, 0) / 0.035))

    def clouds(self) -> None:
        """Long clouds, thicker towards the horizon, lit from the side of the sun."""
        random, light = self.random, self.scene.light
        storm = self.scene.hour == "storm"
        field = plane(random, self.size, (2.2, 7), 6)
        cover = smooth(field, 0.40 if storm else 0.52, 0.80) * smooth(self.horizon - self.down, -0.05, 0.25)
        lit = np.clip((field - np.roll(field, -round(self.size / 60), 0)) * 5 + 0.55, 0, 1)
        near = np.exp(-self._away(1.0, 2.0) / 0.35)
        colour = np.array(rgb(light.cloud), np.float32) * (0.35 + 0.65 * lit + 0.5 * near * lit)[..., None]
        part = (cover * (0.85 if storm else 0.62))[..., None]
        self.canvas = self.canvas * (1 - part) + colour * part

    def range(self, distance: float, base: float, height: float) -> None:
        """One chain of mountains or hills; `distance` is 1 at the horizon and 0 at one's feet."""
        rugged = "peaks" in self.scene.things and distance > 0.35
        waves = 2.2 + 2.5 * distance
        crest = line(self.random, self.size, waves, 7 if rugged else 5, ridged=rugged)
        broad = line(self.random, self.size, waves * 0.8, 3)
        crest = 0.72 * crest**1.25 + 0.28 * broad if rugged else 0.15 * crest + 0.85 * broad
        top = base - height * (crest - 0.25)
        cover = smooth(self.down - top[None, :], -0.8 / self.size, 0.8 / self.size)
        self._lay(self._stone(distance, top, height, rugged=rugged), cover)

    def water(self) -> None:
        """A calm sea: the sky upside down, torn by ripples that grow towards the viewer."""
        if "water" not in self.scene.things:
            return
        size, row = self.size, round(self.horizon * self.size)
        deep = np.clip((self.down[row:] - self.horizon) / (1 - self.horizon), 0, 1)
        ripples = plane(self.random, size, (6, 90), 3)[row:] - 0.5
        ripples += (plane(self.random, size, (14, 260), 2)[row:] - 0.5) * 0.7
        mirrored = row - 1 - np.arange(size - row)[:, None] * 0.9 + ripples * (4 + 120 * deep) * size / 1024
        sideways = np.arange(size)[None, :] + ripples * 10 * deep
        rows = np.clip(mirrored, 0, row - 1).astype(int)
        columns = np.clip(sideways, 0, size - 1).astype(int)
        mirror = self.canvas[rows, columns]
        body = np.array(rgb(self.scene.light.near), np.float32) * 0.9 + np.array(self.haze, np.float32) * 0.08
        part = (0.12 + 0.55 * deep**0.8)[..., None]
        glint = np.exp(-(((self.across[row:] - self.orb_at[0]) / (0.03 + 0.13 * deep)) ** 2)) * smooth(
            ripples, 0.02, 0.26
        )
        sea = mirror * (1 - part) + body * part
        sea += 0.85 * glint[..., None] * np.array(rgb(self.scene.light.orb), np.float32) * (self.scene.hour != "storm")
        self.canvas[row:] = sea

    def dunes(self) -> None:
        """Sand: a bright side, a dark side, and a sharp line between."""
        facing = 1.0 if self.orb_at[0] > 0.5 else -1.0
        for nr in range(4):
            base = self.horizon + 0.05 + nr * 0.13
            peak = float(self.random.uniform(0.15, 0.85))
            swell = np.exp(-np.abs(self.across[0] - peak) / (0.34 + 0.1 * nr))
            top = base - 0.15 * swell - 0.03 * (line(self.random, self.size, 1.5, 3) - 0.5)
            below = self.down - top[None, :]
            # The crest winds down from the peak towards the viewer; one side of it is in the light.
            wind = peak + 0.22 * below - 0.5 * below**2 + 0.03 * np.sin(below * 26 + nr)
            side = smooth((self.across - wind) * facing, -0.004, 0.02 + 0.16 * float(nr < 3))
            sand = np.array(rgb("#e3a868"), np.float32) * np.array(rgb(self.scene.light.sky[2]), np.float32)
            shade = np.array(rgb(self.scene.light.near), np.float32) * 0.8 + sand * 0.18
            lines = plane(self.random, self.size, (5, 120), 2) * 0.12
            colour = sand * (1.25 * side + lines)[..., None] + shade * (1 - side)[..., None]
            haze = 0.5 * (1 - nr / 4)
            self._lay(colour * (1 - haze) + np.array(self.haze, np.float32) * haze, smooth(below, -0.0008, 0.0008))

    def forest(self, distance: float, base: float, height: float) -> None:
        """Conifers along a hill, each with its own height and lean of branches."""
        size, random = self.size * 2, self.random
        hill = base - 0.09 * (line(random, size, 1.6 + distance, 3) - 0.4)
        mask = Image.new("L", (size, size), 0)
        draw = ImageDraw.Draw(mask)
        ground = [(x, float(hill[min(x, size - 1)]) * size) for x in range(0, size + 8, 8)]
        draw.polygon([(0, size), *ground, (size, size)], fill=255)
        count = round(26 + 190 * distance)
        for x in np.sort(random.uniform(-0.02, 1.02, count)):
            tall = height * float(random.uniform(0.35, 1.0) ** 1.3) * size
            foot = float(hill[int(np.clip(x * size, 0, size - 1))]) * size + 0.01 * size
            _conifer(draw, (x * size, foot), tall, random)
        cover = _cover(mask, self.size)
        self._lay(self._stone(distance, hill[::2], 0.3, rugged=False), cover)

    def mist(self, base: float, strength: float) -> None:
        """A bank of mist along `base`."""
        if "mist" in self.scene.things:
            strength = min(0.95, strength * 2.0)
        field = plane(self.random, self.size, (2, 8), 4)
        bank = np.exp(-(((self.down - base) / 0.055) ** 2)) * smooth(field, 0.25, 0.8) * strength
        self._lay(self.haze, np.clip(bank, 0, 1))

    def birds(self) -> None:
        """A few far birds."""
        if "birds" not in self.scene.things:
            return
        mask = Image.new("L", (self.size * 2, self.size * 2), 0)
        draw = ImageDraw.Draw(mask)
        at = self.random.uniform((0.25, 0.15), (0.6, 0.3)) * self.size * 2
        for _ in range(int(self.random.integers(7, 13))):
            x, y = at + self.random.normal(0, 0.07, 2) * self.size * 2
            wing = float(self.random.uniform(0.006, 0.014)) * self.size * 2
            for side in (-1, 1):
                draw.line([(x, y), (x + side * wing * 0.5, y - wing * 0.42), (x + side * wing, y - wing * 0.2)], 255, 4)
        cover = _cover(mask, self.size)
        self._lay(rgb(self.scene.light.near), cover * 0.85)

    def finish(self) -> None:
        """Darken the corners a little, and add the grain of film."""
        corner = (self.across - 0.5) ** 2 + (self.down - 0.5) ** 2
        self.canvas *= (1.04 - 0.45 * corner)[..., None]
        grain = self.random.normal(0, 0.011, (self.size, self.size)).astype(np.float32)
        self.canvas = np.clip(self.canvas, 0, None) * (1 + grain[..., None] * 2)

    def image(self, size: int | None = None) -> Image.Image:
        """What there is so far, for eyes: highlights rolled off, then the curve of screens."""
        step = max(1, self.size // size) if size else 1
        light = np.clip(self.canvas[::step, ::step], 0, None)
        rolled = np.where(light < 0.7, light, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3))
        return Image.fromarray((np.clip(rolled, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8))

    def _horizon(self) -> float:
        return float(
            self.random.uniform(0.60, 0.66) if "water" in self.scene.things else self.random.uniform(0.56, 0.64)
        )

    def _orb_height(self) -> float:
        low, high = {"night": (0.16, 0.3), "day": (0.1, 0.22), "golden": (0.3, 0.42)}.get(self.scene.hour, (0.4, 0.5))
        return float(self.random.uniform(low, high))

    def _away(self, wide: float = 1.0, tall: float = 1.0) -> Field:
        x, y = self.orb_at
        return np.asarray(np.sqrt(((self.across - x) / wide) ** 2 + ((self.down - y) * tall) ** 2), np.float32)

    def _stone(self, distance: float, top: Field, height: float, *, rugged: bool) -> Canvas:
        light = self.scene.light
        far, near = np.array(rgb(light.far), np.float32), np.array(rgb(light.near), np.float32)
        colour = far * distance + near * (1 - distance)
        below = np.clip((self.down - top[None, :]) / max(height, 0.05), 0, 1)
        surface = np.broadcast_to(colour, (*below.shape, 3)).copy()
        if rugged:
            surface = self._snow(surface, below, top)
        mist = ((0.12 + 0.88 * below**1.3) * (0.08 + 0.8 * distance))[..., None]
        return np.asarray(surface * (1 - mist) + np.array(self.haze, np.float32) * mist, np.float32)

    def _snow(self, surface: Canvas, below: Field, top: Field) -> Canvas:
        """Slopes turned to the light are brighter, and bear snow high up."""
        folds = plane(self.random, self.size, (9, 5), 6)
        facing = 1.0 if self.orb_at[0] > 0.5 else -1.0
        crest = np.convolve(np.pad(np.gradient(top), 8, "edge"), np.ones(17) / 17, "valid")[None, :] * self.size
        leaning = np.gradient(folds, axis=1) * -0.11 + np.gradient(folds, axis=0) * -0.05
        lit = smooth(
            np.asarray(facing * (leaning * self.size + crest * 0.45 * np.exp(-3 * below)), np.float32), -0.5, 0.6
        )
        highest = float(top.min())
        high = smooth(highest + 0.13 + 0.1 * (folds - 0.5) - self.down, -0.03, 0.05)
        bright = np.array(rgb(self.scene.light.cloud), np.float32) * 0.75 + np.array(self.haze, np.float32) * 0.2
        snow = (high * (0.22 + 0.78 * lit))[..., None]
        shaded = surface * (0.72 + 0.75 * lit * (1 - 0.5 * below))[..., None]
        return np.asarray(shaded * (1 - snow) + bright * snow, np.float32)

    def _lay(self, colour: Colour | Canvas, cover: Field) -> None:
        part = cover[..., None]
        self.canvas = self.canvas * (1 - part) + np.asarray(colour, np.float32) * part

    def _add(self, colour: Colour, light: Field) -> None:
        self.canvas = self.canvas + np.asarray(colour, np.float32) * light.astype(np.float32)[..., None]


def _cover(mask: Image.Image, size: int) -> Field:
    """A mask of twice the size as soft-edged cover."""
    small = mask.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(np.asarray(small, np.float32) / 255, np.float32)


def _conifer(draw: ImageDraw.ImageDraw, foot: tuple[float, float], tall: float, random: np.random.Generator) -> None:
    x, y = foot
    tiers = max(5, int(tall / 14))
    left: list[tuple[float, float]] = []
    right: list[tuple[float, float]] = []
    for tier in range(tiers + 1):
        part = tier / tiers
        wide = tall * 0.17 * (part**0.9) + tall * 0.006
        reach = y - tall + tall * 0.93 * part
        for side, out in ((-1, left), (1, right)):
            tip = wide * float(random.uniform(0.72, 1.12))
            out += [(x + side * tip, reach + tall * 0.018), (x + side * tip * 0.52, reach + tall * 0.004)]
    draw.polygon([(x, y - tall * 1.03), *right, (x, y), *reversed(left)], fill=255)
    draw.rectangle([x - tall * 0.012, y - tall * 0.1, x + tall * 0.012, y + tall * 0.05], fill=255)
