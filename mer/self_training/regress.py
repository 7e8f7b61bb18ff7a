"""Regression by the same clean cross-fitting as classes: ridge and regression heads of every chain, stacked by clips
that they never saw, and distilled into heads that learn of unlabeled clips where that is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.determinism import deterministic
from mer.learning.features import FeatureSet, target_rows
from mer.params import Params, SelfTrainParams
from mer.pretraining.pretrain import Pretrained
from mer.self_training.batches import LearningSet, Targets
from mer.self_training.chains import BUNDLE, Chain, CrossFitting, unlabeled_rows
from mer.self_training.estimator import Estimator, Numbers
from mer.self_training.gains import clips_a_group, grouped_gain, scores_of
from mer.self_training.members import squared_losses, train_members
from mer.self_training.regression_run import Round, Run, State, Taught, prepare
from mer.self_training.stacking import decide_stack
from mer.self_training.voting import convincing
from mer.self_training.ways import Ways, ways_taken

ROWS = 8192
"""Clips predicted at once."""


@dataclass(frozen=True)
class Regressed:
    """`predictions`: clip_id, and `t_<name>`, `t_<name>_low`, `t_<name>_high` of each target; labeled clips by models
    and decisions that saw neither their numbers nor anything made from them, the others by `estimator`. `rounds`: a
    row an outer fold and round. `experts`: a row an outer fold, target and expert, with its weight. `standardised`:
    how clips are."""

    estimator: Estimator
    predictions: pd.DataFrame
    rounds: pd.DataFrame
    experts: pd.DataFrame
    standardised: Ways


def regress(features: FeatureSet, pretrained: Pretrained, params: Params, names: Sequence[str]) -> Regressed:
    """Cross-fit the experts of some targets, combine them, and distil the combination, round by round.

    Args:
        features: targets and folds of the labeled split, features of all clips.
        pretrained: the ways to standardise and the encoders.
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
        unlabeled = unlabeled_rows(features, BUNDLE, transductive=settings.transductive)
        rounds = settings.rounds if len(unlabeled) and params.model.kind != "logistic" else 0
        run = prepare(features, pretrained, params, fit, tuple(names), rounds)
        states: dict[Chain, State] = {}
        done: list[Round] = []
        for number in range(rounds + 1):
            chains = fit.chains(2 + rounds - number)
            targets = {chain: _targets(run, states[chain], chain) if number else None for chain in chains}
            done = [*done[:1], _train(run, number, chains, targets)]
            for chain in fit.chains(1 + rounds - number):
                states[chain] = _decide(run, tuple(done), chain, states.get(chain))
        return _results(run, pretrained, states)


def _train(run: Run, number: int, chains: Sequence[Chain], targets: Mapping[Chain, Targets | None]) -> Round:
    """Train the members of all chains, family by family, on numbers standardised for each chain."""
    taught = []
    for family in run.families:
        seeds, order = range(run.params.self_train.seeds), list(family.inputs)
        sets: list[LearningSet] = []
        places: dict[Chain, range] = {}
        for chain in chains:
            own, source = run.fit.learned(chain), order.index(run.inputs_of[chain])
            known = run.scale(chain).standardised(run.values[own]).astype(np.float32)
            rows, labels = run.fit.rows[own], run.fit.labels[own]
            for seed in seeds:
                name: tuple[str | int, ...] = ("numbers", number, family.name, seed, *chain)
                sets.append(LearningSet(rows, labels, targets[chain], source, name, seed, known))
            places[chain] = range(len(sets) - len(seeds), len(sets))
        sources = list(family.inputs.values())
        members = train_members(family.make, sets, sources, len(run.names), run.params, squared_losses)
        taught.append(Taught(family, members, places))
    return Round(number, taught)


def _decide(run: Run, rounds: tuple[Round, ...], chain: Chain, before: State | None) -> State:
    """Decide how the experts are combined, and whether the last round is kept."""
    settings, last, scale = run.params.self_train, rounds[-1], run.scale(chain)
    strengths, deciding = run.chosen_strengths(chain), run.fit.deciding(chain)
    places = np.concatenate([np.zeros(0, np.int64), *(at for _, at in deciding)])
    names = run.experts(rounds)
    parts, there = [torch.zeros(len(names), 0, len(run.names))], [torch.zeros(len(names), 0, dtype=torch.bool)]
    for one, at in deciding:
        there.append(run.presence(rounds, one, run.inputs_of[chain], run.fit.rows[at]))
        of = run.scale(one)  # another chain's scale: brought to this one's
        predicted = run.predicted(rounds, one, run.fit.rows[at], run.inputs_of[chain], strengths).double().numpy()
        parts.append(torch.from_numpy(scale.standardised(predicted * of.deviation + of.mean)).float())
    evidence, present = torch.cat(parts, dim=1), torch.cat(there, dim=1)
    values = scale.standardised(run.values[places])
    stack = decide_stack(
        evidence,
        present,
        values,
        _prior(names, settings),
        learned=settings.voting == "learned",
        calibrate=settings.calibrate,
        prior_clips=settings.prior_clips * clips_a_group(run.groups[places]),
        coverage=settings.coverage,
    )
    scores = scores_of(stack(evidence, present), values)
    note = {
        "fold": chain[0] if chain else -1,
        "round": last.number,
        "squared_error": -float(scores.mean()) if len(scores) else None,
    }
    if before is None:
        return State(rounds, stack, scores, [{**note, "kept": True}])
    mean, error = grouped_gain(scores - before.scores, run.groups[places])
    kept = not settings.gate or convincing(mean, error, settings.caution)
    notes = [*before.notes, {**note, "kept": kept}]
    return State(rounds, stack, scores, notes) if kept else replace(before, notes=notes)


def _prior(names: Sequence[str], settings: SelfTrainParams) -> NDArray[np.float64]:
    """Weights before any evidence, [E]: equal, but those of one modality count less where some see all."""
    fused = np.array([name.endswith(" fused") for name in names])
    if settings.voting == "equal" or not fused.any():
        return np.ones(len(names))
    return np.where(fused, 1.0, settings.unimodal_weight)


def _combined(run: Run, state: State, chain: Chain, rows: NDArray[np.int64]) -> Tensor:
    """Standardised numbers [n, K] of some clips."""
    strengths, number = run.chosen_strengths(chain), run.inputs_of[chain]
    parts = [torch.zeros(0, len(run.names))]
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        predicted = run.predicted(state.rounds, chain, part, number, strengths)
        parts.append(state.stack(predicted, run.presence(state.rounds, chain, number, part)))
    return torch.cat(parts)


def _targets(run: Run, state: State, chain: Chain) -> Targets | None:
    """What the chain's own combination says of the unlabeled clips that it may learn from, whatever its number."""
    rows = unlabeled_rows(run.features, chain, transductive=run.params.self_train.transductive)
    if not len(rows):
        return None
    numbers = _combined(run, state, chain, rows).numpy().astype(np.float32)
    return Targets(rows, numbers, np.ones(len(rows), np.float32), hard=False)


def _results(run: Run, pretrained: Pretrained, states: Mapping[Chain, State]) -> Regressed:
    state, features = states[BUNDLE], run.features
    number = run.inputs_of[BUNDLE]
    way, subset = run.seen[number]
    estimator = Estimator(
        targets=run.names,
        standardisation=pretrained.standardisations[way],
        ridge=tuple(run.floor(BUNDLE, number, run.chosen_strengths(BUNDLE))) if run.linear else (),
        members=tuple((taught.family.name, taught.of(BUNDLE)) for one in state.rounds for taught in one.taught),
        frozen={family.name: family.frozen for family in run.families if family.frozen is not None},
        stack=state.stack,
        scale=run.scale(BUNDLE),
        looks_at=tuple(run.views.names[place] for place in subset),
    )
    found = _numbers(run, states, BUNDLE, np.arange(len(features)))
    for fold in run.fit.used:
        rows = run.fit.rows[run.fit.folds == fold]
        own = _numbers(run, states, (fold,), rows)
        found.values[rows], found.low[rows], found.high[rows] = own.values, own.low, own.high
    outer = {chain: states[chain] for chain in run.fit.chains(1)}
    way_of = {chain: run.seen[inputs][0] for chain, inputs in run.inputs_of.items()}
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
        ways_taken([one.name for one in pretrained.standardisations], way_of, list(outer)),
    )


def _numbers(run: Run, states: Mapping[Chain, State], chain: Chain, rows: NDArray[np.int64]) -> Numbers:
    return run.scale(chain).numbers(_combined(run, states[chain], chain, rows), states[chain].stack.radius)
