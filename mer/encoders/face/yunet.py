"""YuNet (Wu et al., 'YuNet: A Tiny Millisecond-level Face Detector', 2023) through OpenCV, with landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from mer.encoders.face.detection import Detection, Image
from mer.encoders.face.detector_file import checked_digest
from mer.errors import MerError

VERSION = 1
"""Raise when the same image would give other faces."""
GOLDEN = "f61a8bd40b11e4d2"
"""What a fixed input gave under this version: see tests/golden.py."""
WINDOW = 20
"""Side in pixels at which the smallest face is searched; the network finds faces from about 10 pixels."""
STRIDE = 32
"""The network's coarsest stride: a smaller image has no cell to look at."""
SCORE_THRESHOLD = 0.6
OVERLAP_THRESHOLD = 0.3


class YuNetDetector:
    """Faces in any pose with five landmarks, of which the eyes are kept; the score is in 0..1."""

    def __init__(self, model: str, sha256: str | None = None) -> None:
        """Load the ONNX file `model`; `MerError` where it is missing, has another SHA-256 or is not YuNet."""
        digest = checked_digest(model, sha256)
        self.fingerprint = f"yunet-{VERSION}:{digest}:{SCORE_THRESHOLD}:{OVERLAP_THRESHOLD}:{cv2.__version__}"
        try:
            self._network = cv2.FaceDetectorYN.create(
                model, "", (STRIDE, STRIDE), SCORE_THRESHOLD, OVERLAP_THRESHOLD, top_k=500
            )
            self._network.detect(np.zeros((STRIDE, STRIDE, 3), np.uint8))
        except Exception:  # OpenCV's own error, SystemError, MemoryError
            raise MerError(f"faces.detector_model: {model} is not a YuNet network that OpenCV can read") from None

    def detect(self, image: Image, smallest: float) -> list[Detection]:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        height, width = image.shape[:2]
        scale = min(1.0, WINDOW / smallest / max(height, width))
        if scale < 1.0:
            bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(bgr.shape[:2]) < WINDOW:
            return []
        self._network.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._network.detect(bgr)
        back = np.array([width / bgr.shape[1], height / bgr.shape[0]], np.float32)
        return (
            []
            if rows is None
            else sorted((_detection(row, back) for row in rows), key=lambda detection: detection.box.tolist())
        )


def _detection(row: np.ndarray, back: np.ndarray) -> Detection:
    """From YuNet's [15]: x, y, width, height, five landmarks of x, y (eyes first), score."""
    corner, size = row[0:2], row[2:4]
    eyes = row[4:8].reshape(2, 2) * back
    box = np.concatenate([corner * back, (corner + size) * back]).astype(np.float32)
    return Detection(box, float(row[14]), eyes[np.argsort(eyes[:, 0], kind="stable")].astype(np.float32))
