"""Linear layers with packed weights, where most of an encoder's time goes.

On an x86 CPU torch's float32 products run in MKL, which packs the weight anew at every call (docs/speech.md has rates).
oneDNN, which torch ships too, takes a weight packed once and fuses the GELU; torch.compile reaches it through
these same operators. Elsewhere (CUDA, other CPUs) a plain product is the best there is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import GELUActivation

Activation = Callable[[Tensor], Tensor]
LEAST_ROWS = {torch.float32: 2, torch.bfloat16: 64}
"""From so many rows on oneDNN's products of a row are the same, whatever stands beside it. With AMX up to
32 rows in bfloat16 go another way."""


class PackedLinear:
    """y = activation(x W^T + b) in `dtype`: [N, in] -> [N, out]; `weight` is [out, in], `bias` [out].

    A row of y depends on that row of x alone, to the last bit on a CPU, however many rows there are.
    Rows of x may overlap in memory.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, activation: Activation | None = None
    ) -> None:
        self._dtype = dtype
        self._weight, self._bias = weight.to(dtype).contiguous(), bias.to(dtype)
        self._packed = _packs(self._weight)
        if self._packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, None)
        self._fused = self._packed and isinstance(activation, GELUActivation)
        self._activation = None if self._fused else activation

    def __call__(self, x: Tensor) -> Tensor:
        y = self._packed_product(x.to(self._dtype)) if self._packed else self._plain_product(x.to(self._dtype))
        return y if self._activation is None else self._activation(y)

    def _packed_product(self, x: Tensor) -> Tensor:
        rows, padded = len(x), padded_rows(len(x), LEAST_ROWS[self._dtype])
        if padded > rows:
            return self._packed_product(torch.cat([x, x[-1:].expand(padded - rows, -1)]))[:rows]
        activation, algorithm = ("gelu", "none") if self._fused else ("none", "")
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, activation, [], algorithm)

    def _plain_product(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight, self._bias)


def padded_rows(rows: int, least: int) -> int:
    """So many rows are multiplied in place of `rows`: at most a sixteenth more, or 15.

    Under `least` rows oneDNN adds up in another order. And for every number of rows that it has not met it compiles a
    product and keeps it, half a megabyte each: clips of ever new lengths would take a gigabyte a thousand.
    """
    step = max(16, 1 << max(0, rows.bit_length() - 5))
    return max(least, -(-rows // step) * step) if rows else 0


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN's operators are there and worth calling; they are private to torch, and may go with a release."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")):
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return False
    return weight.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
