"""The ensemble members of one round: who was trained for which chain, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer.learning.inputs import Inputs, encode
from mer.learning.seeds import stream_seed
from mer.model.mrccl import Encoders
from mer.model.views import Parts, Views
from mer.params import Params
from mer.pretraining.pretrain import make_encoders
from mer.self_training.batches import LearningSet, Targets
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.classifier import heads_of, make_classifier
from mer.self_training.linear import Linear
from mer.self_training.members import Members, train_members
from mer.self_training.voting import GAUSSIAN, STUDENTS, expert_presence


@dataclass(frozen=True)
class Family:
    """Members of one architecture. `inputs` are the clips as its members see them, by number; `frozen` the encoders
    that made them of the features, None where members have encoders of their own, or none; `start` those to start
    from."""

    name: str
    views: Views
    inputs: Mapping[int, Inputs]
    start: Encoders | None
    frozen: Encoders | None
    classes: int
    params: Params

    def make(self) -> nn.Module:
        """An untrained member; the caller seeds torch."""
        encoders = self.start
        if self.name.startswith("mrccl") and self.frozen is None and encoders is None:
            encoders = make_encoders(self.views, self.params.model)
        return make_classifier(self.name, self.params, self.views, self.classes, encoders)

    @property
    def heads(self) -> Parts:
        """Names of a member's heads, and the places of the views that they see."""
        return heads_of(self.name, self.views)


def expert_parts(linear: Parts, rounds: Iterable[int], families: Sequence[Family]) -> list[tuple[str, Sequence[int]]]:
    """`<family> <part>` of all experts, the linear ones first, then those of each round by its number, and the places
    of the views that each sees."""
    parts: list[tuple[str, Sequence[int]]] = list(linear.items())
    for number in rounds:
        for family in families:
            name = f"{family.name}{STUDENTS * bool(number)}"
            parts += [(f"{name} {head}", places) for head, places in family.heads.items()]
    return parts


def presence_of(
    parts: Sequence[tuple[str, Sequence[int]]], floor: int, of_floor: Inputs, own: Inputs, rows: NDArray[np.int64]
) -> Tensor:
    """Which clips each of a chain's experts sees something of, bool [E, n].

    Args:
        parts: see `expert_parts`.
        floor: how many of the experts are the floor's, which comes first.
        of_floor, own: all clips as the floor sees them here, and as the chain's other experts do.
        rows: int64 [n], the clips.
    """
    places = [places for _, places in parts]
    first, others = (inputs.present[rows].cpu() for inputs in (of_floor, own))
    return torch.cat([expert_presence(first, places[:floor]), expert_presence(others, places[floor:])])


def make_families(
    inputs: Mapping[int, Inputs], views: Views, encoders: Encoders | None, params: Params, classes: int
) -> list[Family]:
    """The families of members that `model.kind` and `self_train.families` name.

    Args:
        inputs: the clips as some chain sees them, by number.
        views: the views of the clips, with their columns.
        encoders: the pretrained ones; without any, MR-CCL's members start from random ones.
        params: `model` and `self_train` are read.
        classes: C.
    """
    if params.model.kind == "logistic":
        return []
    if params.model.kind != "mrccl":
        return [Family(params.model.kind, views, inputs, None, None, classes, params)]
    names: list[str] = [name for name in params.self_train.families if name != GAUSSIAN]
    if encoders is None:
        names = list(dict.fromkeys(name.replace("mrccl-from-scratch", "mrccl") for name in names))
    families = []
    for name in names:
        start = encoders if name == "mrccl" else None
        if name == "linear" or params.self_train.encoder_learning_rate:
            families.append(Family(name, views, inputs, start, None, classes, params))
            continue
        if start is None:
            torch.manual_seed(stream_seed(params.self_train.seed, "frozen", name))
            start = make_encoders(views, params.model).requires_grad_(False)
        encoded = {number: encode(start, own) for number, own in inputs.items()}
        families.append(Family(name, views, encoded, None, start, classes, params))
    return families


@dataclass(frozen=True)
class Trained:
    """The members of one family in one round: `places` says where each chain's are, one a seed, `inputs_of` which
    inputs they see."""

    family: Family
    members: Members
    places: Mapping[Chain, range]
    inputs_of: Mapping[Chain, int]

    def of(self, chain: Chain) -> Members:
        """A chain's members."""
        return self.members.select(self.places[chain])

    def logits(self, chain: Chain, rows: NDArray[np.int64]) -> Tensor:
        """[heads, n, C] of a chain's members."""
        return mean_logits(self.of(chain).logits(self.family.inputs[self.inputs_of[chain]].take(rows)))


@dataclass(frozen=True)
class Round:
    """What was trained in one round; `targets` are what each chain learned of unlabeled clips, None where it learned
    labels only, and `gaussians` its experts that learned how these lie."""

    number: int
    trained: Sequence[Trained]
    targets: Mapping[Chain, Targets | None]
    gaussians: Mapping[Chain, Linear] = field(default_factory=dict)


def mean_logits(logits: Tensor) -> Tensor:
    """[seeds, N, heads, C] -> [heads, N, C]: of the mean probability of several seeds, else the logits themselves."""
    if len(logits) > 1:
        logits = logits.softmax(dim=-1).mean(dim=0, keepdim=True).clamp(min=1e-9).log()
    return logits[0].transpose(0, 1)


def train_round(
    number: int,
    inputs_of: Mapping[Chain, int],
    fit: CrossFitting,
    targets: Mapping[Chain, Targets | None],
    families: Sequence[Family],
) -> Round:
    """Train the members of all chains, family by family.

    Args:
        number: of the round.
        inputs_of: the chains to train for, and the number of the inputs that each sees.
        fit: the labeled clips.
        targets: of the unlabeled clips, from the chain's own round before.
        families: how members are made.
    """
    trained = []
    for family in families:
        seeds = range(family.params.self_train.seeds)
        order = list(family.inputs)
        sets: list[LearningSet] = []
        places: dict[Chain, range] = {}
        for chain, seen in inputs_of.items():
            own, source = fit.learned(chain), order.index(seen)
            soft = None if fit.soft is None else fit.soft[own]
            for seed in seeds:
                name: tuple[str | int, ...] = (number, family.name, seed, *chain)
                sets.append(LearningSet(fit.rows[own], fit.labels[own], targets.get(chain), source, name, seed, soft))
            places[chain] = range(len(sets) - len(seeds), len(sets))
        sources = list(family.inputs.values())
        members = train_members(family.make, sets, sources, family.classes, family.params)
        trained.append(Trained(family, members, places, inputs_of))
    return Round(number, trained, targets)
