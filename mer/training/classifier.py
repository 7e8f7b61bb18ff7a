"""Makes the untrained classifier that `model.kind` names."""

from __future__ import annotations

import copy

from torch import nn

from mer.model.mrccl import MRCCL, head_names
from mer.model.voting import PUBLISHED
from mer.params import ModelParams
from mer.training.pretrain import Pretrained


def make_classifier(pretrained: Pretrained, classes: int) -> nn.Module:
    """A classifier that starts from the pretrained encoders; the caller seeds torch.

    Its forward takes ([B, D_m] a modality, present bool [B, M], keep [B, M, W] or None) and gives [B, heads, C].
    """
    model, widths = pretrained.model, pretrained.widths
    return MRCCL(copy.deepcopy(pretrained.encoders), widths, classes, model.width, model.skip)


def heads_of(model: ModelParams, modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the classifier's heads."""
    return head_names(modalities)


def published_weights(heads: tuple[str, ...]) -> list[float]:
    """The published voting weight of each head."""
    return [PUBLISHED[head] for head in heads]
