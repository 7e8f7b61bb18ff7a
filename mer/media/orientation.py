"""How a decoded picture is to be turned and mirrored: the display matrix of its stream or frame."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

STRAIGHT = 0.05
"""Matrix entries this small beside the largest are rounding, not tilt (three degrees)."""


@dataclass(frozen=True)
class Orientation:
    """Any of the eight ways to lay a picture on its sides: exchange rows and columns first, then mirror.

    `tilted` says that the matrix asks for something in between, of which this is the nearest.
    """

    transpose: bool = False
    mirror_columns: bool = False
    mirror_rows: bool = False
    tilted: bool = False

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Uint8 [H, W, 3] as stored -> as shown."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror_columns:
            pixels = pixels[:, ::-1]
        if self.mirror_rows:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


UPRIGHT = Orientation()


def orientation(frame: VideoFrame) -> Orientation:
    """What the frame's display matrix asks for (its own, or the stream's, which FFmpeg passes on to frames)."""
    data: Any = cast("Mapping[Any, Any]", frame.side_data).get(Type.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    raw = bytes(data)
    return from_matrix(struct.unpack("=9i", raw)) if len(raw) == 36 else UPRIGHT


def from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Of the nine numbers a, b, u, c, d, v, x, y, w: stored (p, q) is shown at (a p + c q, b p + d q).

    The place does not matter. A matrix that shows nothing (all zeros) is taken for none.
    """
    a, b, _, c, d = matrix[:5]
    largest = max(map(abs, (a, b, c, d)))
    if not largest:
        return UPRIGHT
    transpose = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if transpose else (a, d)
    small = (a, d) if transpose else (b, c)
    tilted = any(abs(entry) > STRAIGHT * largest for entry in small)
    return Orientation(transpose, mirror_columns=across < 0, mirror_rows=down < 0, tilted=tilted)
