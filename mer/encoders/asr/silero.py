"""Voice activity by silero's network (Silero Team, 2024), whose ONNX file the PyPI package `silero-vad` ships.

An extra: `pip install 'mer[vad]'`; or fetched: `mer encoders fetch silero-vad`. The package's own code, which wants
torchaudio, is never imported.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.media.rate import SAMPLE_RATE as RATE

FILE = "silero_vad.onnx"
FETCHED = Path("encoders/silero-vad")
"""Where `make encoders` puts the same file, for those who do not install the package."""
CHUNK, CONTEXT = 512, 64
"""Samples of one decision (32 ms), and those before it that the network sees again."""
ENTER, LEAVE = 0.5, 0.35
"""Probabilities at which speech begins and ends: silero's own."""
SHORTEST = 0.25
"""Seconds of speech below which it is a click or a breath: silero's own."""
USUAL_PEAK = 0.5
"""Level to which a waveform is brought first: what is recorded at another scale is speech all the same."""


def path() -> Path | None:
    """The network's file, of the package or of `make encoders`; None where there is none, or no ONNX Runtime."""
    if find_spec("onnxruntime") is None:
        return None
    package = find_spec("silero_vad")
    folders = (
        [FETCHED] if package is None or package.origin is None else [Path(package.origin).parent / "data", FETCHED]
    )
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


@cache
def fingerprint() -> str | None:
    """SHA-256 of the network's file, in hex; None where there is none."""
    file = path()
    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def speech(waveform: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each chunk of 512 samples of a 16 kHz waveform is speech, bool [chunks]; the last chunk may be short."""
    found = _hysteresis(probabilities(waveform))
    edges = np.flatnonzero(np.diff(np.pad(found.astype(np.int8), 1))).reshape(-1, 2)
    for start, stop in edges.tolist():
        if (stop - start) * CHUNK < SHORTEST * RATE:
            found[start:stop] = False
    return found


def probabilities(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of speech in each chunk, float32 [chunks]."""
    peak = float(np.abs(waveform).max(initial=0.0))
    if not peak:
        return np.zeros(-(-len(waveform) // CHUNK), np.float32)
    scaled = waveform * np.float32(USUAL_PEAK / peak)
    padded = np.pad(scaled, (CONTEXT, -len(scaled) % CHUNK)).astype(np.float32)
    session, rate = _session(), np.array(RATE, np.int64)
    state = np.zeros((2, 1, 128), np.float32)
    found = []
    for start in range(0, len(padded) - CONTEXT, CHUNK):
        chunk = padded[None, start : start + CONTEXT + CHUNK]
        probability, state = session.run(None, {"input": chunk, "state": state, "sr": rate})
        found.append(float(probability[0, 0]))
    return np.asarray(found, np.float32)


def _hysteresis(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    found, inside = np.zeros(len(probability), bool), False
    for place, value in enumerate(probability):
        inside = value >= ENTER or (inside and value >= LEAVE)
        found[place] = inside
    return found


@cache
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path()), options, providers=["CPUExecutionProvider"])
