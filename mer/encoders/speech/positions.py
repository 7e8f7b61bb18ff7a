"""The positional convolution of HuBERT and its kin, by Fourier transform.

Its kernel spans 128 frames (2.6 s), so directly it costs as much as half a transformer block, at half the speed.
Overlap-save: each clip is cut into blocks of BLOCK frames that share kernel - 1 of them; a product of spectra is a
circular convolution, whose wrapped-around part is dropped. Same result within float32 rounding. The blocks of all
clips are multiplied at once: reading the kernel's spectrum (38 MB) is what takes time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 256
FEWEST = 4
"""Blocks multiplied at once at least: MKL adds up fewer in another order, and a clip's last bits must not depend on
what stands beside it."""


class PositionalConvolution:
    """Packed clips [N, D] -> [N, D], activation included; `embedding` is transformers' module without weight norm."""

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

    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """`lengths` says how many of the N frames each clip has, in order."""
        clips = [self._blocks(clip) for clip in x.split(list(lengths))]
        counts = [len(clip) for clip in clips]
        spare = x.new_zeros(max(0, FEWEST - sum(counts)), x.shape[1], self._block)
        y = self._convolve(torch.cat([*clips, spare]))[: sum(counts)].transpose(1, 2)  # [B, fresh, D]
        parts = zip(y.split(counts), lengths, strict=True)
        return self._activation(torch.cat([part.flatten(0, 1)[:length] for part, length in parts]) + self._bias)

    def _blocks(self, clip: Tensor) -> Tensor:
        """Overlapping blocks [B, D, BLOCK] of a clip [T, D]."""
        count = -(-len(clip) // self._fresh)
        after = (count - 1) * self._fresh + self._block - self._pad - len(clip)
        return functional.pad(clip, (0, 0, self._pad, after)).unfold(0, self._block, self._fresh)

    def _convolve(self, blocks: Tensor) -> Tensor:
        """[B, D, BLOCK] -> the frames of each block that hear only that block, [B, D, fresh]."""
        spectrum = torch.fft.rfft(blocks).permute(2, 1, 0)  # [F, D, B]
        product = self._spectrum @ spectrum.reshape(len(self._spectrum), -1, len(blocks))  # [F * G, out, B]
        product = product.view(len(spectrum), -1, len(blocks)).permute(2, 1, 0)
        return torch.fft.irfft(product, self._block)[..., : self._fresh]
