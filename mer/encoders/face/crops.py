"""The face crops of a clip, and how they are stored: once detected, any number of encoders can use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mer.errors import ClipError

JPEG_QUALITY = 95

SCHEMA = pa.schema(
    [
        pa.field("crops", pa.list_(pa.binary()), nullable=False),
        pa.field("boxes", pa.list_(pa.float32()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("timestamps", pa.list_(pa.float64()), nullable=False),
        pa.field("detected", pa.int32(), nullable=False),
        pa.field("sampled", pa.int32(), nullable=False),
        pa.field("crop_size", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class FaceCrops:
    """The main face of a clip, one crop a frame in which it was found.

    `crops` is uint8 [n, size, size, 3] in RGB; `boxes` float32 [n, 4] (left, top, right, bottom, pixels of the frame);
    `scores` float32 [n] on the detector's scale; `timestamps` float64 [n] in seconds. `detected` of the `sampled`
    frames show the face: n of them, or none where the crops are whole frames (boxes of the frame, scores 0).
    """

    crops: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    detected: int
    sampled: int


def to_record(faces: FaceCrops) -> dict[str, Any]:
    """A row of `SCHEMA`; the crops become JPEG (4:4:4, quality 95)."""
    return {
        "crops": [_jpeg(crop) for crop in faces.crops],
        "boxes": faces.boxes.ravel().tolist(),
        "scores": faces.scores.tolist(),
        "timestamps": faces.timestamps.tolist(),
        "detected": faces.detected,
        "sampled": faces.sampled,
        "crop_size": faces.crops.shape[1],
    }


def from_record(record: Mapping[str, Any]) -> FaceCrops:
    """Read what `to_record` wrote.

    Encoders see these crops, never the ones before JPEG, so a cached clip equals a new one.

    Raises:
        ClipError: a crop is not an image of the size that the record states.
    """
    size = int(record["crop_size"])
    crops = [_decode(content, size) for content in record["crops"]]
    return FaceCrops(
        np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8),
        np.array(record["boxes"], np.float32).reshape(-1, 4),
        np.array(record["scores"], np.float32),
        np.array(record["timestamps"], np.float64),
        int(record["detected"]),
        int(record["sampled"]),
    )


def _jpeg(crop: NDArray[np.uint8]) -> bytes:
    # Full-resolution colour: a face is small here, and halving its colour planes would blur lips and eyes.
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), quality + sampling)
    return bytes(content)


def _decode(content: bytes, size: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None or image.shape != (size, size, 3):
        raise ClipError("a stored face crop is not readable")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
