"""MR-CCL (Fan et al., MRAC 2024): modality encoders, a shared invariant encoder, a classifier each and a fused one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mer.model.encoder import InvariantEncoder, ModalityEncoder


class Encoders(nn.Module):
    """F to F-hat (modality encoders) and F-hat to H (the shared invariant encoder): what pretraining trains."""

    def __init__(self, widths: Mapping[str, int], width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        self.modality = nn.ModuleList(ModalityEncoder(features, width, blocks, heads) for features in widths.values())
        self.invariant = InvariantEncoder(width)

    def hat(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_m] a modality -> F-hat [M, B, W]."""
        return torch.stack([encoder(x) for encoder, x in zip(self.modality, features, strict=True)])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_m] a modality -> H [M, B, W]."""
        return self.invariant(self.hat(features))


class Heads(nn.Module):
    """A classifier on H of each modality and, where there are several, one on their concatenation.

    Written on trailing axes: parameters stacked along a leading axis give every member's logits in one pass.
    """

    def __init__(self, modalities: Sequence[str], classes: int, width: int) -> None:
        super().__init__()
        self.single = Classifier(len(modalities), width, width, classes)
        self.fused = Classifier(1, len(modalities) * width, width, classes) if len(modalities) > 1 else None

    def forward(self, h: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of every head.

        Args:
            h: [..., B, W] a modality, zero where absent.
            present: bool [..., B, M]; not needed, as absence shows in `h`.
            keep: [..., B, M, W], dropout's factors on H; None in evaluation.

        Returns:
            [..., B, heads, C] in the order of `head_names`.
        """
        x = torch.stack(list(h), dim=-3)  # [..., M, B, W]
        if keep is not None:
            x = x * keep.transpose(-3, -2)
        logits = self.single(x)  # [..., M, B, C]
        if self.fused is not None:
            together = x.transpose(-3, -2).flatten(-2).unsqueeze(-3)  # [..., 1, B, M * W]
            logits = torch.cat([logits, self.fused(together)], dim=-3)
        return logits.transpose(-3, -2)


class LinearHeads(nn.Module):
    """A linear classifier on the features of each modality and, where there are several, one on all of them.

    Written on trailing axes, as `Heads`. Weights start at zero, as those of a regression.
    """

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        shapes = [*widths, sum(widths)] if len(widths) > 1 else list(widths)
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(width, classes)) for width in shapes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1, classes)) for _ in shapes)

    def forward(self, features: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """[..., B, D_m] a modality, zero where absent -> [..., B, heads, C]; `present` and `keep` are not needed."""
        seen = [*features, torch.cat(list(features), dim=-1)] if len(features) > 1 else list(features)
        heads = [x @ weight + bias for x, weight, bias in zip(seen, self.weights, self.biases, strict=True)]
        return torch.stack(heads, dim=-2)


class Direct(nn.Module):
    """A linear way past the encoders, from features to logits, that starts at zero: the wide part of wide and deep
    learning (Cheng et al. 2016). With few labels its few weights learn what the encoders' many cannot."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.heads = 2 if len(widths) > 1 else 1  # a modality's own and the fused one
        layers = [nn.Linear(width, self.heads * classes, bias=False) for width in widths]
        for layer in layers:
            nn.init.zeros_(layer.weight)
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_m] a modality, zero where absent -> [B, heads, C] in the order of `head_names`."""
        logits = torch.stack([layer(x) for layer, x in zip(self.layers, features, strict=True)], dim=1)
        if self.heads == 1:
            return logits
        single, fused = logits.chunk(2, dim=-1)  # [B, M, C] each
        return torch.cat([single, fused.sum(dim=1, keepdim=True)], dim=1)


class MRCCL(nn.Module):
    """Encoders and heads in one, for training both."""

    def __init__(self, encoders: Encoders, heads: Heads, direct: Direct | None = None) -> None:
        super().__init__()
        self.encoders = encoders
        self.heads = heads
        self.direct = direct

    def forward(self, features: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """As `Heads`, from standardised features: [B, D_m] a modality, zero where absent, and present bool [B, M]."""
        h = self.encoders(features) * present.T[..., None]  # [M, B, W]
        logits = self.heads(list(h), present, keep)
        return logits if self.direct is None else logits + self.direct(features)


class Classifier(nn.Module):
    """Small MLPs side by side, one an input, that start at zero logits."""

    def __init__(self, inputs: int, features: int, width: int, classes: int) -> None:
        super().__init__()
        bound = features**-0.5  # as nn.Linear
        self.hidden = nn.Parameter(torch.empty(inputs, features, width).uniform_(-bound, bound))
        self.hidden_bias = nn.Parameter(torch.empty(inputs, 1, width).uniform_(-bound, bound))
        self.output = nn.Parameter(torch.zeros(inputs, width, classes))
        self.output_bias = nn.Parameter(torch.zeros(inputs, 1, classes))

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs, B, D] -> logits [..., inputs, B, C]."""
        hidden = torch.relu(x @ self.hidden + self.hidden_bias)
        return hidden @ self.output + self.output_bias


def head_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the heads: one a modality, and `fused` where there are several."""
    return (*modalities, "fused") if len(modalities) > 1 else tuple(modalities)
