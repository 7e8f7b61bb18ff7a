"""What comes out of a decoder is as hostile as what went in: its answer is held against what an honest one can be."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from mer.media.errors import CrashedError
from mer.media.notes import KINDS
from mer.media.rate import SAMPLE_RATE as RATE
from mer.params import DecodeParams

SIDE = 65_535
"""Pixels: no format that we read goes further."""
LONGEST_MESSAGE = 500
SECONDS_OVER = 1.0
"""A clip may end a little after `decode.max_seconds`: limits are checked frame by frame."""
START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def check_fault(header: Mapping[str, Any]) -> tuple[str, str]:
    """Name and message of a fault that a decoder reports, the message fit for a line.

    Raises:
        CrashedError: they are no text.
    """
    name, message = header.get("error"), header.get("message")
    if not isinstance(name, str) or not isinstance(message, str):
        raise _broken("a fault without a name")
    return name, re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+", " ", message)[:LONGEST_MESSAGE]


def check_media(media: Mapping[str, Any], params: DecodeParams) -> None:
    """Hold audio, frames and numbers against each other and against the params.

    Raises:
        CrashedError: no honest decoder gives this.
    """
    longest = params.max_seconds + SECONDS_OVER
    if not _within(media["duration"], 0, longest):
        raise _broken("duration")
    if not all(_within(media[side], 0, SIDE) for side in ("width", "height")):
        raise _broken("size")
    if len(media["frames"]) > max(0, params.frames):
        raise _broken("more frames than were asked for")
    if not all(_within(time, -SECONDS_OVER, longest) for time in media["timestamps"]):
        raise _broken("timestamps")
    for frame in media["frames"]:
        if not 0 < max(jpeg_size(frame)) <= params.max_side:
            raise _broken("a frame of another size")
    if media["audio"] is not None and flac_samples(media["audio"]) > longest * RATE:
        raise _broken("longer sound than the clip")
    if any(note["error"] not in KINDS for note in media["notes"]):
        raise _broken("a note of no known kind")


def _within(number: Any, least: float, most: float) -> bool:
    numeric = isinstance(number, int | float) and not isinstance(number, bool)
    return numeric and math.isfinite(number) and least <= number <= most


def flac_samples(data: bytes) -> int:
    """Samples that the header of a 16 kHz mono FLAC announces (RFC 9639, 8.2): nobody should unpack more."""
    if data[:4] != b"fLaC" or len(data) < 42 or data[4] & 0x7F:
        raise _broken("sound that is no FLAC")
    packed = int.from_bytes(data[18:26], "big")  # 20 bits rate, 3 channels - 1, 5 bits - 1, 36 samples
    if packed >> 44 != RATE or packed >> 41 & 7:
        raise _broken("sound that is not 16 kHz mono")
    return packed & (2**36 - 1)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of a JPEG announces."""
    if data[:2] != b"\xff\xd8":
        raise _broken("a frame that is no JPEG")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if kind in START_OF_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + max(2, length)
    raise _broken("a frame that is no JPEG")


def _broken(what: str) -> CrashedError:
    return CrashedError(f"the decoding worker sent a broken answer ({what})")
