"""Regression by the same clean cross-fitting as classes: ridge and regression heads of every chain, stacked by clips
that they never saw, and distilled into heads that learn of unlabeled clips where that is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.determinism import deterministic, pick_device
from mer.learning.features import FeatureSet, target_rows
from mer.learning.inputs import Inputs
from mer.model.views import Views
from mer.params import Params, SelfTrainParams
from mer.pretraining.pretrain import Pretrained
from mer.self_training.batches import LearningSet, Targets
from mer.self_training.chains import BUNDLE, Chain, CrossFitting
from mer.self_training.ensemble import Family, make_families
from mer.self_training.estimator import Estimator, Numbers, Scale, fit_scale, mean_outputs, ridge_parts
from mer.self_training.floor import columns, shared_scale
from mer.self_training.members import Members, squared_losses, train_members
from mer.self_training.ridge import SAFE, STRENGTHS, Ridge, fit_ridge
from mer.self_training.stacking import Stack, decide_stack
from mer.self_training.subsets import Subset, named_views
from mer.self_training.target_evidence import best, grouped_gain, squared_scores, units
from mer.self_training.target_views import Sight
from mer.self_training.voting import STUDENTS, expert_presence

ROWS = 8192
"""Clips predicted at once."""


@dataclass(frozen=True)
class Regressed:
    """`predictions`: clip_id, and `t_<name>`, `t_<name>_low`, `t_<name>_high` of each target; labeled clips by models
    and decisions that saw neither their numbers nor anything made from them, the others by `estimator`. `rounds`: a
    row an outer fold and round. `experts`: a row an outer fold, target and expert, with its weight."""

    estimator: Estimator
    predictions: pd.DataFrame
    rounds: pd.DataFrame
    experts: pd.DataFrame


@dataclass(frozen=True)
class Taught:
    """Members of one family in one round: each chain's, one a seed, and the view that they see."""

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
    order of `fit`; `fitted` holds the ridge experts of each view, block by block, of all `chains` and strengths."""

    features: FeatureSet
    names: tuple[str, ...]
    known: Views
    seen: Sequence[tuple[int, Subset]]
    """By number of a view: the way to standardise, and the places of the views that are looked at."""
    params: Params
    fit: CrossFitting
    values: NDArray[np.float64]
    groups: NDArray[np.int64]
    views: Mapping[int, Inputs]
    view_of: Mapping[Chain, int]
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
        parts: list[tuple[str, Sequence[int]]] = list(ridge_parts(self.known).items()) if self.linear else []
        for one in rounds:
            for family in self.families:
                name = f"{family.name}{STUDENTS * bool(one.number)}"
                parts += [(f"{name} {head}", places) for head, places in family.heads.items()]
        return parts

    @property
    def blocks(self) -> list[Sequence[int]]:
        """The places of the views that each ridge expert sees."""
        return list(ridge_parts(self.known).values())

    def scale(self, chain: Chain) -> Scale:
        """Of the numbers that the chain learns from."""
        return self.scales[chain]

    def ridge(self, chain: Chain, view: int, block: int, strength: int) -> Ridge:
        """One expert of the floor, on standardised numbers."""
        at, fitted = self.chains.index(chain) * len(STRENGTHS) + strength, self.fitted[view][block]
        return Ridge(fitted.weight[at : at + 1], fitted.bias[at : at + 1])

    def floor(self, chain: Chain, view: int, strengths: Sequence[int]) -> list[Ridge]:
        """The chain's experts of the floor at some strengths, one a block, on the chain's own scale."""
        scale = self.scale(chain)
        mean, deviation = (torch.from_numpy(part).float() for part in (scale.mean, scale.deviation))
        found = [self.ridge(chain, view, block, strength) for block, strength in enumerate(strengths)]
        device = self.views[view].present.device
        mean, deviation = mean.to(device), deviation.to(device)
        return [Ridge(one.weight / deviation, (one.bias - mean) / deviation) for one in found]


def regress(features: FeatureSet, pretrained: Pretrained, params: Params, names: Sequence[str]) -> Regressed:
    """Cross-fit the experts of some targets, combine them, and distil the combination, round by round.

    Args:
        features: targets and folds of the labeled split, features of all clips.
        pretrained: the views of the clips and their encoders.
        params: `self_train` is read.
        names: of the targets.

    Raises:
        MerError: see `target_rows`; or a modality is missing.
    """
    features = features.only(pretrained.modalities)
    settings = params.self_train.model_copy(update={"oversampling": 0.0, "logit_adjustment": 0.0})
    update = {"model": pretrained.model, "pretrain": pretrained.settings, "self_train": settings}
    params = params.model_copy(update=update)
    rows = target_rows(features, names)
    fit = CrossFitting(rows, np.zeros(len(rows), np.int64), features.folds[rows])
    with deterministic(settings.seed, threads=1):
        unlabeled = np.flatnonzero(features.split == "unlabeled")
        rounds = settings.rounds if len(unlabeled) and params.model.kind != "logistic" else 0
        run = _prepare(features, pretrained, params, fit, tuple(names), rounds)
        states: dict[Chain, State] = {}
        done: list[Round] = []
        for number in range(rounds + 1):
            chains = fit.chains(2 + rounds - number)
            targets = {chain: _targets(run, states[chain], chain, unlabeled) if number else None for chain in chains}
            done = [*done[:1], _train(run, number, chains, targets)]
            for chain in fit.chains(1 + rounds - number):
                states[chain] = _decide(run, tuple(done), chain, states.get(chain))
        return _results(run, pretrained, states)


def _prepare(
    features: FeatureSet,
    pretrained: Pretrained,
    params: Params,
    fit: CrossFitting,
    names: tuple[str, ...],
    rounds: int,
) -> Run:
    """Choose how every chain sees the clips, standardise them in the ways that were chosen, and fit the floor."""
    device, settings = pick_device(params.model.device), params.self_train
    known = pretrained.views[0].views
    looks_at = named_views(known, settings)
    clips = (features.features, features.present, features.groups)
    ways = [way.inputs(*clips, device).seen_through(looks_at) for way in pretrained.views]
    values = np.stack([features.targets[name] for name in names], axis=1)[fit.rows]
    chains = fit.chains(2 + rounds)
    scales = {chain: fit_scale(values[fit.learned(chain)]) for chain in chains}
    groups, labeled = units(features.groups[fit.rows]), [one.take(fit.rows) for one in ways]
    sight = Sight(labeled, known, values, fit, scales, groups, settings.caution)
    way_of = sight.ways()
    subset_of = sight.subsets(way_of) if settings.views == "auto" else dict.fromkeys(chains, looks_at)
    order = sorted({(way_of[chain], subset_of[chain]) for chain in chains})
    views = {i: ways[way].seen_through(subset) for i, (way, subset) in enumerate(order)}
    view_of = {chain: order.index((way_of[chain], subset_of[chain])) for chain in chains}
    parts = list(ridge_parts(known).values())

    def fitted(own: Inputs, part: Sequence[int]) -> Ridge:
        x, scale = columns(own, part, fit.rows), shared_scale(own, part, known)
        found = fit_ridge(x * scale, values, fit.folds, chains, STRENGTHS)
        return Ridge(found.weight * scale[:, None], found.bias)

    ridges = {view: [fitted(own, part) for part in parts] for view, own in views.items()}
    families = make_families(views, known, pretrained.encoders, params, len(names))
    return Run(
        features,
        names,
        known,
        order,
        params,
        fit,
        values,
        groups,
        views,
        view_of,
        chains,
        ridges,
        families,
        scales,
    )


def _train(run: Run, number: int, chains: Sequence[Chain], targets: Mapping[Chain, Targets | None]) -> Round:
    """Train the members of all chains, family by family, on numbers standardised for each chain."""
    taught = []
    for family in run.families:
        seeds, order = range(run.params.self_train.seeds), list(family.views)
        sets: list[LearningSet] = []
        places: dict[Chain, range] = {}
        for chain in chains:
            own, source = run.fit.learned(chain), order.index(run.view_of[chain])
            known = run.scale(chain).standardised(run.values[own]).astype(np.float32)
            rows, labels = run.fit.rows[own], run.fit.labels[own]
            for seed in seeds:
                name: tuple[str | int, ...] = ("numbers", number, family.name, seed, *chain)
                sets.append(LearningSet(rows, labels, targets[chain], source, name, seed, known))
            places[chain] = range(len(sets) - len(seeds), len(sets))
        sources = list(family.views.values())
        members = train_members(family.make, sets, sources, len(run.names), run.params, squared_losses)
        taught.append(Taught(family, members, places))
    return Round(number, taught)


def _strengths(run: Run, chain: Chain) -> list[int]:
    """The strength of each block that the chains that decide find best: the safe one, unless another is better by
    `caution` standard errors."""
    view, found = run.view_of[chain], []
    deciding = [one for one in run.fit.deciding(chain) if one[0] in run.view_of]
    for block, part in enumerate(run.blocks):
        if not deciding:
            found.append(SAFE)
            continue
        if (chain, block) not in run.strengths:
            scores = []
            for one, at in deciding:
                x = columns(run.views[view], part, run.fit.rows[at])
                start, fitted = run.chains.index(one) * len(STRENGTHS), run.fitted[view][block]
                at_once = slice(start, start + len(STRENGTHS))
                several = Ridge(fitted.weight[at_once], fitted.bias[at_once])
                predicted = several(x).cpu()  # [strengths, n, K]
                scores.append(torch.stack([squared_scores(p, run.values[at], run.scale(chain)) for p in predicted]))
            units = run.groups[np.concatenate([at for _, at in deciding])]
            run.strengths[chain, block] = best(torch.cat(scores, dim=1), units, SAFE, run.params.self_train.caution)
        found.append(run.strengths[chain, block])
    return found


def _predicted(
    run: Run, rounds: Sequence[Round], chain: Chain, rows: NDArray[np.int64], view: int, strengths: Sequence[int]
) -> Tensor:
    """What all experts of a chain say of some clips, standardised as the chain's own numbers, [E, n, K]."""
    own = run.views[view].take(rows)
    found = []
    if run.linear:
        experts = zip(run.floor(chain, view, strengths), run.blocks, strict=True)
        found = [expert(columns(own, part)).cpu() for expert, part in experts]
    for one in rounds:
        for taught in one.taught:
            seen = taught.family.views[run.view_of[chain]].take(rows)
            found.append(mean_outputs(taught.of(chain).logits(seen)).cpu())
    return torch.cat(found)


def _presence(run: Run, rounds: Sequence[Round], view: int, rows: NDArray[np.int64]) -> Tensor:
    return expert_presence(run.views[view].present[rows].cpu(), (places for _, places in run.parts(rounds)))


def _decide(run: Run, rounds: tuple[Round, ...], chain: Chain, before: State | None) -> State:
    """Decide how the experts are combined, and whether the last round is kept."""
    settings, last, scale = run.params.self_train, rounds[-1], run.scale(chain)
    strengths, deciding = _strengths(run, chain), run.fit.deciding(chain)
    places = np.concatenate([np.zeros(0, np.int64), *(at for _, at in deciding)])
    names = run.experts(rounds)
    parts = [torch.zeros(len(names), 0, len(run.names))]
    for one, at in deciding:
        of = run.scale(one)  # another chain's scale: brought to this one's
        predicted = _predicted(run, rounds, one, run.fit.rows[at], run.view_of[chain], strengths).double().numpy()
        parts.append(torch.from_numpy(scale.standardised(predicted * of.deviation + of.mean)).float())
    evidence, present = torch.cat(parts, dim=1), _presence(run, rounds, run.view_of[chain], run.fit.rows[places])
    values = scale.standardised(run.values[places])
    stack = decide_stack(
        evidence,
        present,
        values,
        _prior(names, settings),
        learned=settings.voting == "learned",
        calibrate=settings.calibrate,
        prior_clips=settings.prior_clips * _alike(run.groups[places]),
        coverage=settings.coverage,
    )
    scores = squared_scores(stack(evidence, present), values)
    note = {
        "fold": chain[0] if chain else -1,
        "round": last.number,
        "squared_error": -float(scores.mean()) if len(scores) else None,
    }
    if before is None:
        return State(rounds, stack, scores, [{**note, "kept": True}])
    mean, error = grouped_gain(scores - before.scores, run.groups[places])
    kept = not settings.gate or (mean > 0 and mean >= settings.caution * error)
    notes = [*before.notes, {**note, "kept": kept}]
    return State(rounds, stack, scores, notes) if kept else replace(before, notes=notes)


def _alike(groups: NDArray[np.int64]) -> float:
    """Clips a group on average: as many as count for one, where a prior is weighed against them."""
    return len(groups) / max(1, len(np.unique(groups)))


def _prior(names: Sequence[str], settings: SelfTrainParams) -> NDArray[np.float64]:
    """Weights before any evidence, [E]: equal, but those of one modality count less where some see all."""
    fused = np.array([name.endswith(" fused") for name in names])
    if settings.voting == "equal" or not fused.any():
        return np.ones(len(names))
    return np.where(fused, 1.0, settings.unimodal_weight)


def _combined(run: Run, state: State, chain: Chain, rows: NDArray[np.int64]) -> Tensor:
    """Standardised numbers [n, K] of some clips."""
    strengths, view = _strengths(run, chain), run.view_of[chain]
    parts = [torch.zeros(0, len(run.names))]
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        predicted = _predicted(run, state.rounds, chain, part, view, strengths)
        parts.append(state.stack(predicted, _presence(run, state.rounds, view, part)))
    return torch.cat(parts)


def _targets(run: Run, state: State, chain: Chain, rows: NDArray[np.int64]) -> Targets:
    """What the chain's own combination says of the unlabeled clips: every one of them, whatever its number."""
    numbers = _combined(run, state, chain, rows).numpy().astype(np.float32)
    return Targets(rows, numbers, np.ones(len(rows), np.float32), hard=False)


def _results(run: Run, pretrained: Pretrained, states: Mapping[Chain, State]) -> Regressed:
    state, features = states[BUNDLE], run.features
    view = run.view_of[BUNDLE]
    way, subset = run.seen[view]
    estimator = Estimator(
        targets=run.names,
        view=pretrained.views[way],
        ridge=tuple(run.floor(BUNDLE, view, _strengths(run, BUNDLE))) if run.linear else (),
        members=tuple((taught.family.name, taught.of(BUNDLE)) for one in state.rounds for taught in one.taught),
        frozen={family.name: family.frozen for family in run.families if family.frozen is not None},
        stack=state.stack,
        scale=run.scale(BUNDLE),
        looks_at=tuple(run.known.names[place] for place in subset),
    )
    found = _numbers(run, states, BUNDLE, np.arange(len(features)))
    for fold in run.fit.used:
        rows = run.fit.rows[run.fit.folds == fold]
        own = _numbers(run, states, (fold,), rows)
        found.values[rows], found.low[rows], found.high[rows] = own.values, own.low, own.high
    outer = {chain: states[chain] for chain in run.fit.chains(1)}
    return Regressed(
        estimator,
        pd.DataFrame({"clip_id": features.clip_ids, **found.columns(run.names)}),
        pd.DataFrame([note for one in outer.values() for note in one.notes]),
        pd.DataFrame(
            [
                {"fold": chain[0] if chain else -1, "target": target, "expert": expert, "weight": float(weight)}
                for chain, one in outer.items()
                for e, expert in enumerate(run.experts(one.rounds))
                for target, weight in zip(run.names, one.stack.weights[e], strict=True)
            ]
        ),
    )


def _numbers(run: Run, states: Mapping[Chain, State], chain: Chain, rows: NDArray[np.int64]) -> Numbers:
    return run.scale(chain).numbers(_combined(run, states[chain], chain, rows), states[chain].stack.radius)
