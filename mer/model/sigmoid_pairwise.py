"""SigLIP's pairwise sigmoid loss between two views of the same clips."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def sigmoid_pairwise(
    a: Tensor, b: Tensor, log_temperature: Tensor, bias: Tensor, present: Tensor | None = None
) -> Tensor:
    """Sigmoid loss (Zhai et al. 2023, algorithm 1): whether two vectors are one clip is a question of its own per pair.

    Args:
        a, b: [B, D], row i of both is clip i; normalised here.
        log_temperature, bias: scalars; the logit of a pair is cosine / exp(log_temperature) + bias.
        present: bool [B], clips in which both views exist.

    Returns:
        Scalar: the sum over present pairs divided by the number of present clips; zero where fewer than two are.
    """
    count = len(a)
    logits = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / log_temperature.exp() + bias  # [B, B]
    sign = 2 * torch.eye(count, device=a.device) - 1
    valid = a.new_ones(count, dtype=torch.bool) if present is None else present
    loss = F.logsigmoid(sign * logits) * (valid & valid[:, None])
    return -loss.sum() / valid.sum().clamp(min=1) * (valid.sum() > 1)
