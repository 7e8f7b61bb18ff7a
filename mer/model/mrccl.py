"""MR-CCL (Fan et al., MRAC 2024): modality encoders, a shared invariant encoder, a classifier each and a fused one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    def hat(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_m] a modality -> F-hat [M, B, W]."""
        return torch.stack([encoder(x) for encoder, x in zip(self.modality, features, strict=True)])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """[B, D_m] a modality -> H [M, B, W]."""
        return self.invariant(self.hat(features))


class Heads(nn.Module):
    """A classifier on H of each modality and, where there are several, one on their concatenation."""

    def __init__(self, modalities: Sequence[str], classes: int, width: int) -> None:
        super().__init__()
        self.single = nn.ModuleList(Classifier(width, width, classes) for _ in modalities)
        self.fused = Classifier(len(modalities) * width, width, classes) if len(modalities) > 1 else None

    def forward(self, h: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of every head.

        Args:
            h: [B, W] a modality.
            present: bool [B, M]; what is absent is zero to the fused head.
            keep: [B, M, W], dropout's factors on H; None in evaluation.

        Returns:
            [B, heads, C] in the order of `head_names`.
        """
        h = [masked(x, present[:, m]) for m, x in enumerate(h)]
        if keep is not None:
            h = [x * keep[:, m] for m, x in enumerate(h)]
        logits = [classify(x) for classify, x in zip(self.single, h, strict=True)]
        if self.fused is not None:
            logits.append(self.fused(torch.cat(h, dim=-1)))
        return torch.stack(logits, dim=1)


class MRCCL(nn.Module):
    """Encoders and heads in one, for training both."""

    def __init__(self, encoders: Encoders, heads: Heads) -> None:
        super().__init__()
        self.encoders = encoders
        self.heads = heads

    def forward(self, features: Sequence[Tensor], present: Tensor, keep: Tensor | None = None) -> Tensor:
        """As `Heads`, from standardised features: [B, D_m] a modality."""
        return self.heads(list(self.encoders(features)), present, keep)


class Classifier(nn.Module):
    """A small MLP that starts at zero logits."""

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.output = nn.Linear(width, classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> logits [B, C]."""
        return self.output(nn.functional.gelu(self.hidden(x)))


def head_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the heads: one a modality, and `fused` where there are several."""
    return (*modalities, "fused") if len(modalities) > 1 else tuple(modalities)
