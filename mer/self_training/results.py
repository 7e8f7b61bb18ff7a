"""What self-training leaves behind: the bundle, and tables of predictions, votes, pseudo-labels, rounds and experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from mer.pretraining.pretrain import Pretrained
from mer.self_training.batches import Targets
from mer.self_training.bundle import Bundle
from mer.self_training.chains import BUNDLE, Chain
from mer.self_training.class_run import Run, State, vote_of
from mer.self_training.members import OBSERVED
from mer.self_training.votes import Voted, votes_table
from mer.self_training.ways import Ways, ways_taken

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
    whether it was kept, and how many clips without a label its members learned from. `experts`: a row an outer fold and
    expert, with its calibration, its voting weight and its own score on those clips. `votes`: a row a clip and expert,
    by the chain that predicts the clip: clip_id, expert, weight, p_<class>... `history`: what every round gave as
    pseudo-labels, kept or not: the columns of `pseudo_labels`, and `kept`. `standardised`: how clips are; None
    without classes.
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
    standardised: Ways | None


def gather_results(
    run: Run,
    pretrained: Pretrained,
    first: Mapping[Chain, State],
    states: Mapping[Chain, State],
    given: Sequence[pd.DataFrame],
) -> SelfTrained:
    state, features = states[BUNDLE], run.features
    choice = run.floor.choice(BUNDLE)
    way, subset = run.seen[choice.inputs]
    bundle = Bundle(
        standardisation=pretrained.standardisations[way],
        looks_at=tuple(pretrained.standardisations[way].views.names[place] for place in subset),
        linear=tuple(run.floor.weights(BUNDLE, choice)) if run.linear else (),
        members=tuple((trained.family.name, trained.of(BUNDLE)) for one in state.rounds for trained in one.trained),
        frozen={family.name: family.frozen for family in run.families if family.frozen is not None},
        vote=state.vote,
        classes=features.classes,
        params=run.params,
        gaussians=run.gaussians(state.rounds),
    )
    own = {chain: states[chain] for chain in run.fit.chains(1)}
    names = [one.name for one in pretrained.standardisations]
    way_of = {chain: run.seen[number][0] for chain, number in run.floor.inputs_of.items()}
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
        ways_taken(names, way_of, run.fit.chains(1)),
    )


def _by_chain(run: Run, states: Mapping[Chain, State]) -> dict[Chain, tuple[NDArray[np.int64], Voted]]:
    """The clips that each chain predicts, and what it says of them: of labeled clips the chain that never saw their
    fold, of all others the bundle, which comes first and says something of every clip."""
    rows = {BUNDLE: np.arange(len(run.features))}
    rows |= {(fold,): run.fit.rows[run.fit.folds == fold] for fold in run.fit.used}
    return {chain: (own, vote_of(run, states[chain], chain, own)) for chain, own in rows.items()}


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
    columns |= {"predicted": names[chosen], "fold": np.where(features.split == "labeled", features.folds, -1)}
    return pd.DataFrame(columns)


def _pseudo_labels(run: Run, states: Mapping[Chain, State]) -> pd.DataFrame:
    tables = [NONE_GIVEN.drop(columns="kept")]
    for chain, state in states.items():
        last = state.rounds[-1]
        if (found := last.targets[chain]) is not None:
            tables.append(learned_rows(run, chain, last.number, found, state).drop(columns="kept"))
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0]


def learned_rows(run: Run, chain: Chain, number: int, targets: Targets | None, state: State) -> pd.DataFrame:
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
