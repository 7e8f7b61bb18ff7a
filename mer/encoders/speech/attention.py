"""Self-attention of one clip, and WavLM's bias to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

QUERIES = 128
"""Queries answered at a time, so that their scores stay in cache even for a clip of 30 s."""


def attend(qkv: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k^T + bias) v for [T, 3, heads, d], queries scaled already -> [T, heads * d]; `bias` is [heads, T, T].

    torch's fused attention reaches 60 GFLOP/s in bfloat16 on a CPU, its plain products three times that.
    """
    if qkv.dtype != torch.bfloat16 or qkv.device.type != "cpu":
        query, key, value = qkv.permute(1, 2, 0, 3)[:, None]  # each [1, H, T, d]
        mask = None if bias is None else bias[None].to(qkv.dtype)
        return functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)[0].transpose(0, 1).flatten(1)
    query, key, value = qkv.permute(1, 2, 0, 3).contiguous()  # each [H, T, d]
    attended = []
    for start in range(0, len(qkv), QUERIES):
        rows = slice(start, start + QUERIES)
        scores = torch.bmm(query[:, rows], key.transpose(1, 2))  # [H, rows, T]
        if bias is not None:
            scores = (scores + bias[:, rows]).to(qkv.dtype)
        attended.append(torch.bmm(scores.softmax(-1), value).transpose(0, 1).flatten(1))
    return torch.cat(attended)


class GatedBias:
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
