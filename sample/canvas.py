"""Anti-aliased drawing in a face's own coordinates."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[float, float, float]
Points = NDArray[np.float64]

SHIFT = 4
"""Fractional bits of the coordinates handed to OpenCV."""


@dataclass(frozen=True)
class Pose:
    """Where a face is: centre and half-width in pixels, roll and yaw in radians."""

    x: float
    y: float
    scale: float
    roll: float
    yaw: float

    def project(self, points: Points, on_surface: NDArray[np.bool_]) -> Points:
        """Map [n, 2] face coordinates (half-width 1, y down) to pixels.

        Points `on_surface` [n] stand out towards the camera and so move sideways with yaw; the outline does not.
        """
        depth = np.sqrt(np.maximum(1 - 0.8 * points[:, 0] ** 2 - 0.2 * points[:, 1] ** 2, 0))
        x = self.scale * (points[:, 0] * math.cos(self.yaw) + on_surface * depth * math.sin(self.yaw))
        y = self.scale * points[:, 1]
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return np.stack([self.x + cos * x - sin * y, self.y + sin * x + cos * y], axis=1)


@dataclass(frozen=True)
class _Shape:
    points: Points
    colour: Colour
    thickness: int | None
    """Of an open curve, in pixels; None fills the polygon."""
    on_surface: bool


class Canvas:
    """A uint8 RGB image drawn through a pose.

    Shapes wait until `draw` or `soften`, so that the points of all are projected at once: a face is some forty shapes.
    """

    def __init__(self, image: NDArray[np.uint8], pose: Pose) -> None:
        self.image, self.pose = image, pose
        self._waiting: list[_Shape] = []

    def fill(self, points: ArrayLike, colour: Colour, *, on_surface: bool = True) -> None:
        self._waiting.append(_Shape(np.asarray(points, float), colour, None, on_surface))

    def line(self, points: ArrayLike, colour: Colour, width: float) -> None:
        """An open curve; `width` is in face coordinates."""
        thickness = max(1, round(width * self.pose.scale))
        self._waiting.append(_Shape(np.asarray(points, float), colour, thickness, True))

    def soften(self, radius: float) -> None:
        """Blur the head as drawn so far; `radius` is in face coordinates."""
        self.draw()
        pose = self.pose
        rows = slice(max(0, int(pose.y - 1.7 * pose.scale)), int(pose.y + 1.7 * pose.scale))
        columns = slice(max(0, int(pose.x - 1.3 * pose.scale)), int(pose.x + 1.3 * pose.scale))
        head = self.image[rows, columns]
        # Two boxes of width w have the variance (w**2 - 1) / 6, and cost a fifth of the Gaussian that they resemble.
        width = 2 * round((math.sqrt(6 * (radius * pose.scale) ** 2 + 1) - 1) / 2) + 1
        head[:] = cv2.blur(cv2.blur(head, (width, width)), (width, width))

    def draw(self) -> None:
        """Draw what waits, in order."""
        shapes, self._waiting = self._waiting, []
        lengths = [len(shape.points) for shape in shapes]
        on_surface = np.repeat([shape.on_surface for shape in shapes], lengths)
        projected = self.pose.project(np.concatenate([shape.points for shape in shapes]), on_surface)
        pixels = np.rint(projected * (1 << SHIFT)).astype(np.int32)
        start = 0
        for shape, length in zip(shapes, lengths, strict=True):
            part = pixels[start : start + length]
            start += length
            if shape.thickness is None:
                cv2.fillPoly(self.image, [part], shape.colour, cv2.LINE_AA, SHIFT)
            else:
                cv2.polylines(self.image, [part], False, shape.colour, shape.thickness, cv2.LINE_AA, SHIFT)


def ellipse(x: float, y: float, rx: float, ry: float, *, power: float = 2.0, points: int = 24) -> Points:
    """A superellipse [points, 2]; `power` 2 is an ellipse, more is boxier."""
    return _unit_ellipse(power, points) * (rx, ry) + (x, y)


@functools.lru_cache(maxsize=256)
def _unit_ellipse(power: float, points: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.sign(circle) * np.abs(circle) ** (2 / power)


def bezier(start: tuple[float, float], control: tuple[float, float], end: tuple[float, float]) -> Points:
    """A quadratic Bézier curve [9, 2]; it passes half-way to its control point."""
    return _BERNSTEIN @ np.array((start, control, end))


_T = np.linspace(0, 1, 9)
_BERNSTEIN = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], 1)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a share of `other`."""
    (a, b, c), (x, y, z) = colour, other
    return a + share * (x - a), b + share * (y - b), c + share * (z - c)
