"""HuBERT, wav2vec 2.0, WavLM and data2vec-audio on clips of different lengths, packed without padding.

The weights are those of a transformers model; the arithmetic is the same, laid out so that what a clip gets never
depends on its neighbours: frames of all clips stand one after the other, [frames of clip 1 .. frames of clip n, D].
What works on single frames (projections, norms, feed-forward) runs on all of them at once; what looks along time
(group norm, positional convolution, attention) runs clip by clip. There is no padding to mask.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from mer.encoders.int8 import Int8Linear
from mer.encoders.linear import Activation, PackedLinear
from mer.encoders.speech.attention import GatedBias, attend
from mer.encoders.speech.convolutions import Convolutions, layer_norm
from mer.encoders.speech.positions import PositionalConvolution


class Wav2VecFamily:
    """Forward pass of one model. `dtype` is that of the matrix products; sums and norms stay in float32.

    In int8 the blocks' products are; attention, and what comes before the blocks, stays in bfloat16.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        encoder, projection = model.encoder, model.feature_projection
        self.dimensions = int(model.config.hidden_size)
        self.depth = len(encoder.layers)
        self._normalize_first = _normalizes_first(model.config)
        before = torch.bfloat16 if dtype == torch.int8 else dtype
        self._convolutions = Convolutions(model.feature_extractor, before)
        self.frames, self.hop = self._convolutions.frames, self._convolutions.hop
        self.longest = sys.maxsize
        self._projection_norm = projection.layer_norm if getattr(projection, "feat_proj_layer_norm", True) else None
        self._projection = PackedLinear(projection.projection.weight, projection.projection.bias, before)
        self._positions = _positions(encoder.pos_conv_embed)
        self._norm = encoder.layer_norm
        blocks = list(encoder.layers)
        self._blocks = [_Block(block, blocks[0].attention, model.config, dtype) for block in blocks]

    def cost(self, samples: int) -> int:
        """Samples computed on for a clip: its own."""
        return samples

    def blocks(self, waveforms: Sequence[Tensor]) -> Iterator[Tensor]:
        """Output of each block in turn, [N, D] float32, for the packed frames of waveforms [samples]."""
        frames = [self._convolutions(waveform) for waveform in waveforms]
        lengths = [len(clip) for clip in frames]
        x = torch.cat(frames).float()  # [N, C]
        x = self._projection(layer_norm(x, self._projection_norm) if self._projection_norm else x).float()
        x = x + self._positions(x, lengths)  # [N, D]
        if not self._normalize_first:
            x = layer_norm(x, self._norm)
        for block in self._blocks:
            x = block(x, lengths)
            yield x

    def final(self, last: Tensor) -> Tensor:
        """What the model itself calls its output: the last block's, through the final norm of a pre-norm model."""
        return layer_norm(last, self._norm) if self._normalize_first else last


class _Block:
    """Attention and feed-forward with their norms before (`normalize_first`) or after."""

    def __init__(self, block: Any, first_attention: Any, config: Any, dtype: torch.dtype) -> None:
        attention = block.attention
        self._heads = attention.num_heads
        self._attention_norm, self._norm = block.layer_norm, block.final_layer_norm
        self._normalize_first = _normalizes_first(config)
        self._qkv = _qkv(attention, dtype)
        self._out = _linear(attention.out_proj.weight, attention.out_proj.bias, dtype)
        up, down = block.feed_forward.intermediate_dense, block.feed_forward.output_dense
        self._up = _linear(up.weight, up.bias, dtype, block.feed_forward.intermediate_act_fn)
        self._down = _linear(down.weight, down.bias, dtype)
        self._bias = GatedBias(attention, first_attention) if hasattr(attention, "gru_rel_pos_linear") else None
        self._adapter = _adapter(block)

    def __call__(self, x: Tensor, lengths: list[int]) -> Tensor:
        if self._normalize_first:
            x = x + self._attend(layer_norm(x, self._attention_norm), lengths)
            x = x + self._down(self._up(layer_norm(x, self._norm)))
            return x if self._adapter is None else x + self._adapter(x)
        x = layer_norm(x + self._attend(x, lengths), self._attention_norm)
        return layer_norm(x + self._down(self._up(x)), self._norm)

    def _attend(self, x: Tensor, lengths: list[int]) -> Tensor:
        qkv = self._qkv(x).unflatten(-1, (3, self._heads, -1))  # [N, 3, H, d]
        attended = [
            attend(clip, self._bias(inputs) if self._bias else None)
            for clip, inputs in zip(qkv.split(lengths), x.split(lengths), strict=True)
        ]
        return self._out(torch.cat(attended))


def _adapter(block: Any) -> Callable[[Tensor], Tensor] | None:
    """A block's adapter on single frames [N, D] (MMS, Pratap et al., 2023: norm, down, ReLU, up), in float32."""
    adapter = getattr(block, "adapter_layer", None)
    if adapter is None:
        return None
    down = PackedLinear(adapter.linear_1.weight, adapter.linear_1.bias, torch.float32, activation=adapter.act_fn)
    up = PackedLinear(adapter.linear_2.weight, adapter.linear_2.bias, torch.float32)
    return lambda x: up(down(layer_norm(x, adapter.norm)))


def _normalizes_first(config: Any) -> bool:
    return bool(getattr(config, "do_stable_layer_norm", False))


def _linear(
    weight: Tensor, bias: Tensor, dtype: torch.dtype, activation: Activation | None = None
) -> PackedLinear | Int8Linear:
    if dtype == torch.int8:
        return Int8Linear(weight, bias, activation=activation)
    return PackedLinear(weight, bias, dtype, activation=activation)


def _qkv(attention: Any, dtype: torch.dtype) -> PackedLinear | Int8Linear:
    """Query, key and value as one product, outputs side by side; the scale of the scores goes into the query."""
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    scale = attention.head_dim**-0.5
    weight = torch.cat([query.weight * scale, key.weight, value.weight])
    return _linear(weight, torch.cat([query.bias * scale, key.bias, value.bias]), dtype)


def _positions(embedding: Any) -> Callable[[Tensor, Sequence[int]], Tensor]:
    """Positional embedding [N, D] of packed clips [N, D]; weight norm is worked out once instead of at every call."""
    for module in embedding.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    if getattr(embedding, "conv", None) is None or getattr(embedding, "batch_norm", None) is not None:
        # data2vec's stack of short convolutions
        return lambda x, lengths: torch.cat([embedding(clip[None])[0] for clip in x.split(lengths)])
    return PositionalConvolution(embedding)
