"""Batches of speech of one length each, cut from utterances of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POOL = 2048
"""Utterances held in memory at once, to be sorted by length."""

GRID = 10
"""Lengths of batches are multiples of so many frames: on a CPU, convolutions of each new length are compiled first."""


@dataclass(frozen=True)
class Utterance:
    """A waveform, float32 [samples] at 16 kHz, and the unit of each of its frames, int [T]."""

    waveform: NDArray[np.float32]
    units: NDArray[np.integer]


@dataclass(frozen=True)
class SpeechBatch:
    """`waveforms` float32 [B, samples] and `units` int64 [B, T]; nothing is padded."""

    waveforms: Tensor
    units: Tensor


@dataclass(frozen=True)
class FrameGeometry:
    """Which samples an encoder's frame t covers: `hop * t` to `hop * t + receptive_field`."""

    hop: int
    receptive_field: int

    @classmethod
    def of(cls, kernels: Sequence[int], strides: Sequence[int]) -> FrameGeometry:
        """Geometry of a stack of convolutions without padding."""
        hop, receptive_field = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            receptive_field += (kernel - 1) * hop
            hop *= stride
        return cls(hop, receptive_field)

    def frames(self, samples: int) -> int:
        return max(0, (samples - self.receptive_field) // self.hop + 1)

    def samples(self, frames: int) -> int:
        return self.receptive_field + (frames - 1) * self.hop


def speech_batches(
    utterances: Iterable[Utterance],
    geometry: FrameGeometry,
    *,
    batch_samples: int,
    longest_samples: int,
    rng: np.random.Generator,
) -> Iterator[SpeechBatch]:
    """Shuffled batches of at most `batch_samples` (one utterance at least), drawn pool by pool.

    Utterances of similar length share a batch, and each is cut at random to the shortest of them, as in fairseq's
    HuBERT (`pad_audio=false`): group norm over time would see padding; and further to a multiple of `GRID` frames,
    where there are so many. Utterances without a frame are left out.
    """
    remaining = iter(utterances)
    while pool := list(islice(remaining, POOL)):
        pool = sorted((u for u in pool if len(u.units)), key=lambda u: len(u.units))
        groups: list[list[Utterance]] = []
        for utterance in pool:
            samples = min(geometry.samples(len(utterance.units)), longest_samples)
            if not groups or samples * (len(groups[-1]) + 1) > batch_samples:
                groups.append([])
            groups[-1].append(utterance)
        for index in rng.permutation(len(groups)):
            yield _cut(groups[index], geometry, geometry.frames(longest_samples), rng)


def _cut(group: list[Utterance], geometry: FrameGeometry, longest: int, rng: np.random.Generator) -> SpeechBatch:
    frames = min(longest, *(len(utterance.units) for utterance in group))
    frames -= frames % GRID if frames > GRID else 0
    waveforms, units = [], []
    for utterance in group:
        first = int(rng.integers(len(utterance.units) - frames + 1))
        start = first * geometry.hop
        waveforms.append(utterance.waveform[start : start + geometry.samples(frames)])
        units.append(utterance.units[first : first + frames])
    return SpeechBatch(torch.from_numpy(np.stack(waveforms)), torch.from_numpy(np.stack(units).astype(np.int64)))
