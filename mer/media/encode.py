"""The two forms in which decoded media is kept: FLAC for the waveform, JPEG for the frames.

A waveform keeps its level whatever that is: it is scaled by a power of two to fill 24 bits, and FLAC's comment says by
which, as `scale=2^n` (what is stored times 2^n is the waveform).
"""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray

from mer.media.rate import SAMPLE_RATE as RATE

BITS = 24
_SCALE = re.compile(r"scale=2\^(-?\d+)")


def flac(waveform: NDArray[np.float32]) -> bytes:
    """Finite float32 [samples] at 16 kHz as 24-bit mono FLAC, at any level; the error is below peak * 2^-23.

    Samples of 16 bits come back exactly, and take no more room than 16 bits.
    """
    exponent = _exponent(float(np.abs(waveform).max(initial=0.0)))
    # In double precision: a scale beyond 2^127 is no float32.
    samples = np.rint(np.ldexp(waveform.astype(np.float64), BITS - 1 - exponent))
    samples = np.clip(samples, -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1).astype(np.int32) << (32 - BITS)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, format="FLAC", subtype=f"PCM_{BITS}") as sound:
        sound.comment = f"scale=2^{exponent}"
        sound.write(samples)
    return file.getvalue()


def _exponent(peak: float) -> int:
    """The power of two above the peak; 0 for silence, and for levels that 24 bits hold as they are."""
    if not peak:
        return 0
    exponent = int(np.frexp(peak)[1])
    return 0 if BITS - 16 >= -exponent >= 0 else exponent


def waveform(audio: bytes) -> NDArray[np.float32]:
    """The float32 [samples] of what `flac` wrote, at the level of the file (full scale is 1, and may be exceeded)."""
    with soundfile.SoundFile(io.BytesIO(audio)) as sound:
        scale = _SCALE.fullmatch(sound.comment or "")
        samples = np.asarray(sound.read(dtype="float32"), np.float32)
    return samples if scale is None or scale[1] == "0" else np.ldexp(samples, int(scale[1]))


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
