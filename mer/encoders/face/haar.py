"""Viola and Jones' cascade of Haar features, with the weights that OpenCV 4 bundles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mer.encoders.face.detection import Detection, Image
from mer.errors import MerError

CASCADE = "haarcascade_frontalface_default.xml"
WINDOW = 24
"""Side in pixels of the window that the cascade was trained on: no smaller face can be found."""
SCALE_STEP = 1.2
NEIGHBOURS = 3
"""Overlapping windows that make a face."""


class HaarDetector:
    """Frontal faces without landmarks; the score is the sum of the cascade's last stage, about 0 to 12."""

    fingerprint = f"haar-1:{CASCADE}:{SCALE_STEP}:{NEIGHBOURS}:{cv2.__version__}"

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))
        if self._cascade.empty():
            raise MerError(f"faces.detector: this OpenCV ({cv2.__version__}) has no {CASCADE}; install version 4")

    def detect(self, image: Image, smallest: float) -> list[Detection]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, WINDOW / smallest / max(grey.shape))
        if scale < 1.0:
            # Grey first: shrinking one plane costs a third of shrinking three.
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(grey.shape) < WINDOW:
            return []
        boxes, _, scores = self._cascade.detectMultiScale3(
            grey, SCALE_STEP, NEIGHBOURS, 0, (WINDOW, WINDOW), outputRejectLevels=True
        )
        back = np.array([image.shape[1] / grey.shape[1], image.shape[0] / grey.shape[0]] * 2, np.float32)
        found = [
            Detection(np.array([x, y, x + w, y + h], np.float32) * back, float(score))
            for (x, y, w, h), score in zip(boxes, np.ravel(scores), strict=True)
        ]
        # OpenCV's threads finish in any order.
        return sorted(found, key=lambda detection: detection.box.tolist())
