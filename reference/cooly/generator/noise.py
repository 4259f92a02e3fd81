"""Random fields that look like nature: the same generator state gives the same field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.float32]

FADING = 0.5  # of each octave's height against the one before


def smooth(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and an S between."""
    part = np.clip((field - low) / (high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def line(random: np.random.Generator, size: int, waves: float, octaves: int, *, ridged: bool = False) -> Field:
    """A line of `size` values in 0..1: the first octave has about `waves` waves; `ridged` gives sharp crests."""
    total, height, weight = np.zeros(size, np.float32), 1.0, 0.0
    for octave in range(octaves):
        points = max(4, round(waves * 2**octave) + 3)
        at = np.linspace(0, points - 1.001, size) + random.uniform(0, 0.001)
        left = at.astype(int)
        part = at - left
        knots = random.random(points + 1)
        wave = knots[left] + (knots[left + 1] - knots[left]) * (part * part * (3 - 2 * part))
        total += height * (1 - np.abs(2 * wave - 1) if ridged else wave)
        weight += height
        height *= FADING
    return total / weight


def plane(random: np.random.Generator, size: int, waves: tuple[float, float], octaves: int) -> Field:
    """A square of values in about 0..1; `waves` are those of the first octave across and down."""
    total, height, weight = np.zeros((size, size), np.float32), 1.0, 0.0
    for octave in range(octaves):
        across, down = (max(2, round(one * 2**octave) + 2) for one in waves)
        if max(across, down) > size:
            break
        grid = Image.fromarray(random.random((down, across)).astype(np.float32))
        total += height * np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))
        weight += height
        height *= FADING
    return total / weight
