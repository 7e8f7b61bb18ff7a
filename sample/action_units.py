"""How the face moves: FACS action units over time (Ekman & Friesen; prototypes after EMFACS)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample.params import FaceKnobs

Tracks = dict[int, NDArray[np.float64]]
"""Action unit number -> activation [frames], 0 at rest, about 1 at full action."""

UNITS = (1, 2, 4, 5, 6, 7, 12, 15, 20, 23, 26)
JAW_DROP, BLINK = 26, 45

PROTOTYPES: dict[str, dict[int, float]] = {
    "neutral": {},
    "angry": {4: 1.0, 5: 0.5, 7: 0.8, 23: 1.0},
    "happy": {6: 0.8, 12: 1.0},
    "sad": {1: 1.0, 4: 0.5, 15: 1.0},
    "worried": {1: 0.8, 2: 0.3, 4: 0.7, 20: 0.9},
    "surprise": {1: 1.0, 2: 1.0, 5: 1.0, 26: 0.8},
}


def draw_tracks(
    rng: np.random.Generator, emotion: str, loudness: NDArray[np.float64], fps: int, knobs: FaceKnobs
) -> Tracks:
    """Action units of a face that expresses `emotion` while it speaks with `loudness` [frames] in 0..1."""
    frames = len(loudness)
    time = np.arange(frames) / fps
    expression = rng.uniform(*knobs.intensity) * _onset_apex_offset(rng, time)
    prototype = PROTOTYPES[emotion]
    tracks: Tracks = {}
    for unit in UNITS:
        strength = prototype.get(unit, 0.0) * rng.uniform(0.7, 1.15)
        if rng.random() < knobs.unit_dropout:
            strength = 0.0
        tracks[unit] = np.clip(strength * expression + knobs.stray * _drift(rng, time), 0.0, 1.3)
    tracks[JAW_DROP] = tracks[JAW_DROP] + rng.uniform(0.25, 0.5) * loudness
    tracks[BLINK] = _blinks(rng, time)
    return tracks


def _onset_apex_offset(rng: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rises in about 0.3 s to an apex, holds, and falls back to a part of it."""
    seconds = time[-1]
    onset, offset = rng.uniform(-0.4, 0.3) * seconds, rng.uniform(0.7, 1.3) * seconds
    rise = 1 / (1 + np.exp(-(time - onset) / 0.08))
    fall = 1 / (1 + np.exp((time - offset) / 0.12))
    floor = rng.uniform(0.2, 0.5)
    return floor + (1 - floor) * rise * fall


def _drift(rng: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slow movement in about -1..1: an offset of the clip's own and two sines below 1.5 Hz."""
    rate, phase = rng.uniform(0.2, 1.5, (2, 1)), rng.uniform(0, 2 * np.pi, (2, 1))
    return rng.normal(0, 0.7) + 0.5 * np.sin(2 * np.pi * rate * time + phase).mean(axis=0)


def _blinks(rng: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eyelid closure, 0 open to 1 shut; a blink about every 2.5 s lasts about 0.2 s."""
    closure = np.zeros_like(time)
    start = rng.uniform(0, 2.5)
    while start < time[-1]:
        closure = np.maximum(closure, np.exp(-(((time - start) / 0.07) ** 2)))
        start += rng.uniform(1.5, 3.5)
    return closure
