"""A picture of a face by formula, on which two versions of OpenCV are held against each other.

Detections and crops hang on OpenCV, whose version is part of their fingerprints. Another version need not compute other
numbers: what detector, cropper and descriptor make of this picture tells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 192


def picture() -> NDArray[np.uint8]:
    """Uint8 [192, 192, 3] in RGB: a face of Gaussian spots, in which the Haar cascade finds one."""
    y, x = (axis / SIDE for axis in np.mgrid[0:SIDE, 0:SIDE])

    def spot(top: float, left: float, height: float, width: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-(((y - top) / height) ** 2 + ((x - left) / width) ** 2)))

    light = 60 + 130 * np.clip(1.6 * spot(0.5, 0.5, 0.34, 0.27), 0, 1)
    for side in (0.38, 0.62):
        light -= 95 * spot(0.42, side, 0.035, 0.06) + 60 * spot(0.345, side, 0.018, 0.085)
    light += 30 * spot(0.54, 0.5, 0.1, 0.035) - 35 * spot(0.585, 0.5, 0.015, 0.05) - 55 * spot(0.66, 0.5, 0.025, 0.11)
    light += 20 * spot(0.52, 0.33, 0.06, 0.07) + 20 * spot(0.52, 0.67, 0.06, 0.07)
    return np.clip(light[..., None] * np.array([1.0, 0.85, 0.75]), 0, 255).astype(np.uint8)


def frames() -> list[NDArray[np.uint8]]:
    """The picture still, moved and small in a larger frame: found whole, found near, and scaled."""
    still = picture()
    large = np.full((320, 480, 3), 70, np.uint8)
    large[64:256, 200:392] = still
    return [still, np.roll(still, 9, axis=1), large]
