"""Shrink a frame until it may be embedded in a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

WIDTH = 240
QUALITY = 70


def data_uri(jpeg: bytes) -> str:
    """A JPEG, scaled down to at most `WIDTH` pixels across, as a `data:` URI."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "frames in data/media are JPEGs of our own"
    scale = min(1.0, WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
