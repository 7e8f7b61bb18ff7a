"""What every step of regression shares: how each chain sees the clips, the floor of ridge experts, and the rounds of
members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.determinism import pick_device
from mer.learning.features import FeatureSet
from mer.learning.inputs import Inputs
from mer.model.views import Views
from mer.params import Params
from mer.pretraining.pretrain import Pretrained
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.ensemble import Family, expert_parts, make_families, presence_of
from mer.self_training.estimator import Scale, fit_scale, mean_outputs, ridge_parts
from mer.self_training.floor import columns, shared_scale
from mer.self_training.gains import best_by_groups, scores_of, units_of
from mer.self_training.members import Members
from mer.self_training.ridge import SAFE, STRENGTHS, Ridge, fit_ridge
from mer.self_training.stacking import Stack
from mer.self_training.subsets import Subset, named_views
from mer.self_training.target_views import Sight


@dataclass(frozen=True)
class Taught:
    """Members of one family in one round: each chain's, one a seed."""

    family: Family
    members: Members
    places: Mapping[Chain, range]

    def of(self, chain: Chain) -> Members:
        """A chain's members."""
        return self.members.select(self.places[chain])


@dataclass(frozen=True)
class Round:
    """What was trained in one round."""

    number: int
    taught: Sequence[Taught]


@dataclass(frozen=True)
class State:
    """What a chain has come to: the `rounds` that are combined, how, and each deciding clip's negative squared error
    [n]. `notes` has a row a round."""

    rounds: tuple[Round, ...]
    stack: Stack
    scores: Tensor
    notes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """What every step shares. `values` [n, K] are the labeled clips' numbers and `groups` [n] whose they are, in the
    order of `fit`; `fitted` holds the ridge experts on each of the inputs, block by block, of all `chains` and
    strengths."""

    features: FeatureSet
    names: tuple[str, ...]
    views: Views
    seen: Sequence[tuple[int, Subset]]
    """By number of inputs: the way to standardise, and the places of the views that are looked at."""
    params: Params
    fit: CrossFitting
    values: NDArray[np.float64]
    groups: NDArray[np.int64]
    inputs: Mapping[int, Inputs]
    inputs_of: Mapping[Chain, int]
    chains: Sequence[Chain]
    fitted: Mapping[int, Sequence[Ridge]]
    families: Sequence[Family]
    scales: Mapping[Chain, Scale]
    strengths: dict[tuple[Chain, int], int] = field(default_factory=dict)

    @property
    def linear(self) -> bool:
        """Whether the floor takes part: always, but for baselines that are to be compared with it."""
        return self.params.model.kind in ("mrccl", "logistic")

    def experts(self, rounds: Sequence[Round]) -> list[str]:
        """`<family> <part>` of all experts, the floor's first."""
        return [name for name, _ in self.parts(rounds)]

    def parts(self, rounds: Sequence[Round]) -> list[tuple[str, Sequence[int]]]:
        """Every expert's name, and the places of the views that it sees."""
        floor = ridge_parts(self.views) if self.linear else {}
        return expert_parts(floor, (one.number for one in rounds), self.families)

    @property
    def blocks(self) -> list[Sequence[int]]:
        """The places of the views that each ridge expert sees."""
        return list(ridge_parts(self.views).values())

    def scale(self, chain: Chain) -> Scale:
        """Of the numbers that the chain learns from."""
        return self.scales[chain]

    def ridge(self, chain: Chain, number: int, block: int, strength: int) -> Ridge:
        """One expert of the floor, on standardised numbers; `number` is that of its inputs."""
        at, fitted = self.chains.index(chain) * len(STRENGTHS) + strength, self.fitted[number][block]
        return Ridge(fitted.weight[at : at + 1], fitted.bias[at : at + 1])

    def floor(self, chain: Chain, number: int, strengths: Sequence[int]) -> list[Ridge]:
        """The chain's experts of the floor at some strengths, one a block, on the chain's own scale."""
        scale = self.scale(chain)
        mean, deviation = (torch.from_numpy(part).float() for part in (scale.mean, scale.deviation))
        found = [self.ridge(chain, number, block, strength) for block, strength in enumerate(strengths)]
        device = self.inputs[number].present.device
        mean, deviation = mean.to(device), deviation.to(device)
        return [Ridge(one.weight / deviation, (one.bias - mean) / deviation) for one in found]

    def chosen_strengths(self, chain: Chain) -> list[int]:
        """The strength of each block that the chains that decide find best: the safe one, unless another is better by
        `caution` standard errors."""
        deciding = [one for one in self.fit.deciding(chain) if one[0] in self.inputs_of]
        return [self._strength(chain, block, deciding) if deciding else SAFE for block in range(len(self.blocks))]

    def _strength(self, chain: Chain, block: int, deciding: Sequence[tuple[Chain, NDArray[np.int64]]]) -> int:
        if (chain, block) not in self.strengths:
            number, scores = self.inputs_of[chain], []
            fitted = self.fitted[number][block]
            for one, at in deciding:
                x = columns(self.inputs[number], self.blocks[block], self.fit.rows[at])
                start = self.chains.index(one) * len(STRENGTHS)
                at_once = slice(start, start + len(STRENGTHS))
                predicted = Ridge(fitted.weight[at_once], fitted.bias[at_once])(x).cpu()  # [strengths, n, K]
                scores.append(torch.stack([scores_of(p, self.values[at], self.scale(chain)) for p in predicted]))
            units = self.groups[np.concatenate([at for _, at in deciding])]
            best = best_by_groups(torch.cat(scores, dim=1), units, SAFE, self.params.self_train.caution)
            self.strengths[chain, block] = best
        return self.strengths[chain, block]

    def predicted(
        self, rounds: Sequence[Round], chain: Chain, rows: NDArray[np.int64], number: int, strengths: Sequence[int]
    ) -> Tensor:
        """What all experts of a chain say of some clips, standardised as the chain's own numbers, [E, n, K]."""
        own = self.inputs[number].take(rows)
        found = []
        if self.linear:
            experts = zip(self.floor(chain, number, strengths), self.blocks, strict=True)
            found = [expert(columns(own, part)).cpu() for expert, part in experts]
        for one in rounds:
            for taught in one.taught:
                seen = taught.family.inputs[self.inputs_of[chain]].take(rows)
                found.append(mean_outputs(taught.of(chain).logits(seen)).cpu())
        return torch.cat(found)

    def presence(self, rounds: Sequence[Round], chain: Chain, number: int, rows: NDArray[np.int64]) -> Tensor:
        """Which clips each of a chain's experts sees something of, bool [E, n]; `number` is of the floor's inputs."""
        floor, own = len(self.blocks) if self.linear else 0, self.inputs[self.inputs_of[chain]]
        return presence_of(self.parts(rounds), floor, self.inputs[number], own, rows)


def prepare(
    features: FeatureSet,
    pretrained: Pretrained,
    params: Params,
    fit: CrossFitting,
    names: tuple[str, ...],
    rounds: int,
) -> Run:
    """Choose how every chain sees the clips, standardise them in the ways that were chosen, and fit the floor."""
    device, settings = pick_device(params.model.device), params.self_train
    views = pretrained.standardisations[0].views
    looks_at = named_views(views, settings)
    clips = (features.features, features.present, features.groups)
    ways = [way.inputs(*clips, device, features.frames).seen_through(looks_at) for way in pretrained.standardisations]
    values = np.stack([features.targets[name] for name in names], axis=1)[fit.rows]
    chains = fit.chains(2 + rounds)
    scales = {chain: fit_scale(values[fit.learned(chain)]) for chain in chains}
    groups, labeled = units_of(features.groups[fit.rows]), [one.take(fit.rows) for one in ways]
    sight = Sight(labeled, views, values, fit, scales, groups, settings.caution)
    way_of = sight.ways()
    subset_of = sight.subsets(way_of) if settings.views == "auto" else dict.fromkeys(chains, looks_at)
    order = sorted({(way_of[chain], subset_of[chain]) for chain in chains})
    inputs = {i: ways[way].seen_through(subset) for i, (way, subset) in enumerate(order)}
    inputs_of = {chain: order.index((way_of[chain], subset_of[chain])) for chain in chains}
    parts = list(ridge_parts(views).values())

    def fitted(own: Inputs, part: Sequence[int]) -> Ridge:
        x, scale = columns(own, part, fit.rows), shared_scale(own, part, views)
        found = fit_ridge(x * scale, values, fit.folds, chains, STRENGTHS)
        return Ridge(found.weight * scale[:, None], found.bias)

    ridges = {number: [fitted(own, part) for part in parts] for number, own in inputs.items()}
    families = make_families(inputs, views, pretrained.encoders, params, len(names))
    return Run(
        features, names, views, order, params, fit, values, groups, inputs, inputs_of, chains, ridges, families, scales
    )
