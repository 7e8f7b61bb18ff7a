"""How the face moves: FACS action units over time (Ekman & Friesen; prototypes after EMFACS)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sample.forms import Expression
from sample.params import FaceKnobs

Tracks = dict[int, NDArray[np.float64]]
"""Action unit number -> activation [frames], 0 at rest, about 1 at full action."""

UNITS = (1, 2, 4, 5, 6, 7, 12, 15, 20, 23, 26)
JAW_DROP, BLINK = 26, 45

PROTOTYPES: dict[str, dict[int, float]] = {
    "neutral": {},
    "hot anger": {4: 1.0, 5: 0.7, 7: 0.6, 23: 0.6, 26: 0.5},
    "cold anger": {4: 0.9, 7: 1.0, 23: 1.0},
    "elation": {6: 1.0, 12: 1.0, 26: 0.4},
    "contentment": {6: 0.4, 12: 0.7},
    "despair": {1: 1.0, 4: 0.9, 15: 0.8, 20: 0.5, 26: 0.4},
    "grief": {1: 0.9, 4: 0.3, 15: 1.0},
    "panic": {1: 1.0, 2: 0.7, 4: 0.7, 5: 0.9, 20: 1.0, 26: 0.4},
    "unease": {1: 0.7, 4: 0.8, 20: 0.4, 23: 0.3},
    "delight": {1: 0.9, 2: 1.0, 5: 0.8, 12: 0.5, 26: 0.7},
    "shock": {1: 1.0, 2: 1.0, 4: 0.2, 5: 1.0, 26: 0.9},
}

RESTING = (1, 2, 4, 7, 12, 15, 23)
"""Units in which one person's face at rest differs from another's."""


def draw_resting_face(rng: np.random.Generator, knobs: FaceKnobs) -> dict[int, float]:
    """A speaker's own activation of units at rest, from drooping corners of the mouth to a lowered brow."""
    return {unit: abs(float(rng.normal(0, knobs.resting))) for unit in RESTING}


def draw_tracks(
    rng: np.random.Generator,
    expression: Expression,
    resting: Mapping[int, float],
    loudness: NDArray[np.float64],
    fps: int,
    knobs: FaceKnobs,
) -> Tracks:
    """Action units of a face that shows `expression` over its `resting` one; `loudness` [frames] is in 0..1."""
    time = np.arange(len(loudness)) / fps
    course = expression.strength * _onset_apex_offset(rng, time)
    prototype = PROTOTYPES[expression.form]
    tracks: Tracks = {}
    for unit in UNITS:
        peak = prototype.get(unit, 0.0) * rng.uniform(0.7, 1.15)
        if rng.random() < knobs.unit_dropout:
            peak = 0.0
        moved = peak * course + resting.get(unit, 0.0) + knobs.stray * _drift(rng, time)
        tracks[unit] = np.clip(moved, 0.0, 1.3)
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
