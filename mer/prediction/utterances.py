"""Where in a film somebody speaks, as utterances; found in stretches, so that a film of any length fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mer.encoders.asr.voice import HOP, RATE, detector
from mer.errors import MerError

CONTEXT = 2 * RATE
"""Samples before a stretch that the detector hears again: it has a memory, or judges by the level around."""
BYTES = 4


@dataclass(frozen=True)
class Cutting:
    """How speech becomes utterances, in seconds.

    A pause of `pause` ends an utterance, one longer than `longest` is cut where it is quietest, and one shorter than
    `shortest` is none. `margin` is kept on either side. Where `window` is given, a film is cut into windows of that
    length instead, whatever is said in them.
    """

    pause: float = 0.5
    longest: float = 15.0
    shortest: float = 0.3
    margin: float = 0.1
    window: float | None = None

    def __post_init__(self) -> None:
        if self.window is not None and not 0.1 <= self.window <= 600:
            raise MerError(f"--window {self.window:g}: must be from 0.1 to 600 seconds")


Span = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True)
class Listened:
    """A film's sound after one pass: `speech` bool and `levels` float32 in dB of each 20 ms; its length in samples."""

    speech: NDArray[np.bool_]
    levels: NDArray[np.float32]
    samples: int


def listen(stretches: Iterable[NDArray[np.float32]], spool: BinaryIO) -> Listened:
    """Find speech in successive stretches of a film, and keep their samples in a file (float32)."""
    _, detect = detector()
    before = np.zeros(0, np.float32)
    rest = np.zeros(0, np.float32)
    speech: list[NDArray[np.bool_]] = []
    levels: list[NDArray[np.float32]] = []
    samples = 0

    def take(part: NDArray[np.float32]) -> None:
        skip = len(before) // HOP
        speech.append(detect(np.concatenate([before, part]))[skip:])
        starts = np.arange(0, len(part), HOP)
        energy = np.add.reduceat(np.square(part, dtype=np.float64), starts) / np.diff([*starts, len(part)])
        levels.append((10 * np.log10(energy + 1e-12)).astype(np.float32))

    for stretch in stretches:
        spool.write(stretch.astype("<f4").tobytes())
        samples += len(stretch)
        joined = np.concatenate([rest, stretch])
        whole = len(joined) // HOP * HOP
        part, rest = joined[:whole], joined[whole:]
        if len(part):
            take(part)
            before = np.concatenate([before, part])[-CONTEXT:]
    if len(rest):
        take(rest)
    empty = np.zeros(0, bool), np.zeros(0, np.float32)
    return Listened(np.concatenate([empty[0], *speech]), np.concatenate([empty[1], *levels]), samples)


def spans(found: Listened, cutting: Cutting, seconds: float) -> list[Span]:
    """Utterances in order, none overlapping another; windows where the cutting says so, or where nothing is heard at
    all because the film has no sound."""
    if cutting.window is not None or not found.samples:
        return _windows(seconds, cutting.window or cutting.longest)
    hop = HOP / RATE
    pause, margin, longest = (round(value / hop) for value in (cutting.pause, cutting.margin, cutting.longest))
    edges = np.flatnonzero(np.diff(np.pad(found.speech.astype(np.int8), 1))).reshape(-1, 2).tolist()
    sounds: list[list[int]] = []
    for start, stop in edges:
        if sounds and start - sounds[-1][1] < pause:
            sounds[-1][1] = stop
        else:
            sounds.append([start, stop])
    kept = [(start, stop) for start, stop in sounds if (stop - start) * hop >= cutting.shortest]
    pieces = [piece for start, stop in kept for piece in _cut(found.levels, start, stop, longest)]
    return [(start * hop, stop * hop) for start, stop in _with_margin(pieces, margin, len(found.speech))]


def read_span(spool: BinaryIO, span: Span) -> NDArray[np.float32]:
    """The samples of a span, of the file that `listen` filled."""
    start, stop = (round(second * RATE) for second in span)
    spool.seek(start * BYTES)
    return np.frombuffer(spool.read((stop - start) * BYTES), "<f4").astype(np.float32)


def _windows(seconds: float, window: float) -> list[Span]:
    starts = np.arange(0, max(seconds, 1e-9), window)
    return [(float(start), float(min(start + window, seconds))) for start in starts if seconds - start > 0.02]


def _with_margin(pieces: Sequence[tuple[int, int]], margin: int, length: int) -> list[tuple[int, int]]:
    """Each piece with a margin, that two neighbours share where they are near."""
    middles = [(a[1] + b[0]) // 2 for a, b in pairwise(pieces)]
    before, after = [0, *middles], [*middles, length]
    bounds = zip(pieces, before, after, strict=True) if pieces else ()
    return [(max(start - margin, least), min(stop + margin, most)) for (start, stop), least, most in bounds]


def _cut(levels: NDArray[np.float32], start: int, stop: int, longest: int) -> list[tuple[int, int]]:
    """Pieces of at most `longest`, each cut at the quietest place of its second half."""
    cuts = [start]
    while stop - cuts[-1] > longest:
        reach = levels[cuts[-1] + longest // 2 : cuts[-1] + longest]
        cuts.append(cuts[-1] + longest // 2 + int(reach.argmin()) + 1)
    return list(pairwise([*cuts, stop]))
