"""Shortcuts through CLIP's vision tower that change nothing of its image embedding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection
from transformers.activations import QuickGELUActivation

QUICK = 1.702
"""Of QuickGELU, x * sigmoid(1.702 x)."""


def shorten(model: CLIPVisionModelWithProjection) -> None:
    """Replace, in place, what costs more than the image embedding needs."""
    layers = model.vision_model.encoder.layers
    for layer in layers:
        if isinstance(layer.mlp.activation_fn, QuickGELUActivation):
            _quick_to_silu(layer.mlp)
    layers[-1] = _ClassToken(layers[-1])


@torch.no_grad()
def _quick_to_silu(mlp: Any) -> None:
    """With y = 1.702 x, QuickGELU(x) is SiLU(y) / 1.702, one pass instead of three; weights take the factors."""
    mlp.fc1.weight.mul_(QUICK)
    mlp.fc1.bias.mul_(QUICK)
    mlp.fc2.weight.div_(QUICK)
    mlp.activation_fn = nn.SiLU(inplace=True)


class _ClassToken(nn.Module):
    """The last block for the class token alone, [n, T, D] -> [n, 1, D]: the embedding is made of no other."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._layer = layer

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        layer, attention = self._layer, self._layer.self_attn
        normed = layer.layer_norm1(x)
        query, key, value = (
            projection(tokens).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # [n, H, 1 or T, D / H]
            for projection, tokens in (
                (attention.q_proj, normed[:, :1]),
                (attention.k_proj, normed),
                (attention.v_proj, normed),
            )
        )
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x[:, :1] + attention.out_proj(attended)
        return x + layer.mlp(layer.layer_norm2(x))
