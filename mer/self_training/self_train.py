"""Self-training: experts of every chain vote, their vote is distilled into the next round's members, and a round is
kept where clips that its models never saw say so (see `chains`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import Tensor

from mer.learning.determinism import deterministic, pick_device
from mer.learning.features import FeatureSet
from mer.params import Params, SelfTrainParams
from mer.pretraining.pretrain import Pretrained
from mer.self_training.batches import Targets
from mer.self_training.bundle import Bundle
from mer.self_training.calibration import log_likelihood, log_shares
from mer.self_training.chains import BUNDLE, Chain, CrossFitting, cross_fitting
from mer.self_training.ensemble import Family, Round, make_families, train_round
from mer.self_training.floor import FLOOR, Choice, Floor, choose_views
from mer.self_training.members import OBSERVED
from mer.self_training.subsets import Subset, choose_subsets
from mer.self_training.targets import class_thresholds, make_targets
from mer.self_training.votes import Voted, joined, votes_table
from mer.self_training.voting import STUDENTS, Vote, decide_vote, expert_presence, gain, prior_weights

FEW_FOLDS = 6
"""With more folds than these the largest chains take the first view: to let them choose would cost too many fits."""

ROWS = 8192
"""Clips voted on at once."""

NONE_GIVEN = pd.DataFrame(columns=["clip_id", "fold", "round", "label", "confidence", "weight", "kept"])
"""A table of pseudo-labels without a row."""


@dataclass(frozen=True)
class SelfTrained:
    """What self-training leaves behind.

    `predictions`: clip_id, split, label, p_<class>..., predicted, fold; labeled clips are predicted by models and by
    decisions that saw neither their label nor anything made from it, the others by the bundle. `labels_only`: the same
    before any round of self-training. `pseudo_labels`:
    clip_id, fold (the outer fold whose members learned it, -1 for the bundle's), round, label, confidence, weight.
    `curve`: fold, seed, step, loss. `rounds`: a row an outer fold and round: how it scores on the clips that decide,
    whether it was kept, and how many unlabeled clips its members learned from. `experts`: a row an outer fold and
    expert, with its calibration, its voting weight and its own score on those clips. `votes`: a row a clip and expert,
    by the chain that predicts the clip: clip_id, expert, weight, p_<class>... `history`: what every round gave as
    pseudo-labels, kept or not: the columns of `pseudo_labels`, and `kept`.
    """

    bundle: Bundle
    predictions: pd.DataFrame
    labels_only: pd.DataFrame
    pseudo_labels: pd.DataFrame
    curve: pd.DataFrame
    rounds: pd.DataFrame
    experts: pd.DataFrame
    votes: pd.DataFrame
    history: pd.DataFrame


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
    """By number of a view: the way to standardise, and the places of the views that are looked at."""

    @property
    def linear(self) -> bool:
        """Whether the floor votes: always, but for baselines that are to be compared with it."""
        return self.params.model.kind in ("mrccl", "logistic")

    def experts(self, rounds: Sequence[Round]) -> list[str]:
        """`<family> <part>` of all experts, the floor's first."""
        return [name for name, _ in self._parts(rounds)]

    def _parts(self, rounds: Sequence[Round]) -> list[tuple[str, list[int]]]:
        """Every expert's name, and the places of the views that it sees."""
        parts = list(self.floor.parts.items()) if self.linear else []
        for one in rounds:
            for family in self.families:
                name = f"{family.name}{STUDENTS * bool(one.number)}"
                parts += [(f"{name} {head}", places) for head, places in family.heads.items()]
        return parts

    def logits(self, rounds: Sequence[Round], chain: Chain, rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """What all experts of a chain say of some clips, [E, n, C]."""
        parts = [self.floor.logits(chain, rows, choice)] if self.linear else []
        parts += [trained.logits(chain, rows) for one in rounds for trained in one.trained]
        return torch.cat([part.cpu() for part in parts])

    def presence(self, rounds: Sequence[Round], rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """Which clips each expert sees something of, bool [E, n]."""
        present = self.floor.views[choice.view].present[rows].cpu()
        return expert_presence(present, (places for _, places in self._parts(rounds)))


def self_train(features: FeatureSet, pretrained: Pretrained, params: Params) -> SelfTrained:
    """Cross-fit the experts, let them vote, and distil their vote, round by round.

    Args:
        features: labels and folds of the labeled split, features of all clips.
        pretrained: the views of the clips and their encoders; the model and the noise are those that it was made with.
        params: `self_train` is read.

    Raises:
        MerError: there are no labels, only one class, fewer than three folds, or a modality is missing.
    """
    features = features.only(pretrained.modalities)
    params = params.model_copy(update={"model": pretrained.model, "pretrain": pretrained.settings})
    fit = cross_fitting(features)
    with deterministic(params.self_train.seed, threads=1):  # members train on threads of their own
        unlabeled = (features.split == "unlabeled").any()
        rounds = params.self_train.rounds if unlabeled and params.model.kind != "logistic" else 0
        run = _prepare(features, pretrained, params, fit, rounds)
        states: dict[Chain, State] = {}
        first: dict[Chain, State] = {}
        done: list[Round] = []
        given: list[pd.DataFrame] = []
        for number in range(rounds + 1):
            chains = fit.chains(2 + rounds - number)
            targets = {chain: _targets(run, states[chain], chain) if number else None for chain in chains}
            if number and not any(targets.values()):
                break
            view_of = {chain: run.floor.view_of[chain] for chain in chains}
            done = [*done[:1], train_round(number, view_of, fit, targets, run.families)]
            for chain in fit.chains(1 + rounds - number):
                states[chain] = _decide(run, tuple(done), chain, states.get(chain))
            given += [_learned(run, chain, number, targets[chain], states[chain]) for chain in fit.chains(1)]
            first = first or dict(states)
        return _results(run, pretrained, first, states, given)


def _prepare(features: FeatureSet, pretrained: Pretrained, params: Params, fit: CrossFitting, rounds: int) -> Run:
    """Choose how every chain sees the clips, standardise them in the ways that were chosen, and fit the floor."""
    device, classes = pick_device(params.model.device), len(features.classes)
    clips = (features.features, features.present, features.groups, device, features.frames)
    labeled = [way.inputs(*clips).take(fit.rows) for way in pretrained.views]  # one of all clips at a time
    most, known = 2 + rounds, pretrained.views[0].views
    chains = fit.chains(most + 1 if len(fit.used) <= FEW_FOLDS else most)
    way_of = choose_views(labeled, known, fit, chains, classes, params.self_train.caution)
    subset_of = choose_subsets(labeled, way_of, known, fit, classes, params.self_train)
    seen = {chain: (way_of[chain], subset_of[chain]) for chain in fit.chains(most)}
    order = sorted(set(seen.values()))
    ways = {way: pretrained.views[way].inputs(*clips) for way, _ in order}
    views = {i: ways[way].seen_through(subset) for i, (way, subset) in enumerate(order)}
    view_of = {chain: order.index(of) for chain, of in seen.items()}
    floor = Floor(views, view_of, known, fit, classes, params.self_train.caution)
    families = make_families(views, known, pretrained.encoders, params, classes)
    return Run(features, params, fit, floor, families, order)


def _evidence(run: Run, rounds: Sequence[Round], chain: Chain) -> Evidence:
    """Predictions of every fold that the chain learns from, by the chain that left it out as well."""
    deciding, choice = run.fit.deciding(chain), run.floor.choice(chain)
    logits = [run.logits(rounds, one, run.fit.rows[places], choice) for one, places in deciding]
    places = np.concatenate([np.zeros(0, np.int64), *(places for _, places in deciding)])
    nothing = torch.zeros(len(run.experts(rounds)), 0, len(run.features.classes))
    joined = torch.cat([nothing, *logits], dim=1)
    return Evidence(joined, run.presence(rounds, run.fit.rows[places], choice), run.fit.labels[places])


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
    kept = not settings.gate or (mean > 0 and mean >= settings.caution * error)
    notes = [*before.notes, {**note, "kept": kept}]
    return State(rounds, vote, scores, evidence, notes) if kept else replace(before, notes=notes)


def _expected_exponent(expert: str, settings: SelfTrainParams) -> float:
    """How much of the classes' shares training has taken out of an expert: all of it in the floor and where every class
    was seen equally often, and of a student only as much as labels had of its batches."""
    if expert.startswith(FLOOR):
        return 1.0
    balanced = min(1.0, settings.oversampling + settings.logit_adjustment)
    return balanced * (1 - settings.unlabeled_share) if STUDENTS in expert else balanced


def _targets(run: Run, state: State, chain: Chain) -> Targets | None:
    """What the chain's own vote says of the unlabeled clips."""
    rows = np.flatnonzero(run.features.split == "unlabeled")
    voted = _vote(run, state, chain, rows)
    known = state.vote(state.evidence.logits, state.evidence.present).numpy()
    settings, classes = run.params.self_train, run.features.classes
    thresholds = class_thresholds(settings, classes, known, state.evidence.labels)
    return make_targets(rows, voted.probabilities, voted.agreeing, thresholds, settings)


def _vote(run: Run, state: State, chain: Chain, rows: NDArray[np.int64]) -> Voted:
    """What a chain's vote and each of its experts say of some clips."""
    choice, experts = run.floor.choice(chain), len(run.experts(state.rounds))
    nothing = np.zeros((experts, 0, len(run.features.classes)), np.float16)
    parts = [Voted(nothing[0].astype(np.float32), np.zeros(0, np.float32), nothing)]
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        logits, present = run.logits(state.rounds, chain, part, choice), run.presence(state.rounds, part, choice)
        voted, calibrated = state.vote(logits, present), state.vote.calibrated(logits)
        same = calibrated.argmax(dim=-1) == voted.argmax(dim=-1)  # [E, n]
        weight = state.vote.weights[:, None] * present
        share = (weight * same).sum(dim=0) / weight.sum(dim=0).clamp(min=1e-9)
        seen = calibrated.masked_fill(~present[..., None], torch.nan).half()
        parts.append(Voted(voted.numpy(), share.float().numpy(), seen.numpy()))
    return joined(parts)


def _results(
    run: Run,
    pretrained: Pretrained,
    first: Mapping[Chain, State],
    states: Mapping[Chain, State],
    given: Sequence[pd.DataFrame],
) -> SelfTrained:
    state, features = states[BUNDLE], run.features
    choice = run.floor.choice(BUNDLE)
    way, subset = run.seen[choice.view]
    bundle = Bundle(
        view=pretrained.views[way],
        looks_at=tuple(pretrained.views[way].views.names[place] for place in subset),
        linear=tuple(run.floor.weights(BUNDLE, choice)) if run.linear else (),
        members=tuple((trained.family.name, trained.of(BUNDLE)) for one in state.rounds for trained in one.trained),
        frozen={family.name: family.frozen for family in run.families if family.frozen is not None},
        vote=state.vote,
        classes=features.classes,
        params=run.params,
    )
    own = {chain: states[chain] for chain in run.fit.chains(1)}
    voted, before = _by_chain(run, states), _by_chain(run, first)
    learned = [table for table in given if len(table)]
    return SelfTrained(
        bundle,
        _predictions(run, voted, states),
        _predictions(run, before, first),
        _pseudo_labels(run, own),
        _curve(run, own),
        pd.DataFrame([note for one in own.values() for note in one.notes]),
        pd.DataFrame([row for chain, one in own.items() for row in _expert_rows(run, chain, one)]),
        _votes(run, states, voted),
        pd.concat(learned, ignore_index=True) if learned else NONE_GIVEN,
    )


def _by_chain(run: Run, states: Mapping[Chain, State]) -> dict[Chain, tuple[NDArray[np.int64], Voted]]:
    """The clips that each chain predicts, and what it says of them: of labeled clips the chain that never saw their
    fold, of all others the bundle, which comes first and says something of every clip."""
    rows = {BUNDLE: np.arange(len(run.features))}
    rows |= {(fold,): run.fit.rows[run.fit.folds == fold] for fold in run.fit.used}
    return {chain: (own, _vote(run, states[chain], chain, own)) for chain, own in rows.items()}


def _votes(
    run: Run, states: Mapping[Chain, State], voted: Mapping[Chain, tuple[NDArray[np.int64], Voted]]
) -> pd.DataFrame:
    tables = []
    for chain, (rows, said) in voted.items():
        state = states[chain]
        names, weights = run.experts(state.rounds), state.vote.weights.numpy()
        table = votes_table(said, rows, run.features.clip_ids, names, weights, run.features.classes)
        tables.append(table if chain else table[~table["place"].isin(run.fit.rows)])
    together = pd.concat(tables).sort_values("place", kind="stable", ignore_index=True)
    return together.drop(columns="place")


def _predictions(
    run: Run, voted: Mapping[Chain, tuple[NDArray[np.int64], Voted]], states: Mapping[Chain, State]
) -> pd.DataFrame:
    """Later chains have the last word."""
    features = run.features
    names = np.array([*features.classes, None], object)  # -1 takes the last
    probabilities = np.zeros((len(features), len(features.classes)), np.float32)
    chosen = np.zeros(len(features), np.int64)
    for chain, (rows, said) in voted.items():
        probabilities[rows] = said.probabilities
        chosen[rows] = states[chain].vote.choose(torch.from_numpy(said.probabilities)).numpy()
    columns: dict[str, Any] = {"clip_id": features.clip_ids, "split": features.split, "label": names[features.labels]}
    columns |= {f"p_{name}": probabilities[:, c] for c, name in enumerate(features.classes)}
    columns |= {"predicted": names[chosen], "fold": features.folds}
    return pd.DataFrame(columns)


def _pseudo_labels(run: Run, states: Mapping[Chain, State]) -> pd.DataFrame:
    tables = [NONE_GIVEN.drop(columns="kept")]
    for chain, state in states.items():
        last = state.rounds[-1]
        if (found := last.targets[chain]) is not None:
            tables.append(_learned(run, chain, last.number, found, state).drop(columns="kept"))
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0]


def _learned(run: Run, chain: Chain, number: int, targets: Targets | None, state: State) -> pd.DataFrame:
    """What a chain's members learned of unlabeled clips in a round, and whether that round is kept by now."""
    if targets is None:
        return NONE_GIVEN
    names = np.array(run.features.classes, object)
    columns = {"clip_id": run.features.clip_ids[targets.rows], "fold": chain[0] if chain else -1, "round": number}
    columns |= {"label": names[targets.probabilities.argmax(axis=1)]}
    columns |= {"confidence": targets.probabilities.max(axis=1), "weight": targets.weights}
    kept = any(note["round"] == number and note["kept"] for note in state.notes)
    return pd.DataFrame({**columns, "kept": kept})


def _curve(run: Run, states: Mapping[Chain, State]) -> pd.DataFrame:
    """Losses of the last members that vote, a row a family, member and time."""
    rows: list[dict[str, Any]] = []
    every = max(1, run.params.self_train.steps // OBSERVED)
    for chain, state in states.items():
        for trained in state.rounds[-1].trained:
            for seed, losses in enumerate(trained.of(chain).losses):
                for time, loss in enumerate(losses, start=1):
                    row = {"fold": chain[0] if chain else -1, "family": trained.family.name, "seed": seed}
                    rows.append({**row, "step": time * every, "loss": float(loss)})
    return pd.DataFrame(rows, columns=["fold", "family", "seed", "step", "loss"])


def _expert_rows(run: Run, chain: Chain, state: State) -> list[dict[str, Any]]:
    evidence, vote = state.evidence, state.vote
    predicted = vote.calibrated(evidence.logits).argmax(dim=-1).numpy()
    return [
        {
            "fold": chain[0] if chain else -1,
            "expert": name,
            "sharpness": float(vote.sharpness[e]),
            "exponent": float(vote.exponent[e]),
            "weight": float(vote.weights[e]),
            "weighted_f1": weighted_f1(evidence.labels, predicted[e]) if len(evidence.labels) else None,
        }
        for e, name in enumerate(run.experts(state.rounds))
    ]


def weighted_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Weighted-F1; a class that is never predicted counts zero."""
    return float(f1_score(labels, predicted, average="weighted", zero_division=0))
