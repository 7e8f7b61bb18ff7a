"""SupCon over any number of views, with the clip itself as the class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mer.model.nt_xent import ABSENT


def sup_con(views: Tensor, log_temperature: Tensor, present: Tensor) -> Tensor:
    """SupCon (Khosla et al. 2020, eq. 2): all views of a clip are each other's positives; no label is used.

    Args:
        views: [V, B, D], normalised here.
        log_temperature: scalar; logits are cosines / exp(log_temperature).
        present: bool [V, B]; an absent view is neither anchor nor candidate.

    Returns:
        Scalar, the mean over the present vectors that have a positive; zero where fewer than two clips have one.
    """
    number, count, width = views.shape
    z = F.normalize(views.reshape(number * count, width), dim=-1)  # [VB, D]
    logits = z @ z.T / log_temperature.exp()  # [VB, VB]
    valid = present.reshape(-1)
    itself = torch.eye(number * count, dtype=torch.bool, device=views.device)
    log_share = logits.masked_fill(itself | ~valid, ABSENT).log_softmax(dim=-1)
    clip = torch.arange(count, device=views.device).repeat(number)
    positive = (clip[:, None] == clip) & ~itself & valid & valid[:, None]  # [VB, VB]
    positives = positive.sum(dim=-1)  # [VB]
    anchors = positives > 0
    loss = -(log_share * positive).sum(dim=-1) / positives.clamp(min=1)
    clips = (present.sum(dim=0) > 1).sum()
    return (loss * anchors).sum() / anchors.sum().clamp(min=1) * (clips > 1)
