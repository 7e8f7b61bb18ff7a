"""Self-training: experts of every chain vote, their vote is distilled into the next round's members and starts its
Gaussians, and a round is left out where clips that its models never saw speak against it (see `chains`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mer.learning.determinism import deterministic
from mer.learning.features import FeatureSet
from mer.params import Params, SelfTrainParams
from mer.pretraining.pretrain import Pretrained
from mer.self_training.batches import Targets
from mer.self_training.calibration import log_likelihood, log_shares
from mer.self_training.chains import BUNDLE, Chain, cross_fitting, unlabeled_rows
from mer.self_training.choosing import best_exponent, drawn_clips
from mer.self_training.class_run import Evidence, Run, State, prepare, vote_of
from mer.self_training.ensemble import Round, train_round
from mer.self_training.floor import FLOOR
from mer.self_training.linear import Linear
from mer.self_training.results import SelfTrained, gather_results, learned_rows, weighted_f1
from mer.self_training.targets import class_thresholds, make_targets
from mer.self_training.voting import (
    GAUSSIAN,
    STUDENTS,
    Vote,
    choice_exponent,
    convincing,
    decide_vote,
    gain,
    prior_weights,
)


def self_train(features: FeatureSet, pretrained: Pretrained, params: Params) -> SelfTrained:
    """Cross-fit the experts, let them vote, and distil their vote, round by round.

    Args:
        features: labels and folds of the labeled split, features of all clips.
        pretrained: the ways to standardise and the encoders; the model and the noise are those that it was made with.
        params: `self_train` is read.

    Raises:
        MerError: there are no labels, only one class, fewer than three folds, or a modality is missing.
    """
    features = features.only(pretrained.modalities)
    params = params.model_copy(update={"model": pretrained.model, "pretrain": pretrained.settings})
    fit = cross_fitting(features)
    with deterministic(params.self_train.seed, threads=1):  # members train on threads of their own
        unlabeled = unlabeled_rows(features, BUNDLE, transductive=params.self_train.transductive)
        rounds = params.self_train.rounds if len(unlabeled) and params.model.kind != "logistic" else 0
        run = prepare(features, pretrained, params, fit, rounds)
        states: dict[Chain, State] = {}
        first: dict[Chain, State] = {}
        done: list[Round] = []
        given: list[pd.DataFrame] = []
        for number in range(rounds + 1):
            chains = fit.chains(2 + rounds - number)
            taught = {chain: _taught(run, states[chain], chain) if number else (None, None) for chain in chains}
            targets = {chain: own for chain, (own, _) in taught.items()}
            gaussians = {chain: own for chain, (_, own) in taught.items() if own is not None}
            if number and not any(targets.values()) and not gaussians:
                break
            inputs_of = {chain: run.floor.inputs_of[chain] for chain in chains}
            trained = train_round(number, inputs_of, fit, targets, run.families)
            done = [*done[:1], replace(trained, gaussians=gaussians)]
            for chain in fit.chains(1 + rounds - number):
                states[chain] = _decide(run, tuple(done), chain, states.get(chain))
            given += [learned_rows(run, chain, number, targets[chain], states[chain]) for chain in fit.chains(1)]
            first = first or dict(states)
        return gather_results(run, pretrained, first, states, given)


def _evidence(run: Run, rounds: Sequence[Round], chain: Chain) -> Evidence:
    """Predictions of every fold that the chain learns from, by the chain that left it out as well."""
    deciding, choice = run.fit.deciding(chain), run.floor.choice(chain)
    logits = [run.logits(rounds, one, run.fit.rows[places], choice) for one, places in deciding]
    present = [run.presence(rounds, one, run.fit.rows[places], choice) for one, places in deciding]
    places = np.concatenate([np.zeros(0, np.int64), *(places for _, places in deciding)])
    nothing = torch.zeros(len(run.experts(rounds)), 0, len(run.features.classes))
    there = torch.cat([nothing[..., 0].bool(), *present], dim=1)
    return Evidence(torch.cat([nothing, *logits], dim=1), there, run.fit.labels[places])


def _decide(run: Run, rounds: tuple[Round, ...], chain: Chain, before: State | None) -> State:
    """Decide how the experts vote, and whether the last round is kept."""
    settings, last = run.params.self_train, rounds[-1]
    evidence = _evidence(run, rounds, chain)
    prior = log_shares(run.fit.labels[run.fit.learned(chain)], len(run.features.classes))
    names = run.experts(rounds)
    expected = torch.tensor([_expected_exponent(name, settings) for name in names])
    weights = prior_weights(names, settings)
    vote = decide_vote(evidence.logits, evidence.labels, evidence.present, prior, expected, weights, settings)
    voted = vote(evidence.logits, evidence.present)
    if settings.posthoc_adjustment == "weighted_f1" and len(chain) <= 1:  # of those that predict
        vote = replace(vote, adjustment=_adjustment(run, rounds, chain, vote, voted))
    scores = log_likelihood(voted.clamp(min=1e-9).log(), evidence.labels)
    note = {
        "fold": chain[0] if chain else -1,
        "round": last.number,
        "log_likelihood": float(scores.mean()) if len(scores) else None,
        "weighted_f1": weighted_f1(evidence.labels, vote.choose(voted).numpy()) if len(scores) else None,
        "pseudo_labels": 0 if (own := last.targets[chain]) is None else len(own.rows),
    }
    if before is None:
        return State(rounds, vote, scores, evidence, [{**note, "kept": True}])
    mean, error = gain(scores, before.scores)
    against = not len(scores) or not math.isfinite(mean) or convincing(-mean, error, settings.caution)
    kept = not (settings.gate and against)
    notes = [*before.notes, {**note, "kept": kept}]
    return State(rounds, vote, scores, evidence, notes) if kept else replace(before, notes=notes)


def _adjustment(run: Run, rounds: Sequence[Round], chain: Chain, vote: Vote, voted: Tensor) -> Tensor:
    """The exponent [1] of the choice that expects the highest weighted-F1 of the clips that decide, `voted` [n, C], and
    the unlabeled ones together."""
    unlabeled = unlabeled_rows(run.features, chain, transductive=run.params.self_train.transductive)
    places = drawn_clips(len(voted) + len(unlabeled), run.params.self_train.seed)
    rows = unlabeled[places[places >= len(voted)] - len(voted)]
    choice = run.floor.choice(chain)
    of_unlabeled = vote(run.logits(rounds, chain, rows, choice), run.presence(rounds, chain, rows, choice))
    pool = torch.cat([voted[places[places < len(voted)]], of_unlabeled])
    return torch.full((1,), best_exponent(pool.numpy(), vote.log_prior.numpy()))


def _expected_exponent(expert: str, settings: SelfTrainParams) -> float:
    """How much of the classes' shares training has taken out of an expert: all of it in the floor, in Gaussians and
    where every class was seen equally often, and of a student only as much as labels had of its batches."""
    if expert.startswith((FLOOR, GAUSSIAN)):
        return 1.0
    balanced = min(1.0, settings.oversampling + settings.logit_adjustment)
    return balanced * (1 - settings.unlabeled_share) if STUDENTS in expert else balanced


def _taught(run: Run, state: State, chain: Chain) -> tuple[Targets | None, Linear | None]:
    """What a chain's next members learn of the unlabeled clips, and the Gaussians that it fits to them: both start from
    its own vote, and leave out clips of the groups that it is judged on."""
    rows = unlabeled_rows(run.features, chain, transductive=run.params.self_train.transductive)
    voted = vote_of(run, state, chain, rows)
    known = state.vote(state.evidence.logits, state.evidence.present).numpy()
    settings, classes = run.params.self_train, run.features.classes
    thresholds = class_thresholds(settings, classes, known, state.evidence.labels)
    targets = make_targets(rows, voted.probabilities, voted.agreeing, thresholds, settings)
    if run.discriminants is None:
        return targets, None
    left = 1 - choice_exponent(settings)  # the vote's classes are taken for as likely as p / share^this chooses them
    return targets, run.discriminants(chain, rows, voted.probabilities, left)
