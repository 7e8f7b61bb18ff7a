"""A parametric face that moves after FACS action units.

Face coordinates: the half-width of the head is 1, x to the right of the image, y down, eyes near y = -0.15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample.action_units import BLINK, JAW_DROP
from sample.canvas import Canvas, Colour, Points, bezier, ellipse, mix

WHITE, BLACK = (255.0, 255.0, 255.0), (0.0, 0.0, 0.0)
LIGHT_SKIN, DARK_SKIN = (252.0, 222.0, 196.0), (122.0, 84.0, 62.0)
HAIR_COLOURS = ((28, 22, 20), (52, 36, 26), (88, 60, 38), (140, 104, 62), (128, 124, 122))
LEFT, RIGHT = -1, 1


@dataclass(frozen=True)
class Look:
    """What makes a face one person's. Lengths are in face coordinates."""

    skin: Colour
    hair: Colour
    clothes: Colour
    iris: Colour
    height: float
    jaw: float
    eye_distance: float
    eye_size: float
    brow_weight: float
    nose: float
    mouth_width: float
    lips: float
    fringe: float
    long_hair: bool


def draw_look(rng: np.random.Generator) -> Look:
    return Look(
        skin=mix(LIGHT_SKIN, DARK_SKIN, rng.beta(1.2, 2.0)),
        hair=HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))],
        clothes=tuple(rng.uniform(40, 210, 3)),
        iris=mix((60, 38, 24), (70, 110, 130), float(rng.random() < 0.25)),
        height=rng.uniform(1.22, 1.38),
        jaw=rng.uniform(2.0, 2.7),
        eye_distance=rng.uniform(0.39, 0.46),
        eye_size=rng.uniform(0.19, 0.23),
        brow_weight=rng.uniform(0.045, 0.085),
        nose=rng.uniform(0.14, 0.20),
        mouth_width=rng.uniform(0.30, 0.39),
        lips=rng.uniform(0.07, 0.12),
        fringe=rng.uniform(-0.95, -0.72),
        long_hair=bool(rng.random() < 0.5),
    )


def draw_face(canvas: Canvas, look: Look, units: dict[int, float]) -> None:
    """Draw head and shoulders; `units` holds the activation of each action unit in this frame."""
    _head(canvas, look, units)
    _shading(canvas, look, units)
    canvas.soften(0.035)
    for side in (LEFT, RIGHT):
        _eye(canvas, look, units, side)
        _brow(canvas, look, units, side)
    _nose(canvas, look)
    _mouth(canvas, look, units)
    canvas.draw()


def _head(canvas: Canvas, look: Look, units: dict[int, float]) -> None:
    hair_bottom, hair_width = (1.3, 1.26) if look.long_hair else (0.2, 1.14)
    canvas.fill(ellipse(0, (hair_bottom - 1.5) / 2, hair_width, (hair_bottom + 1.55) / 2), look.hair, on_surface=False)
    canvas.fill(ellipse(0, 3.0, 2.1, 1.5, power=2.6), look.clothes, on_surface=False)
    canvas.fill([(-0.45, 0.8), (0.45, 0.8), (0.5, 1.75), (-0.5, 1.75)], mix(look.skin, BLACK, 0.22), on_surface=False)
    for side in (LEFT, RIGHT):
        canvas.fill(ellipse(side * 0.98, 0.02, 0.12, 0.24), mix(look.skin, BLACK, 0.12), on_surface=False)
    chin = 0.10 * min(units[JAW_DROP], 1.0)
    outline = ellipse(0, 0, 1.0, look.height, power=look.jaw)
    outline[outline[:, 1] > 0] *= (1.0, 1.0 + chin / look.height)
    outline[:, 0] *= 1 - 0.16 * np.clip(outline[:, 1], 0, None)
    canvas.fill(outline, look.skin, on_surface=False)
    # The fringe: the part of the head above a curve, in the colour of the hair.
    top = outline[outline[:, 1] < look.fringe]
    curve = bezier((top[:, 0].min(), look.fringe), (0, look.fringe - 0.25), (top[:, 0].max(), look.fringe))
    crown = ellipse(0, look.fringe, float(top[:, 0].max()) + 0.06, look.height + look.fringe + 0.08)
    canvas.fill(np.concatenate([curve, crown[crown[:, 1] <= look.fringe][::-1]]), look.hair, on_surface=False)


def _shading(canvas: Canvas, look: Look, units: dict[int, float]) -> None:
    """Soft shadows and lights; drawn before the blur."""
    socket, light = mix(look.skin, BLACK, 0.26), mix(look.skin, WHITE, 0.22)
    canvas.fill(ellipse(0, -0.68, 0.55, 0.14), light)
    for side in (LEFT, RIGHT):
        canvas.fill(ellipse(side * look.eye_distance, -0.19, look.eye_size * 1.45, 0.17), socket)
        raised = units[6]
        blush = mix(look.skin, (235, 120, 110), 0.10 + 0.12 * raised)
        canvas.fill(ellipse(side * 0.52, 0.26 - 0.06 * raised, 0.25, 0.16 + 0.03 * raised), mix(blush, WHITE, 0.15))
        canvas.fill(ellipse(side * 0.13, 0.10, 0.035, 0.28), mix(look.skin, BLACK, 0.14))
    canvas.fill(ellipse(0, 0.05, 0.075, 0.34), light)
    canvas.fill(ellipse(0, 0.93 + 0.06 * units[JAW_DROP], 0.26, 0.05), mix(look.skin, BLACK, 0.12))


def _eye(canvas: Canvas, look: Look, units: dict[int, float], side: int) -> None:
    x, y = side * look.eye_distance, -0.17
    open_share = 1.0 - min(units[BLINK], 1.0)
    upper = max(0.0, (0.095 + 0.075 * units[5] - 0.035 * units[7] - 0.015 * units[4])) * open_share
    lower = max(0.0, (0.065 - 0.055 * units[6] - 0.035 * units[7] + 0.01 * units[5])) * open_share
    inner, outer = (x - side * look.eye_size, y + 0.01), (x + side * look.eye_size, y - 0.01)
    lid = bezier(inner, (x, y - 2 * upper), outer)
    under = bezier(outer, (x, y + 2 * lower), inner)
    if upper + lower > 0.02:
        opening = np.concatenate([lid, under])
        canvas.fill(opening, mix(WHITE, look.skin, 0.18))
        _clipped(canvas, ellipse(x, y - 0.015, 0.085, 0.085, points=16), lid, under, look.iris)
        _clipped(canvas, ellipse(x, y - 0.015, 0.042, 0.042, points=12), lid, under, BLACK)
    canvas.line(lid, mix(look.skin, BLACK, 0.8), 0.035)
    canvas.line(under, mix(look.skin, BLACK, 0.4), 0.018)
    pouch = 0.10 + lower * 1.2
    bag = bezier((x - look.eye_size, y + pouch), (x, y + pouch + 0.09), (x + look.eye_size, y + pouch))
    canvas.line(bag, mix(look.skin, BLACK, 0.10 + 0.25 * min(units[6] + 0.5 * units[7], 1.0)), 0.016)


def _clipped(canvas: Canvas, shape: Points, lid: Points, under: Points, colour: Colour) -> None:
    """Fill the part of `shape` that lies between the two lids."""
    order, back = np.argsort(lid[:, 0]), np.argsort(under[:, 0])
    top = np.interp(shape[:, 0], lid[order, 0], lid[order, 1])
    bottom = np.interp(shape[:, 0], under[back, 0], under[back, 1])
    canvas.fill(np.stack([shape[:, 0], np.clip(shape[:, 1], top, np.maximum(top, bottom))], 1), colour)


def _brow(canvas: Canvas, look: Look, units: dict[int, float], side: int) -> None:
    lowered = 0.10 * units[4]
    inner_y = -0.41 - 0.15 * units[1] + lowered * 1.2
    outer_y = -0.42 - 0.14 * units[2] + lowered * 0.2
    middle_y = -0.49 - 0.07 * units[1] - 0.14 * units[2] + lowered
    inner_x = side * (0.20 - 0.05 * units[4])
    outer_x = side * (look.eye_distance + 0.27)
    control = (side * look.eye_distance, 2 * middle_y - (inner_y + outer_y) / 2)
    arch = bezier((inner_x, inner_y), control, (outer_x, outer_y))
    taper = look.brow_weight * np.linspace(1.0, 0.35, len(arch))[:, None] * (0.0, 1.0)
    canvas.fill(np.concatenate([arch - taper, (arch + taper)[::-1]]), mix(look.hair, BLACK, 0.2))
    if units[4] > 0.15:
        furrow = side * 0.07
        depth = 0.45 * min(units[4], 1.0)
        canvas.line([(furrow, -0.50), (furrow * 0.9, -0.30)], mix(look.skin, BLACK, depth), 0.025)


def _nose(canvas: Canvas, look: Look) -> None:
    shade = mix(look.skin, BLACK, 0.4)
    for side in (LEFT, RIGHT):
        wing = bezier((side * look.nose * 0.8, 0.22), (side * look.nose * 1.4, 0.38), (side * look.nose * 0.4, 0.38))
        canvas.line(wing, mix(look.skin, BLACK, 0.25), 0.022)
        canvas.fill(ellipse(side * look.nose * 0.5, 0.365, 0.045, 0.025, points=10), shade)


def _mouth(canvas: Canvas, look: Look, units: dict[int, float]) -> None:
    smile, frown, stretch, tight = units[12], units[15], units[20], units[23]
    y = 0.70
    half = look.mouth_width + 0.09 * smile + 0.10 * stretch - 0.04 * tight - 0.05 * min(units[JAW_DROP], 1.0)
    corner_y = y - 0.11 * smile + 0.10 * frown + 0.03 * stretch
    opening = 0.20 * units[JAW_DROP] * (1 - 0.4 * tight) + 0.035 * smile
    lips = look.lips * (1 - 0.55 * min(tight, 1.0) - 0.15 * smile - 0.2 * stretch)
    left, right = (-half, corner_y), (half, corner_y)
    top = bezier(left, (0, 2 * (y - opening * 0.35) - corner_y), right)
    bottom = bezier(right, (0, 2 * (y + opening) - corner_y), left)
    upper_lip = bezier(left, (0, 2 * (y - opening * 0.35 - lips) - corner_y), right)
    lower_lip = bezier(right, (0, 2 * (y + opening + lips * 1.2) - corner_y), left)
    red = mix(mix(look.skin, (170, 60, 60), 0.55), BLACK, 0.08)
    canvas.fill(np.concatenate([upper_lip, lower_lip]), red)
    if opening > 0.015:
        canvas.fill(np.concatenate([top, bottom]), (70, 25, 25))
        edge = top + np.array((0.0, min(0.06, opening * 0.6)))
        canvas.fill(np.concatenate([top[1:-1], edge[-2:0:-1]]), (232, 228, 220))
    canvas.line(top, mix(red, BLACK, 0.5), 0.02)
    for side in (LEFT, RIGHT):
        fold = bezier((side * 0.21, 0.32), (side * (half + 0.07), 0.42), (side * (half + 0.10), corner_y))
        canvas.line(fold, mix(look.skin, BLACK, 0.06 + 0.28 * min(smile, 1.0)), 0.02)
