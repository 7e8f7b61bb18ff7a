"""Batches of many members at once, each member's drawn from its own generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.params import Params
from mer.training.frontend import Inputs
from mer.training.sampling import batch_order, repeats

DROPOUT_STEPS = 16
"""Steps for which dropout is drawn at once; part of what a seed means."""


@dataclass(frozen=True)
class TrainingSet:
    """What one member learns: `rows` of the inputs and their `labels`, int64 [n]; `weights` in the loss, float32 [n];
    `pseudo`, bool [n], where the label is a pseudo-label. `seed` decides everything random about the member."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    pseudo: NDArray[np.bool_]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """One step of S members: `features` [S, B, D_m] a modality, `present` [S, B, M], `targets` [S, B, C], `weights`
    [S, B], and `keep` [S, B, M, W], dropout's factors."""

    features: list[Tensor]
    present: Tensor
    targets: Tensor
    weights: Tensor
    keep: Tensor


class Batches:
    """The batches of `sets`, a step at a time.

    With `self_train.modality_dropout` a present modality is hidden now and then, never a clip's last one. With
    `self_train.mixup` each clip is mixed with the next one of its batch (Zhang et al. 2018); a modality that either
    lacks is absent in the mixture.
    """

    def __init__(self, sets: Sequence[TrainingSet], inputs: Inputs, classes: int, params: Params) -> None:
        self.inputs, self.settings, self.dropout = inputs, params.self_train, params.model.dropout
        self.shape = (self.settings.batch_size, inputs.present.shape[1], params.model.width)
        self.generators = [np.random.default_rng(part.seed) for part in sets]
        rows, targets, weights = [], [], []
        for part, generator in zip(sets, self.generators, strict=True):
            times = repeats(part.labels, part.pseudo, self.settings.oversampling, self.settings.pseudo_share)
            order = batch_order(times, self.settings.steps * self.settings.batch_size, generator)
            rows.append(part.rows[order])
            targets.append(part.labels[order])
            weights.append(part.weights[order])
        shape, device = (len(sets), self.settings.steps, -1), inputs.present.device
        self.rows = torch.from_numpy(np.stack(rows)).reshape(shape).to(device)
        self.targets = torch.eye(classes, device=device)[torch.from_numpy(np.stack(targets)).reshape(shape)]
        self.weights = torch.from_numpy(np.stack(weights)).reshape(shape).to(device)

    def __call__(self, step: int) -> Batch:
        """The batch of one step; steps are asked for in order."""
        taken = self.inputs.take(self.rows[:, step])
        features, present = taken.features, taken.present
        if self.settings.modality_dropout:
            present = self._hide_modalities(present)
            features = [x * present[..., m, None] for m, x in enumerate(features)]
        targets, weights = self.targets[:, step], self.weights[:, step]
        if self.settings.mixup:
            own = self._draw(lambda generator: generator.beta(self.settings.mixup, self.settings.mixup, self.shape[0]))
            present = present & present.roll(1, dims=1)
            features = [_mix(x, own[..., None]) * present[..., m, None] for m, x in enumerate(features)]
            targets, weights = _mix(targets, own[..., None]), _mix(weights, own)
        if step % DROPOUT_STEPS == 0:
            shape = (DROPOUT_STEPS, *self.shape)
            draw = self._draw(lambda generator: generator.random(shape, dtype=np.float32))
            self.keep = draw.ge_(self.dropout).div_(1 - self.dropout).transpose(0, 1)  # [steps, S, B, M, W]
        return Batch(features, present, targets, weights, self.keep[step % DROPOUT_STEPS])

    def _draw(self, of: Callable[[np.random.Generator], NDArray[np.floating]]) -> Tensor:
        drawn = np.stack([of(generator) for generator in self.generators])
        return torch.from_numpy(drawn.astype(np.float32, copy=False)).to(self.inputs.present.device)

    def _hide_modalities(self, present: Tensor) -> Tensor:
        score = self._draw(lambda generator: generator.random(self.shape[:2], dtype=np.float32))  # [S, B, M]
        kept = present & (score >= self.settings.modality_dropout)
        highest = score.masked_fill(~present, -1).argmax(dim=-1, keepdim=True)
        return kept | (torch.zeros_like(present).scatter(-1, highest, value=True) & present)


def _mix(x: Tensor, own: Tensor) -> Tensor:
    return own * x + (1 - own) * x.roll(1, dims=1)
