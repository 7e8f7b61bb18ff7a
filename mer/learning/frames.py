"""Frames of clips as a model reads them: a batch at a time from where they lie, never those of all clips at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mer.learning.standardise import PRIOR_CLIPS, Standardiser, fit_columns, fit_rotation
from mer.model.encoder import Frames

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

FIT_VALUES = 2**24
"""Numbers that columns and rotation are fitted on at most, of clips spread over the corpus: 64 MB."""
CLIPS = 256
"""Clips read at once, where all are gone through."""


class FrameFeatures(Protocol):
    """Frames of N clips: `frames[row]` is [T, D], with T of any length, zero too; D is `width`."""

    @property
    def width(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> NDArray[Any]: ...


@dataclass(frozen=True)
class FrameList:
    """Frames at hand: [T, D] a clip, None where it has none."""

    values: Sequence[NDArray[Any] | None]
    width: int

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> NDArray[Any]:
        own = self.values[row]
        return np.zeros((0, self.width), np.float32) if own is None else own


def about_frames(frames: Mapping[str, FrameFeatures], present: Mapping[str, NDArray[np.bool_]], most: int) -> list[str]:
    """What reading frames leaves out or shortens, a line each: views that have vectors only, clips whose vector has no
    frames, clips of more frames than `most`.

    Args:
        frames: of the views that have them.
        present: bool [N] a view, of all views.
        most: `model.most_frames`.
    """
    told = []
    if vectors := [name for name in present if name not in frames]:
        told.append(f"no frames of {', '.join(vectors)} are stored: read as vectors (see 'views.{vectors[0]}.frames')")
    for name, own in frames.items():
        lengths = np.array([len(own[int(row)]) for row in np.flatnonzero(present[name])], np.int64)
        if masked := int((lengths == 0).sum()):
            told.append(f"{name}: {masked} of {len(lengths)} clips have a vector and no frames: masked")
        if long := int((lengths > most).sum()):
            told.append(f"{name}: {long} of {len(lengths)} clips have more than {most} frames: means of {most} parts")
    return told


def some_of(frames: FrameFeatures, rows: Rows) -> FrameList:
    """The frames of some clips; what lies in a file stays there."""
    return FrameList([frames[int(row)] for row in rows], frames.width)


def read_parts(frames: FrameFeatures, rows: Rows, most: int) -> tuple[Array, Rows]:
    """Frames of some clips one after the other, float32 [sum(P), D], and each clip's number of them, int64 [n].

    Of a clip with more than `most` frames they are the means of as many equal parts of its time. What is no finite
    number becomes NaN.
    """
    parts: list[Array] = [np.zeros((0, frames.width), np.float32)]
    lengths = np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows):
        own: Array = np.asarray(frames[int(row)], np.float32)
        own = np.where(np.isfinite(own), own, np.float32(np.nan))
        if len(own) > most:
            starts = np.arange(most) * len(own) // most
            sizes = np.diff(np.append(starts, len(own)))
            own = np.asarray(np.add.reduceat(own, starts, axis=0) / sizes[:, None], np.float32)  # [most, D]
        parts.append(own)
        lengths[i] = len(own)
    return np.concatenate(parts), lengths


@dataclass(frozen=True)
class FrameReader:
    """How a view's frames are read: `most` of a clip, standardised over all clips or within their groups."""

    standardiser: Standardiser
    most: int

    def inputs(
        self, frames: FrameFeatures, present: NDArray[np.bool_], codes: Rows | None, device: torch.device
    ) -> FrameInputs:
        """The frames of N clips, to be read later; groups are those of the clips in this call, where not guessed."""
        if len(frames) != len(present):
            raise ValueError(f"frames of {len(frames)} clips, where {len(present)} are known")
        fitted = self.standardiser
        if codes is not None and fitted.group_mean is None:
            fitted = _bound(fitted, _moments(fitted, frames, np.flatnonzero(present), codes, self.most))
        return FrameInputs(frames, fitted, self.most, codes, np.arange(len(present)), device)


@dataclass(frozen=True)
class FrameInputs:
    """Frames of some clips, `rows` of `frames`; nothing is read before `read`."""

    frames: FrameFeatures
    standardiser: Standardiser
    most: int
    codes: Rows | None
    rows: Rows
    device: torch.device

    def take(self, index: Any) -> FrameInputs:
        """The clips of an index, of any shape."""
        return replace(self, rows=self.rows[index])

    def read(self) -> Frames:
        """Standardised frames, always `most` places a clip: what a clip gets does not depend on its company."""
        values, lengths = read_parts(self.frames, self.rows, self.most)
        codes = None if self.codes is None else np.repeat(self.codes[self.rows], lengths)
        real = np.arange(self.most) < lengths[:, None]  # [B, T]
        padded = np.zeros((*real.shape, self.standardiser.width), np.float32)
        padded[real] = self.standardiser(values, np.ones(len(values), bool), codes)
        return Frames(torch.from_numpy(padded).to(self.device), torch.from_numpy(real).to(self.device))


def fit_reader(
    frames: FrameFeatures,
    present: NDArray[np.bool_],
    most: int,
    components: int,
    codes: Rows | None = None,
    *,
    guessed: bool = False,
    whiten: bool = False,
) -> FrameReader:
    """Fit on the frames of the present clips; see `fit_standardiser`. Each clip counts alike, however long it is, in
    the statistics of its group. No clip gets more places than the longest one here has frames."""
    rows = np.flatnonzero(present)
    lengths = np.array([len(frames[int(row)]) for row in rows], np.int64)
    rows, lengths = rows[lengths > 0], lengths[lengths > 0]
    most = max(1, min(most, int(lengths.max(initial=1))))
    total = int(np.minimum(lengths, most).sum()) * frames.width
    spread = rows[:: max(1, -(-total // FIT_VALUES))]
    sample, of = read_parts(frames, spread, most)
    every = np.ones(len(sample), bool)
    fitted = fit_columns(sample, every)
    own = None if codes is None else np.repeat(codes[spread], of)
    if codes is not None:
        moments = _moments(fitted, frames, rows, codes, most)
        fitted = replace(fitted, within=moments.within())
        fitted = _bound(fitted, moments)
    fitted = fit_rotation(fitted, sample, every, components, own, whiten=whiten)
    return FrameReader(fitted if guessed else replace(fitted, group_mean=None, group_scale=None), most)


@dataclass(frozen=True)
class _Moments:
    """Of each group, and last of the clips without one: clips [G + 1], and sums over clips of the mean and of the mean
    square of their scaled frames, [G + 1, D]."""

    number: NDArray[np.float64]
    total: NDArray[np.float64]
    square: NDArray[np.float64]

    def within(self) -> Array:
        """Deviation [D] within groups; a clip without a group counts as it stands."""
        number = np.maximum(self.number, 1)[:, None]
        spread = self.square - self.total**2 / number
        spread[-1] = self.square[-1]
        variance = spread.sum(axis=0) / max(self.number.sum(), 1)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)


def _moments(fitted: Standardiser, frames: FrameFeatures, rows: Rows, codes: Rows, most: int) -> _Moments:
    size = int(codes.max(initial=-1)) + 2
    number = np.zeros(size)
    total, square = np.zeros((size, frames.width)), np.zeros((size, frames.width))
    for part in _chunks(rows):
        values, lengths = read_parts(frames, part, most)
        part, lengths = part[lengths > 0], lengths[lengths > 0]
        if not len(part):
            continue
        z = fitted.scaled(values).astype(np.float64)
        starts = np.cumsum(lengths) - lengths
        group = codes[part]  # -1 is the last row
        np.add.at(number, group, 1)
        np.add.at(total, group, np.add.reduceat(z, starts, axis=0) / lengths[:, None])
        np.add.at(square, group, np.add.reduceat(z**2, starts, axis=0) / lengths[:, None])
    return _Moments(number, total, square)


def _bound(fitted: Standardiser, moments: _Moments) -> Standardiser:
    """With mean and 1/deviation of each group, drawn to the corpus' own; those without a group keep the corpus'."""
    number = moments.number[:, None]
    mean = moments.total / (number + PRIOR_CLIPS)
    spread = moments.square - 2 * mean * moments.total + number * mean**2
    prior = PRIOR_CLIPS * (1.0 if fitted.within is None else np.square(fitted.within, dtype=np.float64))
    variance = (np.maximum(spread, 0) + prior) / (number + PRIOR_CLIPS)
    scale = 1 / np.sqrt(np.maximum(variance, 1e-6))
    mean[-1], scale[-1] = 0, 1
    return replace(fitted, group_mean=mean.astype(np.float32), group_scale=scale.astype(np.float32))


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), CLIPS):
        yield rows[start : start + CLIPS]
