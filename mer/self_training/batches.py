"""Batches of many members at once: labeled clips, and unlabeled clips with targets, their inputs noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.inputs import Inputs
from mer.learning.seeds import stream, stream_seed
from mer.model.noise import alpha_bar, noise_parts
from mer.model.views import Views, hide_views
from mer.params import Params, SelfTrainParams
from mer.self_training.sampling import batch_order, repeats, unlabeled_slots


@dataclass(frozen=True)
class Targets:
    """What unlabeled clips are to be taken for: `rows` int64 [m] of the inputs, `probabilities` float32 [m, C] and
    `weights` in the loss, float32 [m]. Where they are `hard`, classes are oversampled as those of labels are."""

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]
    hard: bool


@dataclass(frozen=True)
class LearningSet:
    """What one member learns: `rows` int64 [n] and `labels` int64 [n], and the `targets` of unlabeled clips, if any.

    `source` says which of the inputs it sees. `name` decides its initial weights and its order of clips; `seed` its
    dropout and noise, which members of other chains share: what tells them apart is their labels then, not luck.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    targets: Targets | None
    source: int
    name: tuple[str | int, ...]
    seed: int


@dataclass(frozen=True)
class Batch:
    """One step of S members: `features` [S, B, D] an input (a view, or a modality that is encoded already), `present`
    [S, B, inputs], `targets` [S, B, C], `weights` [S, B], and `keep` [S, B, M, W], dropout's factors on encodings, or
    None."""

    features: list[Tensor]
    present: Tensor
    targets: Tensor
    weights: Tensor
    keep: Tensor | None


class Batches:
    """The batches of `sets`, a step at a time.

    Args:
        sets: a member each.
        sources: the inputs of all clips, in each way that a member may see them.
        classes: C.
        params: `self_train`, `model`, and the noise of `pretrain` are read.
        views: what the inputs are; None where they are modalities, encoded already.
        on_features: dropout hides features, not what encoders make of them.
    """

    def __init__(
        self,
        sets: Sequence[LearningSet],
        sources: Sequence[Inputs],
        classes: int,
        params: Params,
        views: Views | None = None,
        *,
        on_features: bool = False,
    ) -> None:
        self.settings, self.model, self.sources = params.self_train, params.model, sources
        self.views = views if params.model.view_dropout else None
        self.encodings = sources[0].present.shape[1] if views is None else len(views.modalities)
        self.on_features = on_features
        self.device = sources[0].present.device
        drawn = [_draw(one, classes, self.settings) for one in sets]
        rows, targets, weights, noisy = zip(*drawn, strict=True)
        self.rows, self.targets, self.weights = (
            torch.from_numpy(np.stack(part, axis=1)).to(self.device) for part in (rows, targets, weights)
        )  # [steps, S, B], [steps, S, B, C], [steps, S, B]
        self.noisy = torch.from_numpy(np.stack(noisy)).to(self.device)  # [S, B]
        self.of_source = [
            torch.tensor([i for i, one in enumerate(sets) if one.source == number], dtype=torch.int64)
            for number in range(len(sources))
        ]
        seeds = sorted({one.seed for one in sets})
        self.seed_of = torch.tensor([seeds.index(one.seed) for one in sets])
        seed = self.settings.seed
        self.generators = [torch.Generator().manual_seed(stream_seed(seed, "dropout", one)) for one in seeds]
        self.noise_generators = [torch.Generator().manual_seed(stream_seed(seed, "noise", one)) for one in seeds]
        self.view_generators = [torch.Generator().manual_seed(stream_seed(seed, "hidden views", one)) for one in seeds]
        self.kind = params.pretrain.noise
        alpha = alpha_bar(
            params.pretrain.schedule,
            params.pretrain.noise_steps,
            params.pretrain.beta_start,
            params.pretrain.beta_end,
        )
        self.alpha = alpha[: max(1, int((alpha >= self.settings.least_signal).sum()))]  # it falls

    def __call__(self, step: int) -> Batch:
        """The batch of one step; steps are asked for in order."""
        features, present = self._gather(self.rows[step])
        if self.views is not None:
            present = self._with_hidden(present)
            features = [x * present[..., v, None] for v, x in enumerate(features)]
        if self.settings.noisy and self.noisy.any():
            features = [self._with_noise(x) * present[..., m, None] for m, x in enumerate(features)]
        if self.on_features:
            keep = None
            features = [x * self._kept(x.shape[1:]) for x in features]
        else:
            keep = self._kept((present.shape[1], self.encodings, self.model.width))
        return Batch(features, present, self.targets[step], self.weights[step], keep)

    def _with_hidden(self, present: Tensor) -> Tensor:
        """View dropout on [S, B, V]: members of one seed draw the same, whatever their clips have."""
        assert self.views is not None
        share, views = self.model.view_dropout, self.views
        drawn = [torch.rand(present.shape[1:], generator=generator) >= share for generator in self.view_generators]
        return hide_views(present, views, self._of_seed(drawn))

    def _kept(self, shape: Sequence[int]) -> Tensor:
        """Dropout's factors [S, *shape], zero or 1 / (1 - dropout)."""
        drawn = [torch.rand(tuple(shape), generator=generator) for generator in self.generators]
        return self._of_seed([one.ge_(self.model.dropout).div_(1 - self.model.dropout) for one in drawn])

    def _of_seed(self, drawn: Sequence[Tensor]) -> Tensor:
        """What was drawn for each seed, for each member: [S, ...]; no copy where there is one seed."""
        if len(drawn) == 1:
            return drawn[0].to(self.device).expand(len(self.seed_of), *drawn[0].shape)
        return torch.stack(list(drawn))[self.seed_of].to(self.device)

    def _gather(self, rows: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features [S, B, D_m] and presence [S, B, M] of rows [S, B], each member's from its source."""
        if len(self.sources) == 1:
            taken = self.sources[0].take(rows)
            return taken.features, taken.present
        parts = [view.take(rows[own]) for view, own in zip(self.sources, self.of_source, strict=True)]
        order = torch.cat(self.of_source).argsort()
        features = [torch.cat(modality)[order] for modality in zip(*(part.features for part in parts), strict=True)]
        return features, torch.cat([part.present for part in parts])[order]

    def _with_noise(self, x: Tensor) -> Tensor:
        """[S, B, D] with noisy copies in the unlabeled places; members of one seed share the noise, not the clips."""
        shape = (x.shape[1], x.shape[2])
        drawn = [noise_parts(shape, self.alpha, self.kind, generator) for generator in self.noise_generators]
        kept, noise = (self._of_seed(part) for part in zip(*drawn, strict=True))
        return torch.where(self.noisy[..., None], torch.addcmul(noise, kept, x), x)  # [S, B, 1] * [S, B, D] + [S, B, D]


def _draw(
    one: LearningSet, classes: int, settings: SelfTrainParams
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Rows [steps, B], targets [steps, B, C] and weights [steps, B] of a member's batches, and which places [B] are
    those of unlabeled clips."""
    rng, eye = stream(settings.seed, "order", *one.name), np.eye(classes, dtype=np.float32)
    steps, size, oversampling = settings.steps, settings.batch_size, settings.oversampling
    own = one.targets
    places = unlabeled_slots(size, settings.unlabeled_share, len(one.rows), 0 if own is None else len(own.rows))
    order = batch_order(repeats(one.labels, oversampling), steps * (size - places), rng).reshape(steps, -1)
    rows, targets, weights = one.rows[order], eye[one.labels[order]], np.ones(order.shape, np.float32)
    if own is not None and places:
        times = repeats(own.probabilities.argmax(axis=1), oversampling if own.hard else 0.0)
        order = batch_order(times, steps * places, rng).reshape(steps, -1)
        rows = np.concatenate([rows, own.rows[order]], axis=1)
        targets = np.concatenate([targets, own.probabilities[order]], axis=1)
        weights = np.concatenate([weights, own.weights[order]], axis=1)
    return rows, targets, weights, np.arange(size) >= size - places
