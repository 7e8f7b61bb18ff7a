"""MR-CCL (Fan et al., MRAC 2024): modality encoders, a shared invariant encoder, a classifier each and a fused one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mer.model.encoder import InvariantEncoder, ModalityEncoder, masked


class Encoders(nn.Module):
    """F to F-hat (modality encoders) and F-hat to H (the shared invariant encoder): what pretraining trains."""

    def __init__(self, widths: Mapping[str, int], width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        self.modality = nn.ModuleList(ModalityEncoder(features, width, blocks, heads) for features in widths.values())
        self.invariant = InvariantEncoder(width)

    def hat(self, features: list[Tensor]) -> Tensor:
        """[B, D_m] a modality -> F-hat [M, B, W]."""
        return torch.stack([encoder(x) for encoder, x in zip(self.modality, features, strict=True)])

    def forward(self, features: list[Tensor]) -> Tensor:
        """[B, D_m] a modality -> H [M, B, W]."""
        return self.invariant(self.hat(features))


class MRCCL(nn.Module):
    """Classifiers on H of each modality and on their concatenation.

    With `skip`, each classifier also sees the standardised features through a linear path of its own, so that the
    model holds logistic regression as a special case. All classifiers start at zero logits.
    """

    def __init__(self, encoders: Encoders, widths: Mapping[str, int], classes: int, width: int, skip: bool) -> None:
        super().__init__()
        self.encoders = encoders
        self.heads = head_names(widths)
        parts = [*([m] for m in widths), *([list(widths)] if len(widths) > 1 else [])]
        self.classify = nn.ModuleList(Classifier(len(part) * width, width, classes) for part in parts)
        self.skip = nn.ModuleList(_zero_linear(sum(widths[m] for m in part), classes) for part in parts if skip)

    def forward(self, features: list[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of every head.

        Args:
            features: [B, D_m] a modality, standardised, zero where absent.
            present: bool [B, M].
            keep: [B, M, W], dropout's factors on H; None in evaluation.

        Returns:
            [B, heads, C] in the order of `head_names`.
        """
        h = [masked(x, present[:, m]) for m, x in enumerate(self.encoders(features))]  # M of [B, W]
        if keep is not None:
            h = [x * keep[:, m] for m, x in enumerate(h)]
        inputs, raw = list(h), list(features)
        if len(h) > 1:
            inputs.append(torch.cat(h, dim=-1))
            raw.append(torch.cat(features, dim=-1))
        logits = [classify(x) for classify, x in zip(self.classify, inputs, strict=True)]
        if len(self.skip):
            logits = [y + path(x) for y, path, x in zip(logits, self.skip, raw, strict=True)]
        return torch.stack(logits, dim=1)


class Classifier(nn.Module):
    """A small MLP whose last layer starts at zero."""

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.output = _zero_linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> logits [B, C]."""
        return self.output(nn.functional.gelu(self.hidden(x)))


def head_names(modalities: Mapping[str, int] | tuple[str, ...]) -> tuple[str, ...]:
    """The classifiers of MR-CCL: one a modality, and `fused` where there are several."""
    names = tuple(modalities)
    return (*names, "fused") if len(names) > 1 else names


def _zero_linear(features: int, classes: int) -> nn.Linear:
    linear = nn.Linear(features, classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
