"""Which of several faces speaks: the one whose mouth moves as the sound swells.

A first measure, without a model: the correlation of the motion around the mouth with the level of the sound. The motion
of the rest of the face is not taken off it: heads move as people speak, and without that motion the measure was right
less often than chance (`benchmarks.who_speaks`). It tells apart faces that are both in the picture; dubbed films and
off-screen voices it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.crops import FaceCrops

RATE = 12.5
"""Frames a second that are looked at."""
MOST_FRAMES = 250
"""Of a clip: its first twenty seconds."""
LEAST_FRAMES = 12
LEAST = 0.2
"""Correlation below which no face counts as speaking."""
PATCH = (32, 16)
HEIGHTS, SIDES = (0.62, 1.0), (0.2, 0.8)
"""Where the mouth is, as shares of the box."""
RANGE_DB = 40.0
"""What is quieter than the loudest by more counts as this much: how silent a pause is says nothing."""

Image = NDArray[np.uint8]


def wanted_times(seconds: float) -> list[float]:
    """Times of the frames to look at."""
    return [(i + 0.5) / RATE for i in range(min(MOST_FRAMES, int(seconds * RATE)))]


def levels(waveform: NDArray[np.float32], times: Sequence[float], rate: int) -> NDArray[np.float64]:
    """Level of the sound around each time, in dB, at least `RANGE_DB` below the loudest, [T]."""
    half = round(rate / RATE / 2)
    starts = [round(time * rate) for time in times]
    parts = [waveform[max(0, start - half) : start + half].astype(np.float64) for start in starts]
    found = np.array([10 * np.log10(part @ part / max(1, len(part)) + 1e-8) for part in parts])
    return np.maximum(found, found.max(initial=-np.inf) - RANGE_DB)


def motion(frames: Sequence[Image], times: Sequence[float], face: FaceCrops) -> NDArray[np.float64]:
    """How much the mouth moves up to each frame, in grey levels, [T]; the face stands between the frames where it was
    found as a straight line has it."""
    boxes = np.stack([np.interp(times, face.timestamps, face.boxes[:, i]) for i in range(4)], axis=1)
    return _changes([_mouth(frame, box) for frame, box in zip(frames, boxes, strict=True)])


def correlation(moves: NDArray[np.float64], sound: NDArray[np.float64]) -> float:
    """Pearson's, of both smoothed over three frames; 0 where either is constant or there are too few frames."""
    if len(moves) < LEAST_FRAMES:
        return 0.0
    kernel = np.ones(3) / 3
    a, b = (np.convolve(x, kernel, mode="valid") for x in (moves, sound))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else 0.0


def who_speaks(correlations: Sequence[float]) -> int | None:
    """The face with the highest correlation, if that tells anything."""
    if not correlations or max(correlations) < LEAST:
        return None
    return int(np.argmax(correlations))


def _mouth(frame: Image, box: NDArray[np.float64]) -> NDArray[np.float32]:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    rows = slice(max(0, int(top + HEIGHTS[0] * height)), max(1, int(top + HEIGHTS[1] * height)))
    columns = slice(max(0, int(left + SIDES[0] * width)), max(1, int(left + SIDES[1] * width)))
    part = frame[rows, columns]
    if not part.size:
        return np.zeros(PATCH[::-1], np.float32)
    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, PATCH, interpolation=cv2.INTER_AREA), np.float32)


def _changes(patches: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    steps = [float(np.abs(b - b.mean() - (a - a.mean())).mean()) for a, b in pairwise(patches)]
    return np.array([steps[0] if steps else 0.0, *steps])
