"""The convolutions that turn a waveform into frames, as matrix products on [time, channels].

HuBERT, wav2vec 2.0, WavLM and data2vec-audio share them. In channels-last layout a convolution with kernel k and
stride s needs no unfolding: taps j .. j+s-1 of every output row are one contiguous row of the input seen with a
stride of s rows, so the convolution is ceil(k / s) matrix products on views (kernel 3, stride 2: two).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK_FRAMES = 64
"""Frames made at a time, so that the first layers' large outputs stay in cache."""


class Convolutions:
    """The feature extractor of a transformers model; one clip at a time, exact for every length."""

    def __init__(self, feature_extractor: Any, dtype: torch.dtype) -> None:
        layers = list(feature_extractor.conv_layers)
        self._layers = [_Convolution(layer, dtype) for layer in layers]
        self._group_norm = layers[0].layer_norm if isinstance(_norm(layers[0]), nn.GroupNorm) else None
        self.hop = math.prod(layer.stride for layer in self._layers)
        self.receptive_field = 1
        for layer in reversed(self._layers):
            self.receptive_field = (self.receptive_field - 1) * layer.stride + layer.kernel

    def frames(self, samples: int) -> int:
        """Frames made from a waveform; 0 where it is shorter than the receptive field."""
        return max(0, (samples - self.receptive_field) // self.hop + 1)

    def __call__(self, waveform: Tensor) -> Tensor:
        """Frames [T, C] of a waveform [samples] of at least one receptive field."""
        first = self._first_layer(waveform)
        chunks = []
        for start, stop in _chunks(self.frames(len(waveform))):
            x = waveform[start * self.hop : (stop - 1) * self.hop + self.receptive_field, None]
            for layer in (first, *self._layers[1:]):
                x = layer(x)
            chunks.append(x)
        return torch.cat(chunks)

    def _first_layer(self, waveform: Tensor) -> _Convolution:
        """The first layer with its group norm, whose statistics run over the whole clip, folded in.

        With one group a channel, y_c = w_c . u over the clip's windows u [k], so mean(y_c) = w_c . mean(u) and
        var(y_c) = w_c' Cov(u) w_c: a k x k covariance replaces a pass over all outputs, and padding never counts.
        """
        layer, norm = self._layers[0], self._group_norm
        if norm is None:
            return layer
        windows = waveform.double().unfold(0, layer.kernel, layer.stride)  # [T0, k]
        mean = windows.mean(0)
        covariance = (windows - mean).T @ (windows - mean) / len(windows)
        weight = layer.weight.double()  # [k, C]
        variance = (weight * (covariance @ weight)).sum(0)
        scale = norm.weight.double() * torch.rsqrt(variance + norm.eps)
        return layer.folded(weight * scale, norm.bias.double() - (mean @ weight) * scale)


class _Convolution:
    """Convolution, layer norm over channels where there is one, activation: [T_in, C_in] -> [T_out, C_out]."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        (self.kernel,), (self.stride,) = layer.conv.kernel_size, layer.conv.stride
        out_channels = layer.conv.out_channels
        self.weight = layer.conv.weight.permute(2, 1, 0).reshape(-1, out_channels)  # [k * C_in, C_out], tap first
        bias = layer.conv.bias
        self._bias = torch.zeros(out_channels, device=self.weight.device) if bias is None else bias
        self._norm = _norm(layer) if isinstance(_norm(layer), nn.LayerNorm) else None
        self._activation = layer.activation
        self._dtype = dtype
        self._cast()

    def folded(self, weight: Tensor, bias: Tensor) -> _Convolution:
        """This convolution with another weight and bias."""
        other = object.__new__(_Convolution)
        other.__dict__ |= self.__dict__
        other.weight, other._bias = weight.float(), bias.float()
        other._cast()
        return other

    def _cast(self) -> None:
        channels = len(self.weight) // self.kernel
        self._pieces = [
            piece.to(self._dtype).contiguous() for piece in self.weight.split(self.stride * channels)
        ]  # taps 0..s-1, then s..2s-1, ...
        self._cast_bias = self._bias.to(self._dtype)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype).contiguous()
        channels, step = x.shape[1], self.stride * x.shape[1]
        rows = (len(x) - self.kernel) // self.stride + 1
        y = self._cast_bias
        for i, piece in enumerate(self._pieces):
            taps = x.as_strided((rows, len(piece)), (step, 1), x.storage_offset() + i * self.stride * channels)
            y = torch.addmm(y, taps, piece)
        if self._norm is not None:
            y = functional.layer_norm(
                y.float(), self._norm.normalized_shape, self._norm.weight, self._norm.bias, self._norm.eps
            )
        return self._activation(y)


def _norm(layer: Any) -> Any:
    return getattr(layer, "layer_norm", None)


def _chunks(frames: int) -> Iterator[tuple[int, int]]:
    for start in range(0, frames, CHUNK_FRAMES):
        yield start, min(start + CHUNK_FRAMES, frames)
