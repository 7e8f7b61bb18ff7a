"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): the face encoder that needs no weights."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.crop_encoder import Crops

SIDE = 64
CELL = 8
BLOCK = 16
BINS = 9


class Hog:
    """HOG of the grey crop at 64 x 64: 16 blocks of 2 x 2 cells of 9 orientations, 576 numbers."""

    fingerprint = f"hog-1:{SIDE}:{BLOCK}:{CELL}:{BINS}:{cv2.__version__}"

    def __init__(self) -> None:
        # Blocks side by side: overlapping ones repeat each cell up to four times and tell little more.
        self._hog = cv2.HOGDescriptor((SIDE, SIDE), (BLOCK, BLOCK), (BLOCK, BLOCK), (CELL, CELL), BINS)
        self.width = int(self._hog.getDescriptorSize())

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        return np.stack([self._describe(crop) for crop in crops])

    def _describe(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(self._hog.compute(small), np.float32).ravel()
