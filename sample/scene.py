"""The frames of a clip: background, light, camera, and the face in them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sample.action_units import Tracks
from sample.canvas import Canvas, Pose
from sample.face import Look, draw_face

GRAIN_MARGIN = 64


@dataclass(frozen=True)
class Scene:
    """What the camera sees besides the face.

    `light` [height, width, 3] multiplies the image; `grain` is sensor noise, larger than the image by
    `GRAIN_MARGIN` on both axes, so that each frame takes another part of it.
    """

    background: NDArray[np.uint8]
    light: NDArray[np.float32]
    grain: NDArray[np.int16]
    blur: float


def draw_scene(rng: np.random.Generator, width: int, height: int) -> Scene:
    return Scene(
        background=_background(rng, width, height),
        light=_light(rng, width, height),
        grain=_grain(rng, width + GRAIN_MARGIN, height + GRAIN_MARGIN),
        blur=rng.uniform(0.3, 0.9),
    )


def draw_poses(rng: np.random.Generator, frames: int, width: int, height: int) -> list[Pose]:
    """A head that sways a little around a place of its own."""
    sway = np.cumsum(rng.normal(0, 1, (frames, 4)), axis=0) * (0.006, 0.005, 0.006, 0.012)
    scale = height * rng.uniform(0.20, 0.27)
    x, y = width * rng.uniform(0.38, 0.62), height * rng.uniform(0.44, 0.52)
    roll, yaw = rng.normal(0, 0.07), rng.normal(0, 0.14)
    return [
        Pose(
            x + scale * dx,
            y + scale * dy,
            scale,
            float(np.clip(roll + dr, -0.2, 0.2)),
            float(np.clip(yaw + dw, -0.35, 0.35)),
        )
        for dx, dy, dr, dw in sway
    ]


def render(
    rng: np.random.Generator, scene: Scene, poses: list[Pose], face: tuple[Look, Tracks] | None
) -> NDArray[np.uint8]:
    """Frames [T, height, width, 3] in RGB; an empty room where `face` is None."""
    frames = np.empty((len(poses), *scene.background.shape), np.uint8)
    for t, pose in enumerate(poses):
        image = frames[t]
        image[:] = scene.background
        if face is not None:
            look, tracks = face
            draw_face(Canvas(image, pose), look, {unit: float(track[t]) for unit, track in tracks.items()})
        cv2.GaussianBlur(image, (3, 3), scene.blur, dst=image)
        cv2.multiply(image, scene.light, dst=image, dtype=cv2.CV_8U)
        top, left = rng.integers(0, GRAIN_MARGIN, 2)
        grain = scene.grain[top : top + image.shape[0], left : left + image.shape[1]]
        cv2.add(image, grain, dst=image, dtype=cv2.CV_8U)
    return frames


def _grain(rng: np.random.Generator, width: int, height: int) -> NDArray[np.int16]:
    grain = np.rint(rng.normal(0, rng.uniform(1.0, 5.0), (height, width, 1))).astype(np.int16)
    return np.repeat(grain, 3, axis=2)


def _background(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """A wall with a few out-of-focus things on it."""
    top, bottom = _muted(rng, 70, 220), _muted(rng, 70, 220)
    ramp = np.linspace(0, 1, height)[:, None, None]
    image = np.repeat(top + ramp * (bottom - top), width, axis=1).astype(np.uint8)
    for _ in range(rng.integers(2, 7)):
        colour = _muted(rng, 30, 230).tolist()
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        w, h = int(rng.uniform(0.06, 0.3) * width), int(rng.uniform(0.06, 0.4) * height)
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, cv2.FILLED)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(2, 8))


def _muted(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    """A colour near its own grey."""
    colour = rng.uniform(low, high, 3)
    return 0.45 * colour + 0.55 * colour.mean()


def _light(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Overall brightness and a gradient from one side."""
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    gradient = rng.uniform(0.75, 1.05) * (1 + slope * (np.cos(angle) * x + np.sin(angle) * y))
    return np.repeat(gradient[:, :, None], 3, axis=2).astype(np.float32)
