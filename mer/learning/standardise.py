"""Standardised features: zero mean, unit variance, and few enough columns; fitted on all clips, without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]
Present = NDArray[np.bool_]
Groups = NDArray[np.int64]

ROWS = 4096
"""Clips handled at once, so that a corpus of 100,000 wide vectors needs no second copy."""

LEAST_VARIANCE = 1e-6
"""A column, scaled to unit variance before, that has less after rotation or within groups is constant."""

PRIOR_CLIPS = 4.0
"""How many clips a group's prior statistics count for: a group of one clip is not its own mean."""


@dataclass(frozen=True)
class Standardiser:
    """Column statistics of one modality and, where it was wide, a rotation to its principal components; those of L
    blocks, side by side, share one.

    `mean` and `scale` are [D], `basis` [D / L, P] or None; `within` [D], the deviation within groups of a column scaled
    to unit variance, is None unless groups are standardised each for itself. A column that is constant or never a
    number has scale zero and becomes zero; a missing number becomes the column's mean. `gain`, [1] or a component,
    makes the mean variance of the columns that vary one: noise then weighs the same in every modality.
    `group_mean` and `group_scale` [G + 1, D] are the statistics of groups that were guessed; they stay those of
    training.
    """

    mean: Array
    scale: Array
    within: Array | None = None
    basis: Array | None = None
    gain: Array = field(default_factory=lambda: np.ones(1, np.float32))
    group_mean: Array | None = None
    group_scale: Array | None = None

    @property
    def width(self) -> int:
        """Columns after standardising."""
        if self.basis is None:
            return len(self.mean)
        return len(self.mean) // len(self.basis) * self.basis.shape[1]

    def __call__(self, x: Array, present: Present, groups: Groups | None = None) -> Array:
        """Standardise [N, D] to [N, width]; absent rows are zero.

        Args:
            x: [N, D].
            present: bool [N].
            groups: codes [N], -1 where unknown; needs a standardiser that was fitted with groups. The statistics of a
                group are those of its clips in this call.
        """
        result = np.zeros((len(x), self.width), np.float32)
        for rows, z in self._columns(x, present, groups):
            result[rows] = (z if self.basis is None else rotated(z, self.basis)) * self.gain
        return result

    def _columns(self, x: Array, present: Present, groups: Groups | None) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Rows of the present clips and their standardised columns, before the rotation, a chunk at a time."""
        shift = None if groups is None else self._group_statistics(x, present, groups)
        for rows in _chunks(np.flatnonzero(present)):
            z = self.scaled(x[rows])
            if shift is not None and groups is not None:
                mean, scale = shift
                z = (z - mean[groups[rows]]) * scale[groups[rows]]
            yield rows, z

    def scaled(self, x: Array) -> Array:
        """[N, D] with the columns' mean and deviation taken out; a missing number is the mean."""
        return np.nan_to_num((x - self.mean) * self.scale).astype(np.float32)

    def _group_statistics(self, x: Array, present: Present, groups: Groups) -> tuple[Array, Array]:
        """Mean and 1/deviation [G + 1, D] of each group, drawn to the corpus' own; the last row is code -1's."""
        if self.group_mean is not None and self.group_scale is not None:
            return self.group_mean, self.group_scale
        number = int(groups.max(initial=-1)) + 1
        mean, scale = np.zeros((number + 1, x.shape[1]), np.float32), np.ones((number + 1, x.shape[1]), np.float32)
        prior = PRIOR_CLIPS * (1 if self.within is None else self.within**2)
        for group in range(number):
            z = self.scaled(x[present & (groups == group)])
            mean[group] = z.sum(axis=0) / (len(z) + PRIOR_CLIPS)
            variance = (((z - mean[group]) ** 2).sum(axis=0) + prior) / (len(z) + PRIOR_CLIPS)
            scale[group] = 1 / np.sqrt(np.maximum(variance, 1e-6))
        return mean, scale


def fit_standardiser(
    x: Array,
    present: Present,
    components: int,
    groups: Groups | None = None,
    *,
    guessed: bool = False,
    whiten: bool = False,
    blocks: int = 1,
) -> Standardiser:
    """Fit on the present rows of [N, D].

    Args:
        x, present: [N, D] and bool [N].
        components: more columns than these (if not 0) are rotated to that many principal ones.
        groups: codes [N], -1 where unknown; each group is then standardised for itself.
        guessed: keep the groups' statistics, for clips that come later are told apart by these groups alone.
        whiten: give every principal component the same variance, instead of all of them together.
        blocks: L; the columns are those of so many blocks of an encoder, side by side.
    """
    fitted = fit_columns(x, present)
    if groups is not None:
        fitted = replace(fitted, within=_within(fitted, x, present, groups))
        if guessed:
            mean, scale = fitted._group_statistics(x, present, groups)
            fitted = replace(fitted, group_mean=mean, group_scale=scale)
    return fit_rotation(fitted, x, present, components, groups, whiten=whiten, blocks=blocks)


def rotated(z: Array, basis: Array) -> Array:
    """[n, L * D] in the basis [D, P] of each block: [n, L * P]."""
    return z @ basis if z.shape[1] == len(basis) else (z.reshape(-1, len(basis)) @ basis).reshape(len(z), -1)


def fit_rotation(
    fitted: Standardiser,
    x: Array,
    present: Present,
    components: int,
    groups: Groups | None,
    *,
    whiten: bool,
    blocks: int = 1,
) -> Standardiser:
    """`fitted` with the rotation that more than `components` columns need, and the gain; see `fit_standardiser`."""
    width = x.shape[1] // blocks
    rank = min(components, int(present.sum()), width)
    if rank and width > components:
        fitted = replace(fitted, basis=_principal_components(fitted, x, present, groups, rank, width))
    variance = np.square(fitted(x, present, groups)[present], dtype=np.float64).mean(axis=0) if present.any() else None
    if variance is None or not (variance > LEAST_VARIANCE).any():
        return fitted
    if not (whiten and fitted.basis is not None):
        variance = variance[variance > LEAST_VARIANCE].mean(keepdims=True)
    gain = np.where(variance > LEAST_VARIANCE, 1 / np.sqrt(np.maximum(variance, LEAST_VARIANCE)), 0)
    return replace(fitted, gain=gain.astype(np.float32))


def fit_columns(x: Array, present: Present) -> Standardiser:
    """Mean and deviation of each column over the present rows of [N, D]."""
    number, total, square = (np.zeros(x.shape[1]) for _ in range(3))
    for rows in _chunks(np.flatnonzero(present)):
        number += (~np.isnan(x[rows])).sum(axis=0)
        total += np.nansum(x[rows], axis=0, dtype=np.float64)
    mean = total / np.maximum(number, 1)
    for rows in _chunks(np.flatnonzero(present)):
        square += np.nansum((x[rows] - mean) ** 2, axis=0, dtype=np.float64)
    deviation = np.sqrt(square / np.maximum(number, 1))
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    return Standardiser(mean.astype(np.float32), scale.astype(np.float32))


def _within(fitted: Standardiser, x: Array, present: Present, groups: Groups) -> Array:
    """Deviation [D] within groups of the scaled columns; a clip without a group counts as it stands."""
    square, number = np.zeros(x.shape[1]), 0
    for group in range(-1, int(groups.max(initial=-1)) + 1):
        z = fitted.scaled(x[present & (groups == group)])
        if len(z):
            square += ((z - (z.mean(axis=0) if group >= 0 else 0)) ** 2).sum(axis=0, dtype=np.float64)
            number += len(z)
    return np.sqrt(square / max(number, 1)).astype(np.float32)


def _principal_components(
    fitted: Standardiser, x: Array, present: Present, groups: Groups | None, rank: int, width: int
) -> Array:
    """The `rank` leading directions [D, rank] by subspace iteration (Halko et al. 2011, algorithm 4.4); blocks of
    `width` columns are as many rows."""
    size = min(rank + 32, width)
    start = torch.randn(width, size, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(start).Q  # [D, size]
    for _ in range(4):
        image = torch.zeros_like(basis)
        for _, z in fitted._columns(x, present, groups):
            z = z.reshape(-1, width)
            image += torch.from_numpy(z).T @ (torch.from_numpy(z) @ basis)
        basis = torch.linalg.qr(image).Q
    covariance = torch.zeros(size, size)
    for _, z in fitted._columns(x, present, groups):
        projected = torch.from_numpy(z.reshape(-1, width)) @ basis
        covariance += projected.T @ projected
    vectors = torch.linalg.eigh(covariance).eigenvectors.flip(-1)[:, :rank]
    return np.ascontiguousarray((basis @ vectors).numpy())


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]


def standardiser_tensors(standardisers: Mapping[str, Standardiser]) -> dict[str, torch.Tensor]:
    """As named tensors, to be saved beside a model."""
    return {
        f"standardise.{name}.{part.name}": torch.from_numpy(getattr(fitted, part.name))
        for name, fitted in standardisers.items()
        for part in fields(Standardiser)
        if getattr(fitted, part.name) is not None
    }


def standardisers_from(tensors: Mapping[str, torch.Tensor], modalities: Sequence[str]) -> dict[str, Standardiser]:
    """What `standardiser_tensors` took apart; a KeyError where a part is missing."""
    result = {}
    for name in modalities:
        start = f"standardise.{name}."
        parts = {key.removeprefix(start): value.numpy() for key, value in tensors.items() if key.startswith(start)}
        result[name] = Standardiser(mean=parts.pop("mean"), scale=parts.pop("scale"), **parts)
    return result
