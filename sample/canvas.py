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

    def project(self, points: ArrayLike, *, on_surface: bool = True) -> Points:
        """Map [n, 2] face coordinates (half-width 1, y down) to pixels.

        Points on the surface stand out towards the camera and so move sideways with yaw; the outline does not.
        """
        points = np.array(points, float)
        if on_surface:
            depth = np.sqrt(np.maximum(1 - points**2 @ (0.8, 0.2), 0))
            points[:, 0] = points[:, 0] * math.cos(self.yaw) + depth * math.sin(self.yaw)
        else:
            points[:, 0] *= math.cos(self.yaw)
        cos, sin = self.scale * math.cos(self.roll), self.scale * math.sin(self.roll)
        return points @ ((cos, sin), (-sin, cos)) + (self.x, self.y)


class Canvas:
    """A uint8 RGB image drawn through a pose."""

    def __init__(self, image: NDArray[np.uint8], pose: Pose) -> None:
        self.image, self.pose = image, pose

    def fill(self, points: ArrayLike, colour: Colour, *, on_surface: bool = True) -> None:
        pixels = self._fixed(points, on_surface)
        cv2.fillPoly(self.image, [pixels], colour, cv2.LINE_AA, SHIFT)

    def line(self, points: ArrayLike, colour: Colour, width: float) -> None:
        """An open curve; `width` is in face coordinates."""
        thickness = max(1, round(width * self.pose.scale))
        cv2.polylines(self.image, [self._fixed(points, True)], False, colour, thickness, cv2.LINE_AA, SHIFT)

    def soften(self, radius: float) -> None:
        """Blur the head as drawn so far; `radius` is in face coordinates."""
        pose = self.pose
        rows = slice(max(0, int(pose.y - 1.7 * pose.scale)), int(pose.y + 1.7 * pose.scale))
        columns = slice(max(0, int(pose.x - 1.3 * pose.scale)), int(pose.x + 1.3 * pose.scale))
        head = self.image[rows, columns]
        head[:] = cv2.GaussianBlur(head, (0, 0), radius * pose.scale)

    def _fixed(self, points: ArrayLike, on_surface: bool) -> NDArray[np.int32]:
        return np.rint(self.pose.project(points, on_surface=on_surface) * (1 << SHIFT)).astype(np.int32)


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
