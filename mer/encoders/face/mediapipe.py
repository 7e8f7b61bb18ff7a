"""BlazeFace (Bazarevsky et al., 2019), MediaPipe's detector for near faces, through OpenCV, with landmarks."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mer.encoders.face.detection import Detection, Image
from mer.encoders.face.detector_file import checked_digest
from mer.errors import MerError

VERSION = 1
"""Raise when the same image would give other faces."""
GOLDEN = "9123772a58393a09"
"""What a fixed input gave under this version: see tests/golden.py."""
WINDOW = 24
"""Side in pixels at which the smallest face is searched. The network was trained on images of 128 pixels, with faces
of about this size and more; it is convolutional, and so reads images of any size."""
LARGEST = 128
"""Faces larger than this, in pixels, are searched in the image shrunk to it."""
STRIDES = ((8, 2), (16, 6))
"""The network's two grids: pixels between cells, and guesses a cell."""
SIDE = 16
"""Sides of the input are multiples of this."""
SCORE_THRESHOLD = 0.75
OVERLAP_THRESHOLD = 0.3
OUTPUTS = ("classificators", "regressors")
VALUES = 16
"""Of a guess: x, y of the box's centre, width, height, then x, y of eyes, nose, mouth and ears."""


class MediaPipeDetector:
    """Faces with six landmarks, of which the eyes are kept; the score is in 0..1."""

    def __init__(self, model: str, sha256: str | None = None) -> None:
        """Load a .tflite file; `MerError` where it is missing, has another SHA-256 or is not BlazeFace."""
        digest = checked_digest(model, sha256)
        self.fingerprint = (
            f"mediapipe-{VERSION}:{digest}:{WINDOW}:{SCORE_THRESHOLD}:{OVERLAP_THRESHOLD}:{cv2.__version__}"
        )
        try:
            self._network = cv2.dnn.readNetFromTFLite(model)
            self._forward(np.zeros((LARGEST, LARGEST, 3), np.uint8))
        except Exception:  # OpenCV's own error, SystemError, MemoryError, or outputs of another network
            raise MerError(
                f"faces.detector_model: {model} is not MediaPipe's short-range detector that OpenCV can read"
            ) from None

    def detect(self, image: Image, smallest: float) -> list[Detection]:
        longer = max(image.shape[:2])
        found = [self._search(image, side) for side in _sides(longer, smallest)]
        guesses = np.concatenate([part for part in found if len(part)] or [np.zeros((0, VALUES + 1), np.float32)])
        return sorted(map(_detection, _merged(guesses)), key=lambda detection: detection.box.tolist())

    def _search(self, image: Image, side: int) -> NDArray[np.float32]:
        """Guesses [n, 17] over the threshold, score last, in pixels of `image` shrunk to `side` pixels at most."""
        scale = min(1.0, side / max(image.shape[:2]))
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        if min(height, width) < WINDOW // 2:
            return np.zeros((0, VALUES + 1), np.float32)
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) if scale < 1.0 else image
        padded = cv2.copyMakeBorder(small, 0, -height % SIDE, 0, -width % SIDE, cv2.BORDER_REPLICATE)
        guesses = self._forward(np.asarray(padded, np.uint8))
        back = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        guesses[:, :VALUES] *= np.tile(back, VALUES // 2)
        return guesses

    def _forward(self, image: Image) -> NDArray[np.float32]:
        """Guesses [n, 17] over the threshold in pixels of `image`, whose sides are multiples of `SIDE`."""
        self._network.setInput(cv2.dnn.blobFromImage(image, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        logits, values = (np.asarray(out)[0] for out in self._network.forward(OUTPUTS))
        anchors = _anchors(*image.shape[:2])
        if len(anchors) != len(values) or values.shape[1] != VALUES:
            raise ValueError(f"{values.shape} guesses instead of {(len(anchors), VALUES)}")
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -80, 80)))
        sure = scores > SCORE_THRESHOLD
        found = values[sure]
        found[:, :2] += anchors[sure]
        found[:, 4:] += np.tile(anchors[sure], (VALUES - 4) // 2)
        return np.column_stack([found, scores[sure]]).astype(np.float32)


def _sides(longer: int, smallest: float) -> list[int]:
    """Longer sides, in pixels, at which an image is searched: first for the smallest face, then for large ones."""
    finest = min(longer, max(SIDE, round(WINDOW / smallest)))
    return [finest, LARGEST] if finest > LARGEST else [finest]


def _anchors(height: int, width: int) -> NDArray[np.float32]:
    """Centres of the cells [n, 2] as x, y in pixels, in the order of the network's guesses."""
    parts = []
    for stride, guesses in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride]
        centres = (np.stack([x.ravel(), y.ravel()], 1) + 0.5) * stride
        parts.append(centres.repeat(guesses, 0))
    return np.concatenate(parts).astype(np.float32)


def _merged(guesses: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """MediaPipe's weighted suppression: guesses that overlap the best one become one, averaged by their scores."""
    rest = guesses[np.argsort(-guesses[:, VALUES], kind="stable")]
    while len(rest):
        same = _overlaps(rest[0], rest) > OVERLAP_THRESHOLD
        same[0] = True
        weights = rest[same, VALUES]
        average = (rest[same] * weights[:, None]).sum(0) / weights.sum()
        average[VALUES] = rest[0, VALUES]
        yield average
        rest = rest[~same]


def _overlaps(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box with each of the others."""
    low = np.maximum(one[:2] - one[2:4] / 2, others[:, :2] - others[:, 2:4] / 2)
    high = np.minimum(one[:2] + one[2:4] / 2, others[:, :2] + others[:, 2:4] / 2)
    shared = np.clip(high - low, 0, None).prod(1)
    union = one[2:4].prod() + others[:, 2:4].prod(1) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny), np.float32)


def _detection(guess: NDArray[np.float32]) -> Detection:
    centre, half = guess[:2], guess[2:4] / 2
    eyes = guess[4:8].reshape(2, 2)
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    return Detection(box, float(guess[VALUES]), eyes[np.argsort(eyes[:, 0], kind="stable")].astype(np.float32))
