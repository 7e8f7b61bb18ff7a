"""Where in a clip somebody speaks, in pieces that fit a recogniser's window.

Silero's network tells where it is installed (`mer.encoders.asr.silero`), else the level does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mer.encoders.asr import silero
from mer.media.rate import SAMPLE_RATE as RATE

__all__ = ["RATE", "by_level", "by_silero", "detector", "spans"]

HOP = 320
"""Samples of a level: 20 ms."""
RANGE_DB = 35.0
"""Quieter than the clip's loud parts by this much is silence: pauses and room, not soft speech."""
FLOOR_DB = -60.0
"""Below this level, relative to full scale, nothing is speech."""
ROOM_DB, ROOM_RANGE_DB = -35.0, 15.0
"""A clip that is hardly ever louder than the first and varies by less than the second holds a room's noise alone."""
MARGIN = 10
"""Levels kept on either side of what is heard: consonants are quiet."""


Detector = Callable[[NDArray[np.float32]], NDArray[np.bool_]]
"""Of a waveform [samples], whether somebody speaks in each 20 ms; the last may be shorter."""


def detector() -> tuple[str, Detector]:
    """The best detector that is installed, and a name that changes with what it decides."""
    found = silero.fingerprint()
    return ("level-2", by_level) if found is None else (f"silero {found}", by_silero)


def by_level(waveform: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is not much quieter than the clip's loud parts, unless all of it is a room's steady noise."""
    levels = _levels(waveform)
    if not len(levels):
        return np.zeros(0, bool)
    low, high = np.percentile(levels, [10, 95])
    if high < ROOM_DB and high - low < ROOM_RANGE_DB:
        return np.zeros(len(levels), bool)
    return np.asarray(levels > max(FLOOR_DB, float(high) - RANGE_DB))


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
