"""Decoded frames as they are looked at: RGB, upright, with square pixels, small."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray


class Picture:
    """Turns decoded frames into upright RGB arrays with square pixels, scaled down to `max_side`.

    Planes (YUV, mostly 4:2:0) are averaged over areas first and converted to RGB when small: up to seven times as fast
    as the other way round, within a grey level on average. Packed and palette formats are converted first.
    """

    def __init__(self, stream: VideoStream, max_side: int) -> None:
        self.max_side = max_side
        self.aspect = _pixel_aspect(stream)
        self.scaler = VideoReformatter()
        self.converter = VideoReformatter()

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height as displayed: square pixels, upright, before any scaling."""
        width, height = self._square(frame)
        return (height, width) if frame.rotation % 180 else (width, height)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Uint8 [H, W, 3], the longer side at most `max_side`."""
        width, height = self._square(frame)
        scale = min(1.0, self.max_side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = frame
        if frame.format.is_planar:
            small = self.scaler.reformat(frame, *size, interpolation="AREA", threads=1)
        pixels = self.converter.reformat(small, format="rgb24", threads=1).to_ndarray()
        if size != (small.width, small.height):
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90)))

    def _square(self, frame: VideoFrame) -> tuple[int, int]:
        """Size with square pixels: the longer direction of a pixel is cut, so that nothing is enlarged."""
        if self.aspect >= 1:
            return frame.width, max(1, round(frame.height / self.aspect))
        return max(1, round(frame.width * self.aspect)), frame.height


def _pixel_aspect(stream: VideoStream) -> float:
    aspect = stream.sample_aspect_ratio
    if not aspect or not 0.25 <= aspect <= 4:  # unknown, or a broken header
        return 1.0
    return float(aspect)
