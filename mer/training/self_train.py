"""Self-training: teachers give pseudo-labels, students learn from them, nests keep everyone honest (see `nest`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.params import Params
from mer.training.bundle import Bundle
from mer.training.determinism import deterministic
from mer.training.features import FeatureSet, labeled_rows
from mer.training.jury import Jury
from mer.training.members import Members, train_members
from mer.training.nest import WHOLE, Member, Nest, make_nests, training_set
from mer.training.pretrain import Pretrained
from mer.training.teaching import Lesson, Trial, make_trial, teach, weighted_f1

STUDENTS = 1_000_000
"""A teacher's seed holds its round; a student's holds this."""


@dataclass(frozen=True)
class SelfTrained:
    """What self-training leaves behind.

    `predictions`: clip_id, split, label, p_<class>..., predicted, fold; labeled clips are predicted by models that saw
    neither their label nor anything made from it, the others by the bundle. `pseudo_labels`: clip_id, fold (the outer
    fold whose students learned it, -1 for the bundle's), round, label, confidence, weight, agreeing (share of the
    judges). `curve`: fold, seed, step, loss, validation_weighted_f1, ten rows a student; nothing is chosen by it.
    `rounds`: a row a nest and round, with its teachers' out-of-fold weighted-F1, the number of pseudo-labels and the
    estimated class shares of the unlabeled clips.
    """

    bundle: Bundle
    predictions: pd.DataFrame
    pseudo_labels: pd.DataFrame
    curve: pd.DataFrame
    rounds: pd.DataFrame


def self_train(features: FeatureSet, pretrained: Pretrained, params: Params) -> SelfTrained:
    """Train teachers and students of every fold on labels and pseudo-labels.

    Args:
        features: labels and folds of the labeled split, features of all clips.
        pretrained: encoders to start from and the standardisers they expect; its model parameters are used.
        params: `self_train` is read.

    Raises:
        MerError: there are no labels, only one class, fewer than three folds, or a modality is missing.
    """
    features = features.only(pretrained.model.modalities)
    labeled = labeled_rows(features)
    with deterministic(params.self_train.seed, pretrained.model.threads):
        trial = make_trial(features, pretrained, params)
        nests = make_nests(features, labeled, params.self_train.seed)
        lessons = teach(trial, nests)
        return _study(trial, nests, lessons)


def _study(trial: Trial, nests: Sequence[Nest], lessons: Mapping[int, Lesson]) -> SelfTrained:
    """Train the students of all nests; each fold's predict that fold, the whole nest's predict all other clips."""
    features, settings = trial.features, trial.params.self_train
    users = [(member, nest) for nest in nests for member in nest.students(settings.seeds)]
    sets = [
        training_set(member, nest, features.labels, lessons[nest.outer].pseudo, (settings.seed, STUDENTS))
        for member, nest in users
    ]
    curve: list[dict[str, Any]] = []

    def observe(first: int, step: int, members: Members, losses: NDArray[np.float64]) -> None:
        for place, (loss, (member, _)) in enumerate(zip(losses, users[first:], strict=False)):
            row = {"fold": member.outer, "seed": member.seed, "step": step, "loss": float(loss)}
            curve.append(row | _validate(trial, members.select([place]), member, lessons[member.outer].jury))

    students = train_members(trial.untrained, sets, trial.inputs, trial.classes, trial.params, observe)

    def of(outer: int) -> Members:
        return students.select([place for place, (member, _) in enumerate(users) if member.outer == outer])

    bundle = Bundle(of(WHOLE), lessons[WHOLE].jury, trial.frontend, features.classes, trial.params.model)
    probabilities = bundle.predict_inputs(trial.inputs)
    for nest in nests:
        if nest.outer != WHOLE:
            rows = np.flatnonzero(features.folds == nest.outer)
            probabilities[rows] = _vote(trial, of(nest.outer), lessons[nest.outer].jury, rows)
    return SelfTrained(
        bundle,
        _predictions(features, probabilities),
        _pseudo_labels(features, lessons),
        pd.DataFrame(curve),
        pd.DataFrame([row for lesson in lessons.values() for row in lesson.notes]),
    )


def _validate(trial: Trial, members: Members, member: Member, jury: Jury) -> dict[str, float]:
    if member.outer == WHOLE:
        return {}
    rows = np.flatnonzero(trial.features.folds == member.outer)
    predicted = _vote(trial, members, jury, rows).argmax(axis=1)
    return {"validation_weighted_f1": weighted_f1(trial.features.labels[rows], predicted)}


def _vote(trial: Trial, members: Members, jury: Jury, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    part = trial.inputs.take(rows)
    return jury.verdict(members.logits(part), part.present).cpu().numpy()


def _predictions(features: FeatureSet, probabilities: NDArray[np.float32]) -> pd.DataFrame:
    names = np.array([*features.classes, None], object)  # -1 takes the last
    columns: dict[str, Any] = {"clip_id": features.clip_ids, "split": features.split, "label": names[features.labels]}
    columns |= {f"p_{name}": probabilities[:, c] for c, name in enumerate(features.classes)}
    columns |= {"predicted": names[probabilities.argmax(axis=1)], "fold": features.folds}
    return pd.DataFrame(columns)


def _pseudo_labels(features: FeatureSet, lessons: Mapping[int, Lesson]) -> pd.DataFrame:
    names = np.array(features.classes, object)
    tables = [pd.DataFrame(columns=["clip_id", "fold", "round", "label", "confidence", "weight", "agreeing"])]
    for outer, lesson in lessons.items():
        if (found := lesson.pseudo) is not None:
            columns = {"clip_id": features.clip_ids[found.rows], "fold": outer, "round": found.round}
            columns |= {"label": names[found.label], "confidence": found.confidence}
            tables.append(pd.DataFrame(columns | {"weight": found.weights, "agreeing": found.agreeing}))
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0]
