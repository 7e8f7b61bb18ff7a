"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): the face encoder that needs no weights."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.crop_encoder import Crops
from mer.encoders.face.probe import picture
from mer.store.keys import digest

VERSION = 2
"""Raise when the same crops would give other vectors."""
GOLDEN = "93f6182d17f8b185"
"""What a fixed input gave under this version: see tests/golden.py."""
MARGIN = 1 / 12
"""What is cut off each side of a crop: hair and background say little, and their edges are strong."""
SIDE = 64
CELL = 8
BLOCK = 16
BINS = 9


class Hog:
    """HOG of the grey crop at 64 x 64: 49 overlapping blocks of 2 x 2 cells of 9 orientations."""

    fingerprint = f"hog-{VERSION}:{MARGIN:.3f}:{SIDE}:{BLOCK}:{CELL}:{BINS}:{cv2.__version__}"

    def __init__(self) -> None:
        self._hog = cv2.HOGDescriptor((SIDE, SIDE), (BLOCK, BLOCK), (CELL, CELL), (CELL, CELL), BINS)
        self.width = int(self._hog.getDescriptorSize())

    @property
    def compatible(self) -> str:
        """The fingerprint without OpenCV's version, but with what this one makes of a probe picture."""
        vector = self._describe(picture())
        return digest(self.fingerprint.replace(cv2.__version__, "*"), np.round(vector, 4).tolist())

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        return np.stack([self._describe(crop) for crop in crops])

    def _describe(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        margin = round(MARGIN * len(crop))
        grey = cv2.cvtColor(crop[margin : len(crop) - margin, margin : len(crop) - margin], cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(self._hog.compute(small), np.float32).ravel()
