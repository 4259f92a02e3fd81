"""From a prompt to a scene: what its words ask for, and chance for the rest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """The colours of an hour; the sky from top to horizon, the haze that distance adds, and the ground nearby."""

    sky: tuple[str, str, str]
    glow: str
    haze: str
    far: str
    near: str
    cloud: str
    orb: str
    stars: float = 0.0


HOURS = {
    "dawn": Light(
        ("#2b3a67", "#b56b8c", "#ffd6a0"), "#ffb27a", "#e9a89b", "#7d6a94", "#1d2138", "#ffc9b5", "#fff3d6", 0.25
    ),
    "day": Light(("#2f74c0", "#7db4e0", "#dfeef5"), "#ffffff", "#c3d9e6", "#6d8fae", "#1f3a2e", "#ffffff", "#fffbe8"),
    "golden": Light(
        ("#3d6ea5", "#e0a96d", "#ffe3ad"), "#ffd27d", "#e8bd8c", "#8f7a72", "#2a2a1e", "#fff0d4", "#fff6d8"
    ),
    "sunset": Light(
        ("#2a1b4d", "#c2436b", "#ffb25b"), "#ff8a3c", "#e0735f", "#6b3a66", "#160f26", "#ff9e7a", "#ffe9b8", 0.1
    ),
    "night": Light(
        ("#060b1f", "#10234a", "#2f5680"), "#9dbfe8", "#27466e", "#1a3157", "#050a16", "#33507d", "#f2f4ea", 1.0
    ),
    "storm": Light(("#1d232e", "#47525f", "#9aa39f"), "#cfd2c4", "#7d8788", "#4a5560", "#12181b", "#39424d", "#d8dacd"),
}
WORDS = {
    "dawn": "dawn sunrise morning daybreak early pink rosy serene",
    "day": "day noon bright blue clear midday spring summer sunny",
    "golden": "golden afternoon autumn fall warm harvest desert dune dunes savanna",
    "sunset": "sunset dusk evening twilight red fire volcano",
    "night": "night midnight moon moonlight moonlit stars starry milky aurora northern lights dark",
    "storm": "storm stormy rain rainy thunder grey gray gloomy winter wind",
}
THINGS = {
    "water": "sea ocean lake water river coast bay beach island fjord shore reflection reflections pond",
    "forest": "forest wood woods tree trees pine pines fir jungle spruce",
    "dunes": "desert dune dunes sand sahara",
    "peaks": "mountain mountains alps alpine peak peaks snow snowy winter glacier fjord volcano",
    "aurora": "aurora northern borealis",
    "mist": "mist misty fog foggy haze hazy dawn",
    "birds": "bird birds gull gulls crane cranes swallow swallows",
}


@dataclass(frozen=True)
class Scene:
    """What will be painted."""

    seed: int
    hour: str
    light: Light
    things: frozenset[str]


def scene_of(prompt: str) -> Scene:
    """The scene of a prompt: the same words give the same picture."""
    words = re.findall(r"[a-zäöüß]+", prompt.lower())
    seed = int.from_bytes(hashlib.sha256(" ".join(words).encode()).digest()[:8])
    chance = np.random.default_rng(seed)
    said = [hour for word in words for hour, known in WORDS.items() if word in known.split()]
    hour = said[-1] if said else str(chance.choice(list(HOURS)))
    things = {thing for thing, known in THINGS.items() if set(words) & set(known.split())}
    if not things & {"water", "forest", "dunes", "peaks"}:
        things |= {str(one) for one in chance.choice(["water", "forest", "peaks", "peaks"], 2)}
    return Scene(seed, hour, HOURS[hour], frozenset(things))


def rgb(text: str) -> Colour:
    """`#rrggbb` as linear light, 0..1: mixtures of linear colours stay clean."""
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (red**2.2, green**2.2, blue**2.2)
