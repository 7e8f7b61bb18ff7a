"""Sentences as syllables of a made-up phonology, and their timing.

A Chinese character always sounds the same, but not as in Mandarin: onset, vowel and tone are read off its
code point, because a pronunciation dictionary would add nothing to a corpus about emotion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Formants F1-F4 of a male vocal tract in Hz (Peterson & Barney 1952; the fourth is nominal).
VOWELS = (
    (730, 1090, 2440, 3500),
    (530, 1840, 2480, 3500),
    (270, 2290, 3010, 3600),
    (570, 840, 2410, 3400),
    (300, 870, 2240, 3400),
    (500, 1500, 2500, 3500),
    (290, 1900, 2350, 3400),
)
NASAL = (280, 1150, 2300, 3300)


@dataclass(frozen=True)
class Onset:
    """How a syllable begins: voicing during the onset, and noise of a centre frequency and bandwidth in Hz."""

    voiced: float
    noise: float
    centre: float = 0.0
    bandwidth: float = 1.0
    burst: bool = False


ONSETS = (
    Onset(voiced=1.0, noise=0.0),
    Onset(voiced=0.5, noise=0.0),
    Onset(voiced=0.0, noise=0.5, centre=5800, bandwidth=1800),
    Onset(voiced=0.0, noise=0.6, centre=3200, bandwidth=1200),
    Onset(voiced=0.0, noise=0.2, centre=1500, bandwidth=2500),
    Onset(voiced=0.0, noise=0.5, centre=1800, bandwidth=1500, burst=True),
    Onset(voiced=0.0, noise=0.5, centre=3600, bandwidth=2000, burst=True),
    Onset(voiced=0.3, noise=0.3, centre=2500, bandwidth=1500),
)
# Pitch over the syllable in semitones, from its start to its end: level, rising, dipping, falling.
TONES = ((1.0, 1.0, 1.0), (-1.0, 0.0, 1.5), (-0.5, -2.0, -0.5), (1.5, 0.0, -2.0))


@dataclass(frozen=True)
class Syllable:
    onset: Onset
    vowel: tuple[int, ...]
    nasal: bool
    tone: tuple[float, ...]


def syllables(chinese: str) -> list[Syllable]:
    """One syllable a character."""
    codes = [ord(character) * 2654435761 % 2**32 >> 7 for character in chinese]
    return [
        Syllable(
            onset=ONSETS[code % len(ONSETS)],
            vowel=VOWELS[code // 8 % len(VOWELS)],
            nasal=code // 64 % 4 == 0,
            tone=TONES[code // 512 % len(TONES)],
        )
        for code in codes
    ]


def draw_boundaries(
    rng: np.random.Generator, count: int, rate: float, seconds: tuple[float, float]
) -> tuple[NDArray[np.float64], float]:
    """When each syllable starts and the last one ends [count + 1], and the length of the clip, in seconds.

    `rate` is in syllables a second; a sentence too long for a clip is spoken faster.
    """
    durations = rng.uniform(0.75, 1.25, count) / rate
    durations[-1] *= 1.4
    lead, trail = rng.uniform(0.06, 0.2, 2)
    durations *= min(1.0, (seconds[1] - lead - trail) / durations.sum())
    length = max(seconds[0], lead + durations.sum() + trail)
    return lead + np.concatenate([[0.0], np.cumsum(durations)]), float(length)
