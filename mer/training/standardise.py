"""Standardised features: zero mean, unit variance, and few enough columns; fitted on all clips, without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]

ROWS = 4096
"""Clips handled at once, so that a corpus of 100,000 wide vectors needs no second copy."""

PRIOR_CLIPS = 4.0
"""Corpus clips that weigh in on a group's mean and variance: a group of one clip is not its own mean."""


@dataclass(frozen=True)
class Standardiser:
    """Column statistics of one modality and, where it was wide, a rotation to its principal components.

    `mean` and `scale` are [D], `basis` [D, P] or None. A column that is constant or never a number has scale zero
    and becomes zero; a missing number becomes the column's mean.
    """

    mean: Array
    scale: Array
    basis: Array | None

    @property
    def width(self) -> int:
        """Columns after standardising."""
        return len(self.mean) if self.basis is None else self.basis.shape[1]

    def __call__(self, x: Array, present: NDArray[np.bool_], groups: NDArray[np.int64] | None = None) -> Array:
        """Standardise [N, D] to [N, width], within `groups` (codes, -1 unknown) if given; absent rows are zero."""
        result = np.zeros((len(x), self.width), np.float32)
        shift = _group_statistics(self, x, present, groups) if groups is not None else None
        for rows in _chunks(np.flatnonzero(present)):
            z = self._scaled(x[rows])
            if shift is not None and groups is not None:
                means, scales = shift
                z = (z - means[groups[rows]]) * scales[groups[rows]]
            result[rows] = z if self.basis is None else z @ self.basis
        return result

    def _scaled(self, x: Array) -> Array:
        return np.nan_to_num((x - self.mean) * self.scale).astype(np.float32)


def fit_standardiser(
    x: Array, present: NDArray[np.bool_], components: int, groups: NDArray[np.int64] | None = None
) -> Standardiser:
    """Fit on the present rows of [N, D]; more than `components` columns (if not 0) are rotated to that many."""
    number, total, square = (np.zeros(x.shape[1]) for _ in range(3))
    for rows in _chunks(np.flatnonzero(present)):
        known = ~np.isnan(x[rows])
        number += known.sum(axis=0)
        total += np.where(known, x[rows], 0).sum(axis=0, dtype=np.float64)
    mean = total / np.maximum(number, 1)
    for rows in _chunks(np.flatnonzero(present)):
        square += np.nan_to_num((x[rows] - mean) ** 2).sum(axis=0, dtype=np.float64)
    deviation = np.sqrt(square / np.maximum(number, 1))
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    plain = Standardiser(mean.astype(np.float32), scale.astype(np.float32), basis=None)
    rank = min(components, int(present.sum()), x.shape[1])
    if not components or x.shape[1] <= components or not rank:
        return plain
    return Standardiser(plain.mean, plain.scale, _principal_components(plain, x, present, groups, rank))


def _principal_components(
    plain: Standardiser, x: Array, present: NDArray[np.bool_], groups: NDArray[np.int64] | None, rank: int
) -> Array:
    """The `rank` leading directions [D, rank] by subspace iteration (Halko et al. 2011, algorithm 4.4)."""
    rows = np.flatnonzero(present)
    generator = torch.Generator().manual_seed(0)
    size = min(rank + 32, x.shape[1])
    basis = torch.linalg.qr(torch.randn(x.shape[1], size, generator=generator)).Q  # [D, size]
    shift = _group_statistics(plain, x, present, groups) if groups is not None else None

    def standardised() -> Iterator[torch.Tensor]:
        for part in _chunks(rows):
            z = plain._scaled(x[part])
            if shift is not None and groups is not None:
                z = (z - shift[0][groups[part]]) * shift[1][groups[part]]
            yield torch.from_numpy(z)

    for _ in range(4):
        image = torch.zeros_like(basis)
        for z in standardised():
            image += z.T @ (z @ basis)
        basis = torch.linalg.qr(image).Q
    covariance = torch.zeros(size, size)
    for z in standardised():
        projected = z @ basis
        covariance += projected.T @ projected
    vectors = torch.linalg.eigh(covariance).eigenvectors.flip(-1)[:, :rank]
    return np.ascontiguousarray((basis @ vectors).numpy())


def _group_statistics(
    plain: Standardiser, x: Array, present: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Mean and 1/deviation [G + 1, D] of each group's standardised columns; the last row, for code -1, is 0 and 1."""
    number = int(groups.max(initial=-1)) + 1
    mean, scale = np.zeros((number + 1, x.shape[1]), np.float32), np.ones((number + 1, x.shape[1]), np.float32)
    for group in range(number):
        rows = np.flatnonzero(present & (groups == group))
        if len(rows):
            z = plain._scaled(x[rows])
            mean[group] = z.sum(axis=0) / (len(rows) + PRIOR_CLIPS)
            spread = ((z - mean[group]) ** 2).sum(axis=0)
            scale[group] = 1 / np.sqrt((spread + PRIOR_CLIPS) / (len(rows) + PRIOR_CLIPS))
    return mean, scale


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]


def standardiser_tensors(standardisers: Mapping[str, Standardiser]) -> dict[str, torch.Tensor]:
    """As named tensors, to be saved beside a model."""
    tensors = {}
    for name, fitted in standardisers.items():
        tensors[f"standardise.{name}.mean"] = torch.from_numpy(fitted.mean)
        tensors[f"standardise.{name}.scale"] = torch.from_numpy(fitted.scale)
        if fitted.basis is not None:
            tensors[f"standardise.{name}.basis"] = torch.from_numpy(fitted.basis)
    return tensors


def standardisers_from(tensors: Mapping[str, torch.Tensor], modalities: tuple[str, ...]) -> dict[str, Standardiser]:
    """What `standardiser_tensors` took apart."""
    result = {}
    for name in modalities:
        basis = tensors.get(f"standardise.{name}.basis")
        result[name] = Standardiser(
            tensors[f"standardise.{name}.mean"].numpy(),
            tensors[f"standardise.{name}.scale"].numpy(),
            None if basis is None else basis.numpy(),
        )
    return result
