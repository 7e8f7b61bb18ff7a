"""Encoders that see one crop at a time: batched across clips, pooled over each clip's crops."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mer.encoders.base import Features, absent, kept_frames
from mer.params import FaceParams
from mer.store.keys import digest

Crops = NDArray[np.uint8]
"""[n, size, size, 3] in RGB."""


class CropModel(Protocol):
    """Turns each crop into a vector."""

    @property
    def width(self) -> int:
        """Width of a crop's vector."""

    @property
    def fingerprint(self) -> str:
        """Everything that decides the vectors."""

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        """Vectors [n, width] of n > 0 crops."""


class CropEncoder:
    """Pools a `CropModel`'s vectors over a clip: their mean, for `face.pooling: mean_std` followed by the deviation."""

    def __init__(self, model: CropModel, params: FaceParams) -> None:
        self._model = model
        self._with_deviation = params.pooling == "mean_std"
        self._keep_frames = params.frames
        self._batch = params.batch_frames
        self.dimensions = model.width * (2 if self._with_deviation else 1)

    @cached_property
    def fingerprint(self) -> str:
        return digest("crops-1", self._model.fingerprint, self._with_deviation, self._keep_frames)

    @cached_property
    def compatible(self) -> str:
        """What another version of a library may be held against; empty where none is part of the fingerprint."""
        model: str = getattr(self._model, "compatible", "")
        return model and digest("crops-1", model, self._with_deviation, self._keep_frames)

    def encode(self, batch: Sequence[Crops]) -> list[Features]:
        """Features of each clip's crops; a clip without crops is absent."""
        counts = [len(crops) for crops in batch]
        if not any(counts):
            return [absent(self.dimensions, "no face") for _ in batch]
        crops = np.concatenate([crops for crops in batch if len(crops)])
        starts = range(0, len(crops), self._batch)
        vectors = np.concatenate([self._model.embed(crops[start : start + self._batch]) for start in starts])
        return [self._pool(part) for part in np.split(vectors, np.cumsum(counts)[:-1])]

    def _pool(self, vectors: NDArray[np.float32]) -> Features:
        if not len(vectors):
            return absent(self.dimensions, "no face")
        parts = [vectors.mean(0), vectors.std(0)] if self._with_deviation else [vectors.mean(0)]
        values = kept_frames(vectors) if self._keep_frames else None
        return Features(np.concatenate(parts).astype(np.float32), frames=len(vectors), ok=True, values=values)
