"""What every step of self-training shares: how each chain sees the clips, the floor, the families, and what all experts
of a chain say and vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.determinism import pick_device
from mer.learning.features import FeatureSet
from mer.params import Params
from mer.pretraining.pretrain import Pretrained
from mer.self_training.chains import BUNDLE, Chain, CrossFitting, unlabeled_rows
from mer.self_training.ensemble import Family, Round, expert_parts, make_families, presence_of
from mer.self_training.floor import Choice, Floor, choose_standardisations
from mer.self_training.gaussian import Discriminants
from mer.self_training.linear import Linear
from mer.self_training.subsets import Subset, choose_subsets
from mer.self_training.votes import Voted, joined
from mer.self_training.voting import GAUSSIAN, Vote

FEW_FOLDS = 6
"""With more folds than these the largest chains standardise in the first way: to let them choose would cost too many
fits."""

ROWS = 8192
"""Clips voted on at once."""


@dataclass(frozen=True)
class Evidence:
    """What the chains that decide for another one say of the clips that they never saw: `logits` [E, n, C], `present`
    bool [E, n], `labels` int64 [n]."""

    logits: Tensor
    present: Tensor
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """What a chain has come to: the `rounds` whose members vote (the first, and the last that was kept), how they vote,
    and each deciding clip's log-likelihood [n]. `notes` has a row a round."""

    rounds: tuple[Round, ...]
    vote: Vote
    scores: Tensor
    evidence: Evidence
    notes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """What every step shares."""

    features: FeatureSet
    params: Params
    fit: CrossFitting
    floor: Floor
    families: Sequence[Family]
    seen: Sequence[tuple[int, Subset]]
    """By number of inputs: the way to standardise, and the places of the views that are looked at."""
    discriminants: Discriminants | None
    """Of every round but the first; None where there is none."""

    @property
    def linear(self) -> bool:
        """Whether the floor votes: always, but for baselines that are to be compared with it."""
        return self.params.model.kind in ("mrccl", "logistic")

    def experts(self, rounds: Sequence[Round]) -> list[str]:
        """`<family> <part>` of all experts, the floor's first, then the Gaussians'."""
        return [name for name, _ in self._parts(rounds)]

    def _parts(self, rounds: Sequence[Round]) -> list[tuple[str, Sequence[int]]]:
        """Every expert's name, and the places of the views that it sees."""
        linear = dict(self.floor.parts) if self.linear else {}
        if self.discriminants is not None and any(one.gaussians for one in rounds):
            linear |= self.discriminants.parts
        return expert_parts(linear, (one.number for one in rounds), self.families)

    def logits(self, rounds: Sequence[Round], chain: Chain, rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """What all experts of a chain say of some clips, [E, n, C]."""
        parts = [self.floor.logits(chain, rows, choice)] if self.linear else []
        if self.discriminants is not None and any(one.gaussians for one in rounds):
            x = self.discriminants.columns(chain, rows)  # seen as the chain sees them, whatever the chain decided for
            parts += [one.gaussians[chain].logits(x) for one in rounds if one.gaussians]
        parts += [trained.logits(chain, rows) for one in rounds for trained in one.trained]
        return torch.cat([part.cpu() for part in parts])

    def gaussians(self, rounds: Sequence[Round]) -> dict[int, Linear]:
        """The bundle's, by rank; empty where none votes."""
        if self.discriminants is None:
            return {}
        found = [one.gaussians[BUNDLE] for one in rounds if one.gaussians]
        return {rank: own.one(p) for own in found for p, rank in enumerate(self.discriminants.ranks)}

    def presence(self, rounds: Sequence[Round], chain: Chain, rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """Which clips each of a chain's experts sees something of, bool [E, n]."""
        inputs, floor = self.floor.inputs, len(self.floor.parts) if self.linear else 0
        own = inputs[self.floor.inputs_of[chain]]
        return presence_of(self._parts(rounds), floor, inputs[choice.inputs], own, rows)


def prepare(features: FeatureSet, pretrained: Pretrained, params: Params, fit: CrossFitting, rounds: int) -> Run:
    """Choose how every chain sees the clips, standardise them in the ways that were chosen, and fit the floor."""
    device, classes = pick_device(params.model.device), len(features.classes)
    clips = (features.features, features.present, features.groups, device, features.frames)
    labeled = [way.inputs(*clips).take(fit.rows) for way in pretrained.standardisations]  # one of all clips at a time
    most, views = 2 + rounds, pretrained.standardisations[0].views
    chains = fit.chains(most + 1 if len(fit.used) <= FEW_FOLDS else most)
    way_of = choose_standardisations(labeled, views, fit, chains, classes, params.self_train.caution)
    subset_of = choose_subsets(labeled, way_of, views, fit, classes, params.self_train)
    seen = {chain: (way_of[chain], subset_of[chain]) for chain in fit.chains(most)}
    order = sorted(set(seen.values()))
    ways = {way: pretrained.standardisations[way].inputs(*clips) for way, _ in order}
    inputs = {i: ways[way].seen_through(subset) for i, (way, subset) in enumerate(order)}
    inputs_of = {chain: order.index(of) for chain, of in seen.items()}
    floor = Floor(inputs, inputs_of, views, fit, classes, params.self_train.caution)
    families = make_families(inputs, views, pretrained.encoders, params, classes)
    discriminants = None
    if rounds and params.model.kind == "mrccl" and GAUSSIAN in params.self_train.families:
        pool = unlabeled_rows(features, BUNDLE, transductive=params.self_train.transductive)
        discriminants = Discriminants(inputs, inputs_of, views, fit, pool, classes)
    return Run(features, params, fit, floor, families, order, discriminants)


def vote_of(run: Run, state: State, chain: Chain, rows: NDArray[np.int64]) -> Voted:
    """What a chain's vote and each of its experts say of some clips."""
    choice, experts = run.floor.choice(chain), len(run.experts(state.rounds))
    nothing = np.zeros((experts, 0, len(run.features.classes)), np.float16)
    parts = [Voted(nothing[0].astype(np.float32), np.zeros(0, np.float32), nothing)]
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        logits, present = run.logits(state.rounds, chain, part, choice), run.presence(state.rounds, chain, part, choice)
        voted, calibrated = state.vote(logits, present), state.vote.calibrated(logits)
        same = calibrated.argmax(dim=-1) == voted.argmax(dim=-1)  # [E, n]
        weight = state.vote.weights[:, None] * present
        share = (weight * same).sum(dim=0) / weight.sum(dim=0).clamp(min=1e-9)
        seen = calibrated.masked_fill(~present[..., None], torch.nan).half()
        parts.append(Voted(voted.numpy(), share.float().numpy(), seen.numpy()))
    return joined(parts)
