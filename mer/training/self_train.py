"""Self-training: teachers give pseudo-labels, students learn from them, folds keep everyone honest (see `nest`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from mer.params import Params
from mer.training.bundle import Bundle
from mer.training.classifier import heads_of, make_classifier
from mer.training.determinism import deterministic, pick_device
from mer.training.features import FeatureSet, grouped, labeled_rows
from mer.training.inputs import Inputs, make_inputs
from mer.training.judging import Teachers, judge_labeled, judge_unlabeled, make_jury
from mer.training.jury import Jury
from mer.training.members import Members, TrainingSet, train_members
from mer.training.nest import WHOLE, Member, Nest, make_nests, training_set
from mer.training.pretrain import Pretrained
from mer.training.pseudo_labels import PseudoLabels, accept, class_thresholds

GROWTH = 1.01
"""Another round must bring this many times the pseudo-labels of the last, or the nest stops."""

STUDENTS = 1_000_000
"""Where a teacher's seed has its round, a student's has this."""


@dataclass(frozen=True)
class SelfTrained:
    """What self-training leaves behind.

    `predictions`: clip_id, split, label, p_<class>..., predicted, fold; labeled clips are predicted by models that saw
    neither their label nor anything made from it, the others by the bundle. `pseudo_labels`: clip_id, fold (the outer
    fold whose students learned it, -1 for the bundle's), round, label, confidence, agreeing (share of the judges).
    `curve`: a row every tenth of the students' training; `rounds`: a row a nest and round.
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
    params = params.model_copy(update={"model": pretrained.model})
    labeled = labeled_rows(features)
    device = pick_device(pretrained.model.device)
    groups = grouped(features.groups) if pretrained.model.normalise == "group" else None
    with deterministic(params.self_train.seed):
        inputs = make_inputs(pretrained.standardisers, features.features, features.present, groups, device)
        run = _Run(features, pretrained, params, inputs)
        nests = make_nests(features, labeled, params.self_train.seed)
        juries, pseudo = run.teach(nests)
        return run.study(nests, juries, pseudo)


class _Run:
    """One self-training run: what all its steps share, and the notes it takes."""

    def __init__(self, features: FeatureSet, pretrained: Pretrained, params: Params, inputs: Inputs) -> None:
        self.features, self.pretrained, self.params, self.inputs = features, pretrained, params, inputs
        self.settings = params.self_train
        self.classes = len(features.classes)
        self.heads = heads_of(pretrained.model, features.modalities)
        self.rounds: list[dict[str, float]] = []

    def teach(self, nests: Sequence[Nest]) -> tuple[dict[int, Jury], dict[int, PseudoLabels | None]]:
        """Train teachers round by round; gives each nest's jury and its last pseudo-labels (None without rounds)."""
        juries: dict[int, Jury] = {}
        pseudo: dict[int, PseudoLabels | None] = {nest.outer: None for nest in nests}
        active = list(nests)
        for number in range(self.settings.rounds + 1):
            teachers = self._train_teachers(active, pseudo, number)
            growing = []
            for nest in active:
                juries[nest.outer], found = self._judge(nest, teachers, number)
                before = pseudo[nest.outer]
                if self.settings.rounds and len(found):
                    pseudo[nest.outer] = found
                    if len(found) > GROWTH * len(before or ()):
                        growing.append(nest)
            active = growing
            if not active:
                break
        return juries, pseudo

    def _train_teachers(
        self, nests: Sequence[Nest], pseudo: Mapping[int, PseudoLabels | None], number: int
    ) -> dict[Member, tuple[Members, int]]:
        """Without pseudo-labels, teachers (k, j) and (j, k) learn the same, and are trained once."""
        wanted: dict[object, list[tuple[Member, Nest]]] = {}
        for nest in nests:
            for member in nest.teachers(self.settings.seeds):
                same = (member.excluded, member.seed) if number == 0 else member
                wanted.setdefault(same, []).append((member, nest))
        sets = [self._training_set(*users[0], pseudo, number) for users in wanted.values()]
        members = train_members(self._untrained, sets, self.inputs, self.params)
        return {member: (members, place) for place, users in enumerate(wanted.values()) for member, _ in users}

    def _training_set(
        self, member: Member, nest: Nest, pseudo: Mapping[int, PseudoLabels | None], number: int
    ) -> TrainingSet:
        return training_set(
            member,
            nest,
            self.features.labels,
            self.classes,
            pseudo[nest.outer],
            (self.settings.seed, number),
            self.settings.pseudo_weight,
        )

    def _untrained(self) -> torch.nn.Module:
        return make_classifier(self.pretrained, self.classes)

    def _judge(self, nest: Nest, teachers: Teachers, number: int) -> tuple[Jury, PseudoLabels]:
        labels = self.features.labels[nest.labeled]
        oof = judge_labeled(nest, teachers, self.settings.seeds, self.inputs)
        jury = make_jury(oof, labels, self.heads, self.settings)
        known = oof.probabilities(jury)
        thresholds = class_thresholds(self.settings, self.features.classes, known, labels)
        probabilities, agreeing = judge_unlabeled(nest, teachers, jury, self.inputs, number > 0)
        if not len(nest.unlabeled):
            probabilities = np.zeros((0, self.classes), np.float32)
        found = accept(nest.unlabeled, probabilities, agreeing, thresholds)
        self.rounds.append(
            {
                "fold": nest.outer,
                "round": number,
                "out_of_fold_weighted_f1": weighted_f1(labels, known.argmax(axis=1)),
                "pseudo_labels": len(found),
            }
        )
        return jury, found

    def study(
        self, nests: Sequence[Nest], juries: Mapping[int, Jury], pseudo: Mapping[int, PseudoLabels | None]
    ) -> SelfTrained:
        """Train the students of all nests and let them predict."""
        users = [(member, nest) for nest in nests for member in nest.students(self.settings.seeds)]
        sets = [self._training_set(member, nest, pseudo, STUDENTS) for member, nest in users]
        curve: list[dict[str, float]] = []

        def observe(first: int, step: int, members: Members, losses: NDArray[np.float64]) -> None:
            for place, (loss, (member, _)) in enumerate(zip(losses, users[first:], strict=False)):
                score = self._validate(members.select([place]), member.outer, juries)
                curve.append({"fold": member.outer, "seed": member.seed, "step": step, "loss": loss, **score})

        students = train_members(self._untrained, sets, self.inputs, self.params, observe)
        whole = students.select([i for i, (member, _) in enumerate(users) if member.outer == WHOLE])
        bundle = Bundle(
            whole, juries[WHOLE], self.pretrained.standardisers, self.features.classes, self.pretrained.model
        )
        groups = self.features.groups if self.pretrained.model.normalise == "group" else None
        probabilities = bundle.predict(self.features.features, self.features.present, groups)
        for nest in nests[:-1]:
            own = students.select([i for i, (member, _) in enumerate(users) if member.outer == nest.outer])
            rows = np.flatnonzero(self.features.folds == nest.outer)
            probabilities[rows] = self._out_of_fold(own, rows, juries[nest.outer])
        return SelfTrained(
            bundle,
            _predictions(self.features, probabilities),
            _pseudo_label_table(self.features, pseudo),
            pd.DataFrame(curve),
            pd.DataFrame(self.rounds),
        )

    def _validate(self, members: Members, outer: int, juries: Mapping[int, Jury]) -> dict[str, float]:
        """Weighted-F1 on the fold that the members never learn from: for the curve, nothing is chosen by it."""
        if outer == WHOLE:
            return {}
        rows = np.flatnonzero(self.features.folds == outer)
        predicted = self._out_of_fold(members, rows, juries[outer]).argmax(axis=1)
        return {"validation_weighted_f1": weighted_f1(self.features.labels[rows], predicted)}

    def _out_of_fold(self, members: Members, rows: NDArray[np.int64], jury: Jury) -> NDArray[np.float32]:
        part = self.inputs.take(torch.from_numpy(rows).to(self.inputs.present.device))
        return jury.probabilities(members.logits(part), part.present).mean(dim=0).cpu().numpy()


def weighted_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Weighted-F1; a class that is never predicted counts zero."""
    return float(f1_score(labels, predicted, average="weighted", zero_division=0))


def _predictions(features: FeatureSet, probabilities: NDArray[np.float32]) -> pd.DataFrame:
    names = np.array(features.classes, object)
    label = np.where(features.labels >= 0, names[features.labels], np.array(None, object))
    columns: dict[str, object] = {"clip_id": features.clip_ids, "split": features.split, "label": label}
    columns |= {f"p_{name}": probabilities[:, c] for c, name in enumerate(features.classes)}
    columns |= {"predicted": names[probabilities.argmax(axis=1)], "fold": features.folds}
    return pd.DataFrame(columns)


def _pseudo_label_table(features: FeatureSet, pseudo: Mapping[int, PseudoLabels | None]) -> pd.DataFrame:
    names = np.array(features.classes, object)
    tables = [
        pd.DataFrame(
            {
                "clip_id": features.clip_ids[found.rows],
                "fold": outer,
                "label": names[found.targets.argmax(axis=1)],
                "confidence": found.confidence,
                "agreeing": found.agreeing,
            }
        )
        for outer, found in pseudo.items()
        if found is not None
    ]
    if not tables:
        return pd.DataFrame(columns=["clip_id", "fold", "label", "confidence", "agreeing"])
    return pd.concat(tables, ignore_index=True)
