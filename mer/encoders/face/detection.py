"""What a face detector takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""[height, width, 3] in RGB."""
Box = NDArray[np.float32]
"""[4]: left, top, right, bottom in pixels of the frame."""


@dataclass(frozen=True)
class Detection:
    """One face. `score` is on the detector's own scale; `eyes` [2, 2] are the x, y of the eye that is on the
    image's left, then of the other, where the detector finds landmarks."""

    box: Box
    score: float
    eyes: NDArray[np.float32] | None = None


class FaceDetector(Protocol):
    """Finds the faces of one image."""

    @property
    def fingerprint(self) -> str:
        """Everything that decides the detections: name, weights, thresholds."""

    def detect(self, image: Image, smallest: float) -> list[Detection]:
        """All faces at least `smallest` times the longer side of `image`, in a fixed order.

        The search runs at the resolution that `smallest` asks for, whatever the size of the image, so a
        larger `smallest` is quadratically cheaper. An image too small to hold a face gives no detection.
        """
