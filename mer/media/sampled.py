"""What sampling a video stream gives, whichever way it was decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

FLAT, NOT_FLAT = 1.0, 4.0
"""Standard deviation, in grey levels of 255, up to which a picture is one colour, and from which it is none."""


@dataclass(frozen=True)
class Shot:
    """One frame as it is kept: uint8 [H, W, 3] RGB; `size` is its width and height as displayed, before scaling."""

    image: NDArray[np.uint8]
    size: tuple[int, int]
    tilted: bool = False
    time: float = 0.0
    """Seconds on the stream's own clock."""

    def at(self, time: float) -> Shot:
        return replace(self, time=time)


@dataclass(frozen=True)
class Sampled:
    """Frames in order of time; `start` and `end` of the stream in seconds, and how many frames it is known to have."""

    shots: Sequence[Shot]
    start: float
    end: float
    available: int


def flat_ones(shots: Sequence[Shot]) -> int:
    """How many frames are of one flat colour while others are not; 0 where all or none are.

    One at either end is a clip that fades in or out.
    """
    spread = [float(cv2.meanStdDev(np.ascontiguousarray(shot.image[::4, ::4]))[1].max()) for shot in shots]
    return sum(one <= FLAT for one in spread[1:-1]) if max(spread, default=0.0) >= NOT_FLAT else 0
