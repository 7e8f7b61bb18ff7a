"""Makes the untrained member that a family's name calls for, and names its heads."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import nn

from mer.model.baselines import Attention, CrossModal, LowRankFusion, SideBySide, TensorFusion
from mer.model.mrccl import MRCCL, Direct, Encoders, Heads, LinearHeads
from mer.model.views import Parts, Views
from mer.params import Params

BASELINES: dict[str, Callable[..., nn.Module]] = {
    "attention": Attention,
    "tfn": TensorFusion,
    "lmf": LowRankFusion,
    "mult": CrossModal,
}
"""By `model.kind`."""


def make_classifier(family: str, params: Params, views: Views, classes: int, encoders: Encoders | None) -> nn.Module:
    """A member; the caller seeds torch.

    Args:
        family: `linear`, `mrccl...`, or a baseline of `model.kind`.
        params: `model.width` and `self_train.direct` are read.
        views: those of the clips, with the columns of their standardised features.
        classes: C.
        encoders: for `mrccl`: to start from, copied; None where the inputs are encoded already.

    Returns:
        A module that takes ([B, D] an input, present bool [B, inputs], keep [B, M, W] or None) to [B, heads, C]. Its
        `sees` says which inputs each head looks at; inputs are views, or modalities where they are encoded already.
    """
    width = params.model.width
    if family == "linear":
        return LinearHeads(views, classes)
    if family in BASELINES:
        return SideBySide(views, lambda widths: BASELINES[family](widths, classes, width))
    heads = Heads(views.modalities, classes, width)
    if encoders is None:
        return heads
    direct = Direct(views, classes) if params.self_train.direct else None
    return MRCCL(copy.deepcopy(encoders).requires_grad_(True), heads, direct)


def heads_of(family: str, views: Views) -> Parts:
    """Names of the heads of a family's members, in the order of their logits, and the places of the views they see."""
    if family in BASELINES:
        return {"fused": views.all}
    return views.linear_parts if family == "linear" else views.modality_parts
