"""transformers' models on a CPU, their linear layers replaced by packed ones (`mer.encoders.linear`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer.encoders.linear import Activation, PackedLinear

FEED_FORWARD = {"fc1": "activation_fn", "dense": "intermediate_act_fn"}
"""transformers' names of the layer that widens a block's feed-forward, and of the activation that follows it."""


def pack_linear_layers(model: nn.Module) -> None:
    """Replace, in place, every linear layer whose weights are on a CPU; what the model computes stays the same.

    Layers are replaced one by one, so memory never holds the model twice.
    """
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear and layer.weight.device.type == "cpu":
                setattr(module, name, _Packed(layer, _take_activation(module, name)))


def _take_activation(module: nn.Module, layer: str) -> Activation | None:
    """The activation that follows `layer` in a feed-forward, to be computed with it; the module is left without."""
    name = FEED_FORWARD.get(layer)
    activation = getattr(module, name, None) if name else None
    if name and activation is not None:
        setattr(module, name, nn.Identity())
    return activation


class _Packed(nn.Module):
    """A packed linear layer on inputs of any rank, [..., in] -> [..., out]."""

    def __init__(self, layer: nn.Linear, activation: Activation | None) -> None:
        super().__init__()
        weight = layer.weight.detach()
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
        self._linear = PackedLinear(weight, bias, weight.dtype, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(self._linear(x.flatten(0, -2)), 0, x.shape[:-1])
