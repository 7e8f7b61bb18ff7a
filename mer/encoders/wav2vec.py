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
from torch.nn import functional
from torch.nn.utils import parametrize

from mer.encoders.convolutions import Convolutions, layer_norm
from mer.encoders.linear import Activation, PackedLinear
from mer.encoders.positions import PositionalConvolution


class Wav2VecFamily:
    """Forward pass of one model. `dtype` is that of the matrix products; sums and norms stay in float32."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        encoder, projection = model.encoder, model.feature_projection
        self.dimensions = int(model.config.hidden_size)
        self.depth = len(encoder.layers)
        self._normalize_first = _normalizes_first(model.config)
        self._convolutions = Convolutions(model.feature_extractor, dtype)
        self.frames, self.hop = self._convolutions.frames, self._convolutions.hop
        self.longest = sys.maxsize
        self._projection_norm = projection.layer_norm if getattr(projection, "feat_proj_layer_norm", True) else None
        self._projection = PackedLinear(projection.projection.weight, projection.projection.bias, dtype)
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
        x = x + torch.cat([self._positions(clip) for clip in x.split(lengths)])  # [N, D]
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
        self._qkv = _linear([attention.q_proj, attention.k_proj, attention.v_proj], dtype)
        self._out = _linear([attention.out_proj], dtype)
        self._up = _linear([block.feed_forward.intermediate_dense], dtype, block.feed_forward.intermediate_act_fn)
        self._down = _linear([block.feed_forward.output_dense], dtype)
        self._bias = _GatedBias(attention, first_attention) if hasattr(attention, "gru_rel_pos_linear") else None

    def __call__(self, x: Tensor, lengths: list[int]) -> Tensor:
        if self._normalize_first:
            x = x + self._attend(layer_norm(x, self._attention_norm), lengths)
            return x + self._down(self._up(layer_norm(x, self._norm)))
        x = layer_norm(x + self._attend(x, lengths), self._attention_norm)
        return layer_norm(x + self._down(self._up(x)), self._norm)

    def _attend(self, x: Tensor, lengths: list[int]) -> Tensor:
        qkv = self._qkv(x).unflatten(-1, (3, self._heads, -1))  # [N, 3, H, d]
        attended = []
        for clip, inputs in zip(qkv.split(lengths), x.split(lengths), strict=True):
            query, key, value = clip.permute(1, 2, 0, 3)[:, None]  # each [1, H, T, d]
            bias = self._bias(inputs)[None].to(query.dtype) if self._bias else None
            heads = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
            attended.append(heads[0].transpose(0, 1).flatten(1))  # [T, D]
        return self._out(torch.cat(attended))


class _GatedBias:
    """WavLM's gated relative position bias (Chen et al., 2022, eq. 5-8); the embedding lives in the first block."""

    def __init__(self, attention: Any, first_attention: Any) -> None:
        self._heads = attention.num_heads
        self._gate, self._constant = attention.gru_rel_pos_linear, attention.gru_rel_pos_const
        self._compute_bias = first_attention.compute_bias

    def __call__(self, x: Tensor) -> Tensor:
        """Bias [H, T, T] to the attention logits of inputs [T, D]."""
        heads = x.unflatten(-1, (self._heads, -1)).transpose(0, 1)  # [H, T, d]
        gates = self._gate(heads).unflatten(-1, (2, 4)).sum(-1).sigmoid()  # [H, T, 2]
        gate = gates[..., :1] * (gates[..., 1:] * self._constant[0] - 1.0) + 2.0
        return gate * self._compute_bias(len(x), len(x))


def _normalizes_first(config: Any) -> bool:
    return bool(getattr(config, "do_stable_layer_norm", False))


def _linear(linears: list[Any], dtype: torch.dtype, activation: Activation | None = None) -> PackedLinear:
    """Linear layers on the same input as one, outputs side by side."""
    weight, bias = (torch.cat([getattr(linear, name) for linear in linears]) for name in ("weight", "bias"))
    return PackedLinear(weight, bias, dtype, activation=activation)


def _positions(embedding: Any) -> Callable[[Tensor], Tensor]:
    """Positional embedding of one clip, [T, D] -> [T, D]; weight norm is worked out once instead of at every call."""
    for module in embedding.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    if getattr(embedding, "conv", None) is None or getattr(embedding, "batch_norm", None) is not None:
        return lambda x: embedding(x[None])[0]  # data2vec's stack of short convolutions
    return PositionalConvolution(embedding)
