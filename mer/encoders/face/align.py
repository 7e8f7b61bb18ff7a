"""Cut a face out of a frame, upright and always at the same place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.detection import Detection, Image

MARGIN = 1.2
"""Side of the crop over side of the detected box: keeps chin and brows."""
EYE_HEIGHT = 0.4
EYE_DISTANCE = 0.33
"""Where the eyes come to lie, as shares of the crop's side; a box with the margin above has them there, too."""


def crop_face(image: Image, face: Detection, size: int) -> Image:
    """The face as [size, size, 3]: eyes level and at fixed places where known, else a square around the box."""
    return _warp(image, _from_eyes(face.eyes) if face.eyes is not None else _from_box(face.box), size)


def crop_whole(image: Image, size: int) -> Image:
    """The whole frame, shrunk to fit [size, size, 3]; the sides that are left over repeat its border."""
    height, width = image.shape[:2]
    side = max(height, width)
    return _warp(image, np.array([[side, 0, (width - side) / 2], [0, side, (height - side) / 2]]), size)


def _from_box(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """[2, 3] from the unit square to the frame: a square around the centre of the box."""
    side = MARGIN * float((box[2:] - box[:2]).max())
    left, top = (box[:2] + box[2:]) / 2 - side / 2
    return np.array([[side, 0, left], [0, side, top]])


def _from_eyes(eyes: NDArray[np.float32]) -> NDArray[np.float64]:
    """[2, 3] from the unit square to the frame: the similarity that takes the template's eyes to the face's."""
    right = (eyes[1] - eyes[0]) / EYE_DISTANCE
    down = np.array([-right[1], right[0]])
    corner = eyes.mean(0) - 0.5 * right - EYE_HEIGHT * down
    return np.column_stack([right, down, corner]).astype(np.float64)


def _warp(image: Image, to_frame: NDArray[np.float64], size: int) -> Image:
    """Sample the square that `to_frame` maps the unit square to; beyond the frame its border is repeated."""
    side = float(np.hypot(*to_frame[:, 0]))
    # A face much larger than the crop is sampled finer first and averaged down: one bilinear step would alias.
    finer = max(1, int(side / size))
    pixels = size * finer
    grid = to_frame.copy()
    grid[:, :2] /= pixels
    grid[:, 2] += grid[:, :2].sum(1) / 2 - 0.5  # pixel centres, not corners
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, grid, (pixels, pixels), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return crop if finer == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
