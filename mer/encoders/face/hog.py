"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): the face encoder that needs no weights."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.base import Features, absent
from mer.encoders.face.pooling import pool, pooled_width
from mer.params import FaceParams

SIDE = 64
CELL = 8
BLOCK = 16
BINS = 9


class HogEncoder:
    """HOG of each crop, 16 blocks of 2 x 2 cells of 9 orientations, pooled over the clip's crops."""

    def __init__(self, params: FaceParams) -> None:
        self._hog = cv2.HOGDescriptor((SIDE, SIDE), (BLOCK, BLOCK), (BLOCK, BLOCK), (CELL, CELL), BINS)
        self._pooling = params.pooling
        self._keep_frames = params.frames
        self.dimensions = pooled_width(self._hog.getDescriptorSize(), params.pooling)
        self.fingerprint = f"hog-1:{SIDE}:{BLOCK}:{CELL}:{BINS}:{params.pooling}:{params.frames}:{cv2.__version__}"

    def encode(self, batch: Sequence[NDArray[np.uint8]]) -> list[Features]:
        return [self._one(crops) for crops in batch]

    def _one(self, crops: NDArray[np.uint8]) -> Features:
        if not len(crops):
            return absent(self.dimensions, "no face")
        return pool(np.stack([self._describe(crop) for crop in crops]), self._pooling, self._keep_frames)

    def _describe(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(self._hog.compute(small), np.float32)
