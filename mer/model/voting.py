"""Weighted soft voting: classifiers vote with probabilities, not logits."""

from __future__ import annotations

import torch
from torch import Tensor

PUBLISHED = {"audio": 0.7, "face": 0.4, "text": 0.3, "fused": 0.7}
"""Weights of MR-CCL's four classifiers."""


def vote(logits: Tensor, temperature: Tensor, weights: Tensor, present: Tensor) -> Tensor:
    """Weighted mean of the heads' calibrated probabilities.

    Args:
        logits: [..., B, heads, C].
        temperature: [..., heads]; logits are divided by it.
        weights: [..., heads], not negative.
        present: bool [B, heads]; an absent head has no vote. Where none is present all vote, as nothing else is known.

    Returns:
        Probabilities [..., B, C].
    """
    probability = (logits / temperature[..., None, :, None]).softmax(dim=-1)  # [..., B, heads, C]
    heard = torch.where(present.any(dim=-1, keepdim=True), present, torch.ones_like(present))
    weight = weights[..., None, :] * heard  # [..., B, heads]
    total = weight.sum(dim=-1, keepdim=True)
    weight = torch.where(total > 0, weight / total.clamp(min=1e-12), heard / heard.sum(dim=-1, keepdim=True))
    return (probability * weight[..., None]).sum(dim=-2)


def head_presence(present: Tensor, heads: int) -> Tensor:
    """Which heads have something to go by: bool [B, M] of modalities -> bool [B, heads].

    The last head sees all modalities and needs any one; the heads before it, if any, see one each.
    """
    return torch.cat([present[..., : heads - 1], present.any(dim=-1, keepdim=True)], dim=-1)
