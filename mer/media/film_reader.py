"""Asks a sandboxed worker for a film, stretch by stretch; what it answers is held against what is possible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.media import encode, errors
from mer.media.answer import check_fault, flac_samples, jpeg_size
from mer.media.film import MOST_SECONDS
from mer.media.rate import SAMPLE_RATE as RATE
from mer.media.sandbox import start_worker
from mer.params import DecodeParams

STRETCH = 60.0
"""Seconds of sound at once."""
SLACK = 60.0
"""Seconds that a stretch may be longer: silence fills a gap of the clock at once."""


def read_sound(path: str | Path, params: DecodeParams) -> Iterator[NDArray[np.float32]]:
    """Float32 [samples] at 16 kHz of successive stretches; nothing where the film has no sound.

    `decode.timeout_seconds` holds for each stretch.

    Raises:
        MediaError: the film cannot be decoded.
    """
    total = 0
    for header, blobs in _answers(params, {"film": os.fspath(path), "seconds": STRETCH}):
        if header.get("audio") != len(blobs):
            raise errors.CrashedError("the decoding worker sent a broken answer (sound)")
        if not blobs:  # it only says that it is at work
            continue
        if flac_samples(blobs) > (MOST_SECONDS + SLACK) * RATE:
            raise errors.CrashedError("the decoding worker sent a broken answer (sound)")
        waveform = encode.waveform(blobs)
        total += len(waveform)
        if total > (MOST_SECONDS + SLACK) * RATE:
            raise errors.CrashedError("the decoding worker sent a broken answer (longer sound than a day)")
        yield waveform


def read_frames(path: str | Path, params: DecodeParams, times: Sequence[float]) -> Iterator[tuple[int, bytes]]:
    """The JPEG shown at each wanted second (ascending), with its place among these; none where there is no picture.

    Raises:
        MediaError: the film cannot be decoded.
    """
    before = -1
    for header, blobs in _answers(params, {"film": os.fspath(path), "times": list(times)}):
        if not header.get("frame"):
            continue
        place = header.get("place")
        if type(place) is not int or not before < place < len(times) or header["frame"] != len(blobs):
            raise errors.CrashedError("the decoding worker sent a broken answer (frames)")
        if not 0 < max(jpeg_size(blobs)) <= params.max_side:
            raise errors.CrashedError("the decoding worker sent a broken answer (a frame of another size)")
        before = place
        yield place, blobs


def read_length(path: str | Path, params: DecodeParams) -> float:
    """Seconds from the first to after the last frame of the picture; 0 where there is none.

    Raises:
        MediaError: the film cannot be decoded.
    """
    seconds = 0.0
    for header, _ in _answers(params, {"film": os.fspath(path), "length": True}):
        seconds = float(header.get("length") or 0.0)
        if not 0 <= seconds <= MOST_SECONDS:
            raise errors.TooLongError(f"the film is longer than {MOST_SECONDS / 3600:g} hours")
    return seconds


def _answers(params: DecodeParams, request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
    with closing(start_worker(params)) as worker:
        worker.ask(request, params.timeout_seconds)
        while True:
            header, blobs = worker.ask({"next": True}, params.timeout_seconds)
            if "error" in header:
                name, message = check_fault(header)
                raise errors.BY_NAME.get(name, errors.MediaError)(message)
            if header.get("end"):
                return
            yield header, blobs
