"""A learned weighting of an encoder's blocks (SUPERB, Yang et al., Interspeech 2021): softmax weights, a sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RATE = 30.0
"""How many times as fast as other parameters the weights' logits move: with a few hundred steps they would else stay
where they start, all blocks alike."""


class BlockWeights(nn.Module):
    """Vectors of L blocks, side by side, to one: their sum with weights that are positive and sum to one.

    Written on trailing axes, as `Heads`: parameters stacked along a leading axis give every member's sum in one pass.

    >>> BlockWeights(2)(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    tensor([[2., 3.]], grad_fn=<SumBackward1>)
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, blocks))

    @property
    def shares(self) -> Tensor:
        """The weights, [..., 1, L]."""
        return (RATE * self.logits).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """[..., B, L * D] -> [..., B, D]."""
        return (x.unflatten(-1, (self.logits.shape[-1], -1)) * self.shares[..., None]).sum(dim=-2)
