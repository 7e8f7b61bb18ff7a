"""What befalls frames: blur, occlusion, low resolution; the same for every frame of a clip."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

GREY = 127


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur; `sigma` is a share of the longer side."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma * max(image.shape[:2]), 1e-3)), np.uint8)


def lower_resolution(image: Image, factor: float) -> Image:
    """Scaled down by a factor and up again, as a picture from a thin line is."""
    height, width = image.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    return np.asarray(cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height)), np.uint8)


def occlude(image: Image, share: float, at: tuple[float, float]) -> Image:
    """A grey rectangle over a share of the picture's area, in its proportions; `at` says where, 0 to 1 each way."""
    height, width = image.shape[:2]
    h, w = (round(side * share**0.5) for side in (height, width))
    top, left = round(at[1] * (height - h)), round(at[0] * (width - w))
    hidden = image.copy()
    hidden[top : top + h, left : left + w] = GREY
    return hidden
