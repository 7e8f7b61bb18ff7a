"""Linear layers in 8-bit integers, twice as fast as bfloat16 on a CPU with VNNI.

Weights are rounded once, with a scale for each output; inputs at every call, with a scale for each row. Sums of
integers are exact, so what a row gets does not depend on its neighbours. What rounding costs a model depends on how
far its largest activations stand out: `python -m benchmarks.speech --folder` measures it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = 127
SMALLEST_SCALE = 1e-12
"""For a row of zeros."""
PRODUCT_ROWS = 512
"""Rows multiplied at a time, so that their sums are still in cache when they are scaled; fewer multiply slower."""


class Int8Linear:
    """y = activation(x W^T + b): float [N, in] -> bfloat16 [N, out]; `weight` is [out, in], `bias` [out]."""

    def __init__(self, weight: Tensor, bias: Tensor, *, activation: Callable[[Tensor], Tensor] | None = None) -> None:
        rounded, scale = _round(weight)
        self._weight, self._scale = rounded.T.contiguous(), scale.T
        self._bias, self._activation = bias, activation

    def __call__(self, x: Tensor) -> Tensor:
        y = x.new_empty(len(x), len(self._bias), dtype=torch.bfloat16)
        for rows, out in zip(x.split(PRODUCT_ROWS), y.split(PRODUCT_ROWS), strict=True):
            self._product(rows, out)
        return y

    def _product(self, x: Tensor, out: Tensor) -> None:
        rounded, scale = _round(x)
        sums = torch._int_mm(rounded, self._weight).float()  # mixed types would be multiplied one by one
        out.copy_(sums.mul_(scale).mul_(self._scale).add_(self._bias))
        if self._activation is not None:
            out.copy_(self._activation(out))


def _round(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [N, D] as integers of -127 to 127, int8 [N, D], times the scale of each row, float32 [N, 1]."""
    x = x.float()
    scale = (x.abs().amax(1, keepdim=True) / LARGEST).clamp_min(SMALLEST_SCALE)
    return (x / scale).round_().to(torch.int8), scale
