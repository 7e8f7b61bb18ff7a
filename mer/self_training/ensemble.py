"""The ensemble members of one round: who was trained for which chain, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer.learning.inputs import Inputs, View, encode
from mer.learning.seeds import stream_seed
from mer.model.mrccl import Encoders
from mer.params import Params
from mer.pretraining.pretrain import make_encoders
from mer.self_training.batches import LearningSet, Targets
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.classifier import heads_of, make_classifier
from mer.self_training.members import Members, train_members


@dataclass(frozen=True)
class Kind:
    """How members are made: what they see (`sources`, one a view, or a view and start where these differ) and what they
    start from.

    `starts` are names of families: one member a chain, seed and start. `frozen` are the encoders that gave the sources,
    None where members have their own or need none.
    """

    params: Params
    views: Sequence[View]
    sources: Sequence[Inputs]
    frozen: Sequence[Encoders | None]
    starts: Sequence[str]
    classes: int

    @property
    def names(self) -> tuple[str, ...]:
        """`<family> <head>` of each expert."""
        modalities = tuple(self.views[0].standardisers)
        return tuple(
            f"{start} {head}" for start in self.starts for head in heads_of(self.params.model.kind, modalities)
        )

    def make(self, view: int, start: str) -> nn.Module:
        """An untrained member; the caller seeds torch."""
        own, model, settings = self.views[view], self.params.model, self.params.self_train
        encoders: Encoders | None = None
        if model.kind == "mrccl" and settings.encoder_learning_rate:
            encoders = own.encoders if start == PRETRAINED else make_encoders(own.widths, model)
        return make_classifier(model, own.widths, self.classes, encoders, direct=settings.direct)

    def source(self, view: int, start: str) -> int:
        """Which of the sources such a member sees."""
        if len(self.sources) == len(self.views):
            return view
        return view * len(self.starts) + self.starts.index(start)


PRETRAINED, FROM_SCRATCH = "mrccl", "mrccl from scratch"


def make_kind(views: Sequence[View], inputs: Sequence[Inputs], params: Params, classes: int) -> Kind:
    """Members that fine-tune encoders see the features; those that do not see H, encoded once.

    Args:
        views, inputs: the ways of standardising, and the clips in each.
        params: `model.kind`, `self_train.encoder_learning_rate` and `self_train.from_scratch` are read.
        classes: C.
    """
    if params.model.kind != "mrccl":
        starts = [] if params.model.kind == "logistic" else [params.model.kind]
        return Kind(params, views, inputs, [None] * len(inputs), starts, classes)
    pretrained = all(view.encoders is not None for view in views)
    starts = [PRETRAINED] if pretrained else []
    if not pretrained or params.self_train.from_scratch:
        starts.append(FROM_SCRATCH)
    if params.self_train.encoder_learning_rate:
        return Kind(params, views, inputs, [None] * len(inputs), starts, classes)
    frozen = [_frozen_encoders(view, start, params) for view in views for start in starts]
    seen = [one for one in inputs for _ in starts]
    return Kind(params, views, [encode(*pair) for pair in zip(frozen, seen, strict=True)], frozen, starts, classes)


def _frozen_encoders(view: View, start: str, params: Params) -> Encoders:
    """The pretrained encoders, or random ones, the same for all members."""
    if start == PRETRAINED and view.encoders is not None:
        return view.encoders
    torch.manual_seed(stream_seed(params.self_train.seed, "frozen"))
    return make_encoders(view.widths, params.model).requires_grad_(False)


@dataclass(frozen=True)
class Round:
    """The members of one round. `places` says where each chain's are, `sources` what each of them sees; `targets` are
    what each chain learned of unlabeled clips, None where it learned labels only."""

    members: Members | None
    places: Mapping[Chain, Sequence[int]]
    sources: Sequence[int]
    kind: Kind
    targets: Mapping[Chain, Targets | None]

    def logits(self, chain: Chain, rows: NDArray[np.int64]) -> Tensor:
        """[E, n, C] of the chain's experts; where there are several seeds, the logarithm of their mean probability."""
        if self.members is None:
            return torch.zeros(0, len(rows), self.kind.classes)
        found = []
        seeds = self.kind.params.self_train.seeds
        for start in range(0, len(self.places[chain]), seeds):
            places = self.places[chain][start : start + seeds]
            inputs = self.kind.sources[self.sources[places[0]]].take(rows)
            found.append(mean_logits(self.members.select(places).logits(inputs)))
        return torch.cat(found)


def mean_logits(logits: Tensor) -> Tensor:
    """[seeds, N, heads, C] -> [heads, N, C]: of the mean probability of several seeds, else the logits themselves."""
    if len(logits) > 1:
        logits = logits.softmax(dim=-1).mean(dim=0, keepdim=True).clamp(min=1e-9).log()
    return logits[0].transpose(0, 1)


def train_round(
    number: int,
    chains: Mapping[Chain, int],
    fit: CrossFitting,
    targets: Mapping[Chain, Targets | None],
    kind: Kind,
) -> Round:
    """Train the members of all chains together.

    Args:
        number: of the round.
        chains: what to train, and the view that each sees.
        fit: the labeled clips.
        targets: of the unlabeled clips, from the chain's own round before.
        kind: how members are made.
    """
    sets, makers, places = [], [], {}
    for chain, view in chains.items():
        first, own = len(sets), fit.learned(chain)
        for start in kind.starts:
            for seed in range(kind.params.self_train.seeds):
                name = (number, start, seed, *chain)
                source = kind.source(view, start)
                sets.append(LearningSet(fit.rows[own], fit.labels[own], targets.get(chain), source, name, seed))
                makers.append(partial(kind.make, view, start))
        places[chain] = range(first, len(sets))
    members = train_members(makers, sets, kind.sources, kind.classes, kind.params) if sets else None
    return Round(members, places, [one.source for one in sets], kind, targets)
