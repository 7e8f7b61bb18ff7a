"""The rounds of self-training: teachers of every nest train, are calibrated, and give pseudo-labels to their nest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import nn

from mer.model.mrccl import Encoders
from mer.params import Params
from mer.training.classifier import heads_of, make_classifier
from mer.training.determinism import pick_device
from mer.training.features import FeatureSet, grouped
from mer.training.frontend import Frontend, Inputs
from mer.training.judging import Teachers, judge_labeled, judge_unlabeled
from mer.training.jury import Jury, make_jury
from mer.training.members import train_members
from mer.training.nest import Member, Nest, training_set
from mer.training.pretrain import Pretrained
from mer.training.prior import prior_by_bbse, prior_by_em, shift_prior
from mer.training.pseudo_labels import PseudoLabels, accept, class_thresholds

GROWTH = 1.01
"""Another round must bring this many times the pseudo-labels of the last, or the nest stops."""


@dataclass(frozen=True)
class Trial:
    """What every step of a run shares: the clips, prepared, and how members are made. `encoders` are those that
    members start from, None where they are frozen and `inputs` are encoded already."""

    features: FeatureSet
    params: Params
    frontend: Frontend
    encoders: Encoders | None
    inputs: Inputs

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.features.classes)

    def untrained(self) -> nn.Module:
        """A member that was not trained."""
        return make_classifier(
            self.params.model,
            self.frontend.widths,
            self.classes,
            self.encoders,
            direct=self.params.self_train.direct,
        )


def make_trial(features: FeatureSet, pretrained: Pretrained, params: Params) -> Trial:
    """Standardise the clips, and encode them where the encoders stay as pretraining left them.

    Args:
        features: of the modalities that `pretrained` sees, and no others.
        pretrained: its model parameters take the place of those in `params`.
        params: `self_train` is read.
    """
    device = pick_device(pretrained.model.device)
    groups = grouped(features.groups) if pretrained.model.normalise == "group" else None
    encoders = pretrained.encoders if pretrained.model.kind == "mrccl" else None
    frozen = params.self_train.encoder_learning_rate == 0
    frontend = Frontend(pretrained.standardisers, encoders if frozen else None)
    return Trial(
        features=features,
        params=params.model_copy(update={"model": pretrained.model}),
        frontend=frontend,
        encoders=None if frozen else encoders,
        inputs=frontend(features.features, features.present, groups, device),
    )


@dataclass(frozen=True)
class Lesson:
    """What the teachers of a nest leave to its students: how to vote, and pseudo-labels (None: there are none).
    `learned` are those that the teachers were trained on themselves, `score` is their out-of-fold weighted-F1, and
    `notes` has a row a round."""

    jury: Jury
    pseudo: PseudoLabels | None
    learned: PseudoLabels | None
    score: float
    notes: list[dict[str, Any]] = field(default_factory=list)


def teach(trial: Trial, nests: Sequence[Nest]) -> dict[int, Lesson]:
    """Train teachers until no nest gains pseudo-labels or the rounds are over; gives outer fold -> lesson.

    In round 0 teachers see labels only. Pseudo-labels that make a nest's teachers worse out of fold are dropped: its
    students get what the teachers before had learned from. Each nest decides alone, as another's labels are none of
    its business.
    """
    settings = trial.params.self_train
    lessons: dict[int, Lesson] = {}
    active = list(nests)
    for number in range(settings.rounds + 1):
        teachers = train_teachers(trial, active, lessons, number)
        growing = []
        for nest in active:
            before = lessons.get(nest.outer)
            lesson = _judge(trial, nest, teachers, before, number)
            if before and lesson.score < before.score:
                lessons[nest.outer] = replace(before, pseudo=before.learned, notes=lesson.notes)
                continue
            lessons[nest.outer] = lesson
            if len(lesson.pseudo or ()) > GROWTH * len(lesson.learned or ()):
                growing.append(nest)
        active = growing
        if not active:
            break
    return lessons


def train_teachers(trial: Trial, nests: Sequence[Nest], lessons: dict[int, Lesson], number: int) -> Teachers:
    """Train the teachers of all nests together, on what the last round's `lessons` (outer fold -> lesson) left them.

    In round 0 there are no pseudo-labels: teachers (k, j) and (j, k) learn the same, and are trained once.
    """
    settings = trial.params.self_train
    wanted: dict[object, list[tuple[Member, Nest]]] = {}
    for nest in nests:
        for member in nest.teachers(settings.seeds):
            same = (member.excluded, member.seed) if number == 0 else member
            wanted.setdefault(same, []).append((member, nest))
    sets = []
    for users in wanted.values():
        member, nest = users[0]
        pseudo = lessons[nest.outer].pseudo if number else None
        sets.append(training_set(member, nest, trial.features.labels, pseudo, (settings.seed, number)))
    members = train_members(trial.untrained, sets, trial.inputs, trial.classes, trial.params)
    return {member: (members, place) for place, users in enumerate(wanted.values()) for member, _ in users}


def _judge(trial: Trial, nest: Nest, teachers: Teachers, before: Lesson | None, number: int) -> Lesson:
    """Calibrate a nest's teachers on the labels they did not see, and let them judge the unlabeled clips."""
    settings = trial.params.self_train
    oof = judge_labeled(nest, teachers, trial.features.labels, trial.inputs)
    jury = make_jury(oof, heads_of(trial.params.model), settings)
    known = jury.out_of_fold(oof)
    score = weighted_f1(oof.labels, known.argmax(axis=1))
    note: dict[str, Any] = {"fold": nest.outer, "round": number, "out_of_fold_weighted_f1": score}
    if not settings.rounds or not len(nest.unlabeled):
        return Lesson(jury, None, None, score, [note])
    probabilities, agreeing = judge_unlabeled(nest, teachers, jury, trial.classes, trial.inputs, by_parts=number > 0)
    priors = _priors(probabilities, known, oof.labels)
    note |= {
        f"prior_{way}_{name}": p for way in priors for name, p in zip(trial.features.classes, priors[way], strict=True)
    }
    prior = priors[settings.prior]
    if settings.prior != "labeled":
        probabilities = shift_prior(probabilities, priors["labeled"], prior).astype(np.float32)
    thresholds = class_thresholds(settings, trial.features.classes, known, oof.labels)
    found = accept(nest.unlabeled, probabilities, agreeing, thresholds, prior, settings, number)
    note["pseudo_labels"] = len(found)
    learned = before.pseudo if before else None
    return Lesson(jury, found if len(found) else learned, learned, score, [*(before.notes if before else []), note])


def _priors(
    probabilities: NDArray[np.float32], known: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """The share of each class among the unlabeled clips, by every estimate; [C] each."""
    own = np.bincount(labels, minlength=known.shape[1]) / len(labels)
    return {
        "labeled": own,
        "em": prior_by_em(probabilities, known.mean(axis=0, dtype=np.float64)),
        "bbse": prior_by_bbse(probabilities, known, labels),
    }


def weighted_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Weighted-F1; a class that is never predicted counts zero."""
    return float(f1_score(labels, predicted, average="weighted", zero_division=0))
