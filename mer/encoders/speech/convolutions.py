"""The convolutions that turn a waveform into frames, as matrix products on [time, channels].

HuBERT, wav2vec 2.0, WavLM and data2vec-audio share them. In channels-last layout unfolding is a plain copy: what
kernel k and stride s see of x [T, C] are rows of k * C numbers, s * C apart in memory, so that the convolution is one
matrix product on an overlapping view of its input, faster than oneDNN's own convolution (docs/speech.md).
"""

from __future__ import annotations

import math
from copy import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer.encoders.linear import PackedLinear

CHUNK_FRAMES = 128
"""Frames made at a time at most, so that the first layers' large outputs stay in cache."""


class Convolutions:
    """The feature extractor of a transformers model; one clip at a time, exact for every length."""

    def __init__(self, feature_extractor: Any, dtype: torch.dtype) -> None:
        layers = list(feature_extractor.conv_layers)
        self._layers = [_Convolution(layer, dtype) for layer in layers]
        self._group_norm = _norm(layers[0]) if isinstance(_norm(layers[0]), nn.GroupNorm) else None
        self.hop = math.prod(layer.stride for layer in self._layers)
        self.receptive_field = 1
        for layer in reversed(self._layers):
            self.receptive_field = (self.receptive_field - 1) * layer.stride + layer.kernel

    def frames(self, samples: int) -> int:
        """Frames made from a waveform; 0 where it is shorter than the receptive field."""
        return max(0, (samples - self.receptive_field) // self.hop + 1)

    def __call__(self, waveform: Tensor) -> Tensor:
        """Frames [T, C] of a waveform [samples] of at least one receptive field."""
        first = self._layers[0] if self._group_norm is None else self._normed_first_layer(waveform, self._group_norm)
        total, chunks = self.frames(len(waveform)), []
        count = -(-total // CHUNK_FRAMES)
        for start, stop in pairwise(total * i // count for i in range(count + 1)):
            x = waveform[start * self.hop : (stop - 1) * self.hop + self.receptive_field, None]
            for layer in (first, *self._layers[1:]):
                x = layer(x)
            chunks.append(x)
        return torch.cat(chunks)

    def _normed_first_layer(self, waveform: Tensor, norm: nn.GroupNorm) -> _Convolution:
        """The first layer with its group norm, whose statistics run over the whole clip, folded in.

        With one group a channel, y_c = w_c . u over the clip's windows u [k], so mean(y_c) = w_c . mean(u) and
        var(y_c) = w_c' Cov(u) w_c: a k x k covariance replaces a pass over all outputs, and padding never counts.
        """
        layer = self._layers[0]
        windows = waveform.double().unfold(0, layer.kernel, layer.stride)  # [T0, k]
        mean = windows.mean(0)
        covariance = (windows - mean).T @ (windows - mean) / len(windows)
        weight = layer.weight.double()  # [C, k]
        variance = ((weight @ covariance) * weight).sum(1)
        scale = norm.weight.double() * torch.rsqrt(variance + norm.eps)
        return layer.replaced(weight * scale[:, None], norm.bias.double() - (weight @ mean) * scale)


class _Convolution:
    """Convolution, layer norm over channels where there is one, activation: [T_in, C_in] -> [T_out, C_out]."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        (self.kernel,), (self.stride,) = layer.conv.kernel_size, layer.conv.stride
        self.weight = layer.conv.weight.transpose(1, 2).flatten(1)  # [C_out, k * C_in]
        bias = layer.conv.bias if layer.conv.bias is not None else torch.zeros_like(self.weight[:, 0])
        self._norm = _norm(layer) if isinstance(_norm(layer), nn.LayerNorm) else None
        self._activation, self._dtype = layer.activation, dtype
        self._linear = self._product(self.weight, bias)

    def replaced(self, weight: Tensor, bias: Tensor) -> _Convolution:
        """This convolution with another weight and bias."""
        other = copy(self)
        other._linear = self._product(weight, bias)
        return other

    def _product(self, weight: Tensor, bias: Tensor) -> PackedLinear:
        return PackedLinear(weight, bias, self._dtype, activation=None if self._norm else self._activation)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype).contiguous()
        channels = x.shape[1]
        shape = ((len(x) - self.kernel) // self.stride + 1, self.kernel * channels)
        y = self._linear(x.as_strided(shape, (self.stride * channels, 1), x.storage_offset()))
        return y if self._norm is None else self._activation(layer_norm(y, self._norm))


def layer_norm(x: Tensor, norm: Any) -> Tensor:
    """Layer norm over the last dimension, in float32."""
    return functional.layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _norm(layer: Any) -> Any:
    return getattr(layer, "layer_norm", None)
