"""Face crops that others made (`faces.crops`), instead of a detector's: see `mer.imports.crops`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.crops import JPEG_QUALITY, SCHEMA, FaceCrops, to_record
from mer.errors import ClipError
from mer.extraction.per_clip import Content, Limits, Step
from mer.extraction.settings import deciding
from mer.imports import ImportedError, match
from mer.imports.crops import CropSource, open_crops
from mer.params import CropParams
from mer.store.keys import digest
from mer.store.manifest import Made

VERSION = 1
"""Raise it when the same crops would be stored as other bytes."""
Crops = NDArray[np.uint8] | ImportedError | None
"""A clip's, or what is wrong with them; None where it shows no face."""


@dataclass(frozen=True)
class ImportedCropWorker:
    """Stores crops of the size that the params name."""

    size: int

    def setup(self) -> Callable[[Sequence[Crops]], list[dict[str, Any] | ClipError]]:
        return lambda batch: [self._one(crops) for crops in batch]

    def _one(self, crops: Crops) -> dict[str, Any] | ClipError:
        if isinstance(crops, ClipError):
            return crops
        if crops is None:
            crops = np.zeros((0, self.size, self.size, 3), np.uint8)
        if crops.shape[1:3] != (self.size, self.size):
            height, width = crops.shape[1:3]
            return ImportedError(f"crops of {width} x {height} pixels, where faces.crop_size is {self.size}")
        count = len(crops)
        box = np.tile(np.array([0, 0, self.size, self.size], np.float32), (count, 1))
        scores, order = np.ones(count, np.float32), np.arange(count, dtype=np.float64)
        return to_record(FaceCrops(crops, box, scores, order, count, count))


def import_step(name: str, stage: str, params: CropParams, batch_size: int) -> Step[Crops]:
    """Storing the crops that `faces.crops` holds."""
    fingerprint = digest("imported crops", VERSION, params.crop_size, JPEG_QUALITY)
    made = Made(stage, fingerprint, str(params.crops), deciding(params))
    limits = Limits("faces", params.max_failed, params.max_lost)
    return Step(name, SCHEMA, made, ImportedCropWorker(params.crop_size), limits, batch_size)


def imported_crops(params: CropParams, clip_ids: Sequence[str]) -> Content[Crops]:
    """The crops of each clip; a clip that the source lacks has none.

    Raises:
        MerError: the source holds no crops, or has no clip in common with the corpus.
    """
    source = open_crops(Path(str(params.crops)))
    print("\n".join([source.describe(), *match(clip_ids, source.clip_ids, "faces.crops")]), flush=True)
    digests = source.digests([clip_id for clip_id in clip_ids if clip_id in source.files])

    def load(wanted: Sequence[str]) -> Iterator[tuple[str, Crops]]:
        for clip_id in wanted:
            yield clip_id, _read(source, clip_id)

    return Content({clip_id: digests.get(clip_id) for clip_id in clip_ids}, load)


def _read(source: CropSource, clip_id: str) -> Crops:
    try:
        return source.read(clip_id)
    except ImportedError as error:
        return error
