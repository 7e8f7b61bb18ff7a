"""Makes the untrained member that a family's name calls for, and names its heads."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import nn

from mer.model.baselines import Attention, CrossModal, LowRankFusion, TensorFusion
from mer.model.mrccl import MRCCL, Direct, Encoders, Heads, LinearHeads, head_names
from mer.params import Params


def make_classifier(
    family: str, params: Params, widths: Mapping[str, int], classes: int, encoders: Encoders | None
) -> nn.Module:
    """A member; the caller seeds torch.

    Args:
        family: `linear`, `mrccl...`, or a baseline of `model.kind`.
        params: `model.width` and `self_train.direct` are read.
        widths: modality -> columns of its standardised features.
        classes: C.
        encoders: for `mrccl`: to start from, copied; None where the inputs are encoded already.

    Returns:
        A module that takes ([B, D_m] a modality, present bool [B, M], keep [B, M, W] or None) to [B, heads, C].
    """
    width = params.model.width
    if family == "linear":
        return LinearHeads(tuple(widths.values()), classes)
    if family == "attention":
        return Attention(widths, classes, width)
    if family == "tfn":
        return TensorFusion(widths, classes, width)
    if family == "lmf":
        return LowRankFusion(widths, classes, width)
    if family == "mult":
        return CrossModal(widths, classes, width)
    heads = Heads(tuple(widths), classes, width)
    if encoders is None:
        return heads
    direct = Direct(tuple(widths.values()), classes) if params.self_train.direct else None
    return MRCCL(copy.deepcopy(encoders).requires_grad_(True), heads, direct)


def heads_of(kind: str, modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the heads of a `model.kind`'s members, in the order of their logits."""
    return head_names(modalities) if kind == "mrccl" else ("fused",)
