"""The positional convolution of HuBERT and its kin, by Fourier transform.

Its kernel spans 128 frames (2.6 s), so directly it costs as much as half a transformer block, at half the speed.
Overlap-save: the clip is cut into blocks of BLOCK frames that share kernel - 1 of them; a product of spectra is a
circular convolution, whose wrapped-around part is dropped. Same result within float32 rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 256


class PositionalConvolution:
    """[T, D] -> [T, D], activation included; `embedding` is transformers' module, its weight norm resolved."""

    def __init__(self, embedding: Any) -> None:
        convolution = embedding.conv
        (kernel,) = convolution.kernel_size
        self._groups, self._pad = convolution.groups, kernel // 2
        self._block = max(BLOCK, 2 ** kernel.bit_length())
        self._fresh = self._block - kernel + 1
        self._bias, self._activation = convolution.bias, embedding.activation
        weight = convolution.weight.unflatten(0, (self._groups, -1))  # [G, out, in, kernel]
        spectrum = torch.fft.rfft(weight, self._block).conj()  # conjugate: torch convolves without flipping
        self._spectrum = spectrum.permute(3, 0, 1, 2).flatten(0, 1).contiguous()  # [F * G, out, in]

    def __call__(self, x: Tensor) -> Tensor:
        frames, width = x.shape
        blocks = -(-frames // self._fresh)
        after = blocks * self._fresh + self._block - self._fresh - self._pad - frames
        x = functional.pad(x, (0, 0, self._pad, after)).unfold(0, self._block, self._fresh)  # [B, D, BLOCK]
        spectrum = torch.fft.rfft(x).permute(2, 1, 0)  # [F, D, B]
        product = self._spectrum @ spectrum.reshape(len(self._spectrum), -1, blocks)  # [F * G, out, B]
        y = torch.fft.irfft(product.view(-1, width, blocks).permute(2, 1, 0), self._block)[..., : self._fresh]
        return self._activation(y.transpose(1, 2).flatten(0, 1)[:frames] + self._bias)
