"""The two forms in which decoded media is kept: FLAC for the waveform, JPEG for the frames."""

from __future__ import annotations

import io

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray

from mer.media.rate import SAMPLE_RATE as RATE


def flac(waveform: NDArray[np.float32]) -> bytes:
    """Float32 [samples] at 16 kHz as 16-bit mono FLAC; samples beyond [-1, 1] are clipped."""
    samples = np.clip(np.rint(np.nan_to_num(waveform) * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def waveform(audio: bytes) -> NDArray[np.float32]:
    """The float32 [samples] in [-1, 1] of what `flac` wrote."""
    samples, _ = soundfile.read(io.BytesIO(audio), dtype="float32")
    return np.asarray(samples, np.float32)


def jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Uint8 [H, W, 3] RGB as JPEG."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape}")
    return data.tobytes()


def image(data: bytes) -> NDArray[np.uint8]:
    """The uint8 [H, W, 3] RGB of what `jpeg` wrote."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, np.uint8)
