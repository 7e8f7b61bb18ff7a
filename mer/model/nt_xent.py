"""NT-Xent: the contrast between two views of the same clips."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

ABSENT = -1e9
"""Logit of a pair that does not count; finite, so that gradients stay finite."""


def nt_xent(a: Tensor, b: Tensor, log_temperature: Tensor, present: Tensor | None = None) -> Tensor:
    """Symmetric NT-Xent (Chen et al. 2020, eq. 1): each of the 2B vectors finds its partner among the 2B - 1 others.

    A vector is never its own candidate; the published MR-CCL code scores it as its own positive.

    Args:
        a, b: [B, D], row i of both is clip i; normalised here.
        log_temperature: scalar; logits are cosines / exp(log_temperature).
        present: bool [B], clips in which both views exist; the others are neither anchors nor candidates.

    Returns:
        Scalar, the mean over the present vectors of both views; zero where fewer than two clips are present.
    """
    count = len(a)
    z = F.normalize(torch.cat([a, b]), dim=-1)  # [2B, D]
    logits = z @ z.T / log_temperature.exp()  # [2B, 2B]
    valid = a.new_ones(2 * count, dtype=torch.bool) if present is None else present.repeat(2)
    itself = torch.eye(2 * count, dtype=torch.bool, device=a.device)
    logits = logits.masked_fill(itself | ~valid, ABSENT)
    partner = torch.arange(2 * count, device=a.device).roll(count)
    loss = F.cross_entropy(logits, partner, reduction="none") * valid  # [2B]
    return loss.sum() / valid.sum().clamp(min=1) * (valid.sum() > 2)
