"""Weighted soft voting: experts vote with probabilities, not logits."""

from __future__ import annotations

import torch
from torch import Tensor

PUBLISHED = {"audio": 0.7, "face": 0.4, "text": 0.3, "fused": 0.7}
"""Weights of MR-CCL's four classifiers."""


def vote(probabilities: Tensor, weights: Tensor, present: Tensor) -> Tensor:
    """Weighted mean of the experts' probabilities.

    Args:
        probabilities: [..., B, E, C].
        weights: [E], not negative.
        present: bool [B, E]; an expert that sees nothing of a clip has no vote on it. Where none sees anything, or all
            that do weigh nothing, all count the same, as nothing else is known.

    Returns:
        Probabilities [..., B, C].
    """
    seeing = present | ~present.any(dim=-1, keepdim=True)
    weight = weights * seeing  # [B, E]
    total = weight.sum(dim=-1, keepdim=True)
    weight = torch.where(total > 0, weight / total.clamp(min=1e-12), seeing / seeing.sum(dim=-1, keepdim=True))
    return (probabilities * weight[..., None]).sum(dim=-2)
