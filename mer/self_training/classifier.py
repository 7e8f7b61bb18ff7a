"""Makes the untrained member that `model.kind` names, and names its heads."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import nn

from mer.model.baselines import Attention, CrossModal, LowRankFusion, TensorFusion
from mer.model.mrccl import MRCCL, Direct, Encoders, Heads, head_names
from mer.params import ModelParams


def make_classifier(
    model: ModelParams, widths: Mapping[str, int], classes: int, encoders: Encoders | None, *, direct: bool
) -> nn.Module:
    """A member; the caller seeds torch.

    Args:
        model: `kind` and sizes.
        widths: modality -> columns of its standardised features.
        classes: C.
        encoders: to start from, copied; None where the inputs are encoded already.
        direct: whether there is a linear layer beside these encoders.

    Returns:
        A module that takes ([B, D_m] a modality, present bool [B, M], keep [B, M, W] or None) to [B, heads, C].
    """
    if model.kind == "attention":
        return Attention(widths, classes, model.width)
    if model.kind == "tfn":
        return TensorFusion(widths, classes, model.width)
    if model.kind == "lmf":
        return LowRankFusion(widths, classes, model.width)
    if model.kind == "mult":
        return CrossModal(widths, classes, model.width)
    heads = Heads(tuple(widths), classes, model.width)
    if encoders is None:
        return heads
    own = copy.deepcopy(encoders).requires_grad_(True)
    return MRCCL(own, heads, Direct(tuple(widths.values()), classes) if direct else None)


def heads_of(kind: str, modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of a member's heads, in the order of its logits; none where there are only linear experts."""
    if kind == "logistic":
        return ()
    return head_names(modalities) if kind == "mrccl" else ("fused",)
