"""Where in a clip somebody speaks, in pieces that fit a recogniser's window.

Silero's network tells where it is installed (`mer.encoders.asr.silero`), else the level does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from mer.encoders.asr import silero
from mer.media.rate import SAMPLE_RATE as RATE

__all__ = ["RATE", "by_level", "by_silero", "detector", "spans"]

HOP = 320
"""Samples of a level: 20 ms."""
RANGE_DB = 35.0
"""Quieter than the clip's loud parts by this much is silence: pauses and room, not soft speech."""
FLOOR_DB, QUIET_FLOOR_DB = -60.0, -70.0
"""Below this level, relative to full scale, nothing is speech; the second is for quiet clips, without their rumble."""
ROOM_DB, ROOM_RANGE_DB = -35.0, 15.0
"""A clip that is hardly ever louder than the first is doubted; if it varies by less than the second, it holds a room's
noise alone."""
VOICE_HZ = 150.0
"""Wind, rumble and hum lie below, and wander; the formants that make speech lie above."""
SMOOTH, SHORTEST = 5, 13
"""Levels whose median is taken, which clicks do not pass, and how many a sound of a doubted clip must last: 0.25 s, as
for silero's network."""
MARGIN = 10
"""Levels kept on either side of what is heard: consonants are quiet."""


Detector = Callable[[NDArray[np.float32]], NDArray[np.bool_]]
"""Of a waveform [samples], whether somebody speaks in each 20 ms; the last may be shorter."""


def detector() -> tuple[str, Detector]:
    """The best detector that is installed, and a name that changes with what it decides."""
    found = silero.fingerprint()
    return ("level-3", by_level) if found is None else (f"silero {found}", by_silero)


def by_level(waveform: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is not much quieter than the clip's loud parts; in a quiet clip only what no noise of a room is."""
    levels = _levels(waveform)
    if not len(levels):
        return np.zeros(0, bool)
    steady = _steady_levels(waveform)
    if np.percentile(steady, 95) < ROOM_DB:
        return _in_a_quiet_clip(steady)
    return _near(levels, float(np.percentile(levels, 95)), FLOOR_DB)


def _in_a_quiet_clip(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Sounds that last, in a clip that varies as speech does."""
    low, high = np.percentile(levels, [10, 95])
    if high - low < ROOM_RANGE_DB:
        return np.zeros(len(levels), bool)
    loud = _near(levels, float(high), QUIET_FLOOR_DB)
    for start, stop in np.flatnonzero(np.diff(np.pad(loud.astype(np.int8), 1))).reshape(-1, 2).tolist():
        loud[start:stop] &= stop - start >= SHORTEST
    return loud


def _steady_levels(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels without rumble and without clicks."""
    section = signal.butter(2, VOICE_HZ, "highpass", fs=RATE, output="sos")
    return np.asarray(ndimage.median_filter(_levels(signal.sosfilt(section, waveform)), SMOOTH, mode="nearest"))


def _near(levels: NDArray[np.float64], high: float, floor: float) -> NDArray[np.bool_]:
    return np.asarray(levels > max(floor, high - RANGE_DB))


def by_silero(waveform: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Silero's decisions, each at the 20 ms whose middle it covers."""
    decisions = silero.speech(waveform)
    middles = np.minimum(np.arange(0, len(waveform), HOP) + HOP // 2, max(0, len(waveform) - 1))
    return decisions[middles // silero.CHUNK]


def spans(waveform: NDArray[np.float32], longest: int, detect: Detector = by_level) -> list[tuple[int, int]]:
    """Samples [start, stop) in which somebody speaks, at most `longest` each, in order; [] where nobody does.

    Neighbouring sounds share a span as long as they fit, with the pause between them: words want their context.
    A sound longer than a span is cut where it is quietest.
    """
    levels = _levels(waveform)
    heard = detect(waveform)
    if not heard.any():
        return []
    edges = np.flatnonzero(np.diff(np.pad(heard.astype(int), 1)))
    sounds = [(max(0, a - MARGIN), min(len(levels), b + MARGIN)) for a, b in edges.reshape(-1, 2).tolist()]
    pieces = [piece for sound in sounds for piece in _cut(levels, *sound, longest // HOP)]
    joined = [pieces[0]]
    for start, stop in pieces[1:]:
        if stop - joined[-1][0] <= longest // HOP:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((max(start, joined[-1][1]), stop))
    return [(start * HOP, min(stop * HOP, len(waveform))) for start, stop in joined]


def _levels(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Level of each 20 ms in dB of full scale; the last one may be shorter."""
    starts = np.arange(0, len(waveform), HOP)
    if not len(starts):
        return np.zeros(0)
    energy = np.add.reduceat(np.square(waveform, dtype=np.float64), starts)
    lengths = np.diff([*starts, len(waveform)])
    return 10 * np.log10(energy / lengths + 1e-12)


def _cut(levels: NDArray[np.float64], start: int, stop: int, longest: int) -> list[tuple[int, int]]:
    """Cut [start, stop) into pieces of at most `longest`, each at the quietest place of its second half."""
    cuts = [start]
    while stop - cuts[-1] > longest:
        reach = levels[cuts[-1] + longest // 2 : cuts[-1] + longest]
        cuts.append(cuts[-1] + longest // 2 + int(reach.argmin()) + 1)
    return list(pairwise([*cuts, stop]))
