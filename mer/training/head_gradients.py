"""Losses of stacked heads and their gradients, written out.

Members with frozen encoders are heads alone, so small that autograd's bookkeeping took as long as their products.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mer.model.voting import head_presence
from mer.training.batches import Batch


def loss_weights(batch: Batch, heads: int) -> Tensor:
    """What each clip's cross-entropy at each head counts for in its member's loss, [S, B, heads].

    A clip's weight is shared by the heads that see something of it, and losses are means over the batch.
    """
    heard = head_presence(batch.present, heads).to(batch.weights)
    share = batch.weights / heard.sum(dim=2).clamp(min=1) / batch.weights.shape[1]
    return heard * share[..., None]


class HeadGradients:
    """Computes what backpropagation through `Heads` would, for all members at once.

    Args:
        stack: parameters of `Heads`, stacked along a leading axis; their `grad` is allocated here and written by calls.
        shift: [S, C], added to each member's logits.
    """

    def __init__(self, stack: Mapping[str, Tensor], shift: Tensor) -> None:
        self.shift = shift[:, None, None]
        self.single = _Classifier(stack, "single")
        self.fused = _Classifier(stack, "fused") if "fused.hidden" in stack else None

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Each member's loss [S]; gradients of their sum are in the stack afterwards."""
        x = torch.stack(batch.features, dim=1)  # [S, M, B, W]
        x *= batch.keep.transpose(1, 2)
        members, modalities, size, width = x.shape
        each = x.flatten(0, 1)  # [S * M, B, W]
        hidden, logits = self.single.forward(each)
        logits = logits.unflatten(0, (members, modalities))
        if self.fused is not None:
            together = x.transpose(1, 2).reshape(members, size, modalities * width)
            hidden_together, fused = self.fused.forward(together)
            logits = torch.cat([logits, fused[:, None]], dim=1)  # [S, heads, B, C]
        log_p = (logits + self.shift).log_softmax(dim=-1)
        targets, weights = batch.targets[:, None], loss_weights(batch, logits.shape[1]).transpose(1, 2)
        losses = -((targets * log_p).sum(dim=-1) * weights).sum(dim=(1, 2))
        slope = (log_p.exp_() - targets).mul_(weights[..., None])  # by the logits; the targets of a clip sum to one
        self.single.backward(each, hidden, slope[:, :modalities].flatten(0, 1))
        if self.fused is not None:
            self.fused.backward(together, hidden_together, slope[:, -1])
        return losses


class _Classifier:
    """`mer.model.mrccl.Classifier` of all members: views of its parameters and of their gradients."""

    def __init__(self, stack: Mapping[str, Tensor], name: str) -> None:
        self.value: dict[str, Tensor] = {}
        self.grad: dict[str, Tensor] = {}
        for key in ("hidden", "hidden_bias", "output", "output_bias"):
            value = stack[f"{name}.{key}"]
            gradient = value.grad = torch.zeros_like(value)
            self.value[key], self.grad[key] = value.detach().flatten(0, 1), gradient.flatten(0, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, B, D] -> the hidden layer [N, B, W] and logits [N, B, C]."""
        hidden = torch.baddbmm(self.value["hidden_bias"], x, self.value["hidden"]).relu_()
        return hidden, torch.baddbmm(self.value["output_bias"], hidden, self.value["output"])

    def backward(self, x: Tensor, hidden: Tensor, slope: Tensor) -> None:
        """Write the gradients, given the loss' slope by the logits, [N, B, C]."""
        torch.bmm(hidden.mT, slope, out=self.grad["output"])
        torch.sum(slope, dim=1, keepdim=True, out=self.grad["output_bias"])
        back = torch.bmm(slope, self.value["output"].mT).mul_(hidden.sign())  # [N, B, W]
        torch.bmm(x.mT, back, out=self.grad["hidden"])
        torch.sum(back, dim=1, keepdim=True, out=self.grad["hidden_bias"])
