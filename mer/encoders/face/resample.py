"""Pillow's image resampling for a whole batch at once, bit for bit.

Image processors resize through Pillow, one image at a time. Its 8-bit path (`Resample.c`) is a weighted sum over each
row, then over each column, with weights rounded to 22 binary places and each result rounded to 8 bits. Both sums are
matrix products, and in double precision they are exact, so any BLAS gives Pillow's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import pi, sin

import numpy as np
import torch
from torch import Tensor

PRECISION = 22
"""Binary places of Pillow's weights: 32 bits less 8 for a pixel less 2 for overshoot."""

FEW = 2
"""Images at a time: their sums in double precision still fit a core's cache."""
BAND = 28
"""Output pixels at a time: they see few of the input pixels, and the other products would be with zero."""


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5.0) * x + 8.0) * x - 4.0) * a if x < 2.0 else 0.0


def _lanczos(x: float) -> float:
    if x == 0.0:
        return 1.0
    return sin(pi * x) / (pi * x) * sin(pi * x / 3.0) / (pi * x / 3.0) if -3.0 <= x < 3.0 else 0.0


FILTERS: dict[int, tuple[Callable[[float], float], float]] = {1: (_lanczos, 3.0), 2: (_triangle, 1.0), 3: (_cubic, 2.0)}
"""Pillow's number of a filter -> its kernel and the kernel's reach: Lanczos, bilinear, bicubic."""


def resize(images: Tensor, side: int, resample: int) -> Tensor:
    """Resize square uint8 [n, C, S, S] to uint8 [n, C, side, side]; `resample` is one of `FILTERS`.

    Squares only: where one edge grows and the other shrinks, versions of Pillow differ in which comes first.
    """
    if images.shape[2] == side:
        return images
    bands = [(span, weights.to(images.device)) for span, weights in _bands(images.shape[2], side, resample)]
    return torch.cat([_across(_across(few, bands).mT, bands).mT for few in images.split(FEW)])


def _across(pixels: Tensor, bands: Sequence[tuple[slice, Tensor]]) -> Tensor:
    """uint8 [..., S] to [..., side], each sum rounded as Pillow does it: add half, cut the fraction off, clip."""
    pixels = pixels.double()
    sums = torch.cat([pixels[..., span] @ weights for span, weights in bands], dim=-1)
    return sums.add_(0.5).clamp_(0, 255).to(torch.uint8)


@cache
def _bands(size: int, target: int, resample: int) -> list[tuple[slice, Tensor]]:
    """For each `BAND` of output pixels: the input pixels that they are made of, and the weights between."""
    bands = []
    for weights in _weights(size, target, resample).split(BAND):
        used = weights.any(dim=0).nonzero()
        span = slice(int(used.min()), int(used.max()) + 1)
        bands.append((span, weights[:, span].T.contiguous()))
    return bands


def _weights(size: int, target: int, resample: int) -> Tensor:
    """float64 [target, size]: Pillow's weight of each input pixel in each output pixel, a multiple of 2^-22."""
    kernel, reach = FILTERS[resample]
    scale = size / target
    stretch = max(scale, 1.0)
    weights = np.zeros((target, size))
    for row in range(target):
        centre = (row + 0.5) * scale
        first = max(0, int(centre - reach * stretch + 0.5))
        last = min(size, int(centre + reach * stretch + 0.5))
        taps = np.array([kernel((x - centre + 0.5) / stretch) for x in range(first, last)])
        taps = taps / _sum_in_order(taps) * (1 << PRECISION)
        weights[row, first:last] = np.trunc(taps + np.copysign(0.5, taps))
    return torch.from_numpy(weights / (1 << PRECISION))


def _sum_in_order(values: np.ndarray) -> float:
    """Left to right, as C does it: numpy's pairwise sum may differ in the last bit."""
    total = 0.0
    for value in values:
        total += float(value)
    return total
