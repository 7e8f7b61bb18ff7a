"""Groups to standardise within: those that the corpus knows, or speakers guessed from one modality's features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer.learning.seeds import stream
from mer.learning.standardise import Standardiser, fit_standardiser

Array = NDArray[np.float32]

COMPONENTS = 16
"""Speakers are told apart by this many principal components, whitened."""

ITERATIONS = 50
STARTS = 4


@dataclass(frozen=True)
class SpeakerGuess:
    """k-means on one modality: `centroids` [G, P] of its whitened principal
    components, scaled to unit length."""

    modality: str
    standardiser: Standardiser
    centroids: Array

    def __call__(self, x: Array, present: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The nearest centroid of each clip [N, D], int64 [N]; -1 where the modality is absent."""
        nearest = _nearest(_unit(self.standardiser(x, present)), self.centroids)[0]
        return np.where(present, nearest, -1)


def guess_speakers(modality: str, x: Array, present: NDArray[np.bool_], number: int, seed: int) -> SpeakerGuess:
    """Cluster the clips [N, D] that have the modality into at most `number` groups; the best of a few k-means++
    starts."""
    fitted = fit_standardiser(x, present, COMPONENTS, whiten=True)
    z = _unit(fitted(x, present)[present])
    if not len(z):
        return SpeakerGuess(modality, fitted, np.zeros((1, fitted.width), np.float32))
    found = [_k_means(z, min(number, len(z)), stream(seed, "speakers", modality, start)) for start in range(STARTS)]
    return SpeakerGuess(modality, fitted, min(found, key=lambda one: one[1])[0])


def _k_means(z: Array, number: int, rng: np.random.Generator) -> tuple[Array, float]:
    """Lloyd's algorithm; an empty cluster keeps its centroid. Returns centroids and the mean squared distance."""
    centroids = z[rng.integers(len(z), size=1)]
    for _ in range(1, number):
        distance = _nearest(z, centroids)[1]
        if distance.sum() <= 0:  # fewer distinct clips than clusters
            break
        centroids = np.concatenate([centroids, z[rng.choice(len(z), size=1, p=distance / distance.sum())]])
    nearest, distance = _nearest(z, centroids)
    for _ in range(ITERATIONS):
        counts = np.bincount(nearest, minlength=len(centroids))
        sums = np.zeros(centroids.shape)
        np.add.at(sums, nearest, z)
        filled = counts > 0
        centroids = np.where(filled[:, None], sums / np.maximum(counts, 1)[:, None], centroids).astype(np.float32)
        before = nearest
        nearest, distance = _nearest(z, centroids)
        if (nearest == before).all():
            break
    return centroids, float(distance.mean())


def _nearest(z: Array, centroids: Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    squares = (centroids.astype(np.float64) ** 2).sum(axis=1)
    distance = (z.astype(np.float64) ** 2).sum(axis=1)[:, None] - 2.0 * (z @ centroids.T) + squares
    nearest = distance.argmin(axis=1)
    return nearest, np.maximum(np.take_along_axis(distance, nearest[:, None], axis=1)[:, 0], 0)


def _unit(z: Array) -> Array:
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-6)
