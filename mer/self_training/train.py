"""What one run of self-training gives: classes, numbers, or both, in one bundle and one table of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from mer.clips.tables import TRANSDUCTIVE
from mer.errors import MerError
from mer.learning.features import FeatureSet
from mer.params import Params
from mer.params.corpus import target_names
from mer.pretraining.pretrain import Pretrained
from mer.self_training.bundle import Bundle
from mer.self_training.estimator import Estimator
from mer.self_training.regress import Regressed, regress
from mer.self_training.results import NONE_GIVEN, SelfTrained
from mer.self_training.self_train import self_train
from mer.self_training.voting import Vote
from mer.self_training.ways import Ways


@dataclass(frozen=True)
class Trained:
    """`of_classes` is what `SelfTrained` says, without numbers; `target_rounds` what `Regressed` says of its rounds,
    without rows where the run predicts no numbers. `bundle`, `predictions` and `experts` hold both. `standardised`:
    how clips are for `classes`, for `targets`."""

    of_classes: SelfTrained
    bundle: Bundle
    predictions: pd.DataFrame
    experts: pd.DataFrame
    target_rounds: pd.DataFrame
    standardised: Mapping[str, Ways]


TARGET_ROUNDS = ["fold", "round", "squared_error", "kept"]


def train(features: FeatureSet, pretrained: Pretrained, params: Params) -> Trained:
    """Train what `corpus.target` and the corpus' labels ask for.

    Raises:
        MerError: there is nothing to learn: neither classes nor targets; or see `self_train` and `regress`.
    """
    names = target_names(params.corpus.target)
    if not features.classes and not names:
        there = ", ".join(features.targets)
        hint = f"; set 'corpus.target' to one of {there}" if there else ""
        raise MerError(f"self_train: the corpus has no labels{hint}")
    of_numbers = None if not names else regress(features, pretrained, params, names)
    if features.classes:
        of_classes = self_train(features, pretrained, params)
    else:
        assert of_numbers is not None
        of_classes = _without_classes(features, of_numbers.estimator, pretrained, params)
    if of_numbers is None:
        nothing = pd.DataFrame(columns=TARGET_ROUNDS)
        ways = _ways(of_classes, None)
        trained = Trained(of_classes, of_classes.bundle, of_classes.predictions, of_classes.experts, nothing, ways)
    else:
        trained = _joined(of_classes, of_numbers)
    if clips := _test_clips_learned_from(features, params, [of_classes.rounds, trained.target_rounds]):
        trained.predictions.attrs[TRANSDUCTIVE] = clips
    return trained


def _test_clips_learned_from(features: FeatureSet, params: Params, rounds: Sequence[pd.DataFrame]) -> int:
    """How many the bundle's experts learned from: those of the first round learn from labels alone."""
    later = pd.concat([table[["fold", "round", "kept"]] for table in rounds if len(table)])
    kept = later["kept"].astype(bool) & (later["round"] > 0) & (later["fold"] == -1)
    return int((features.split == "test").sum()) if params.self_train.transductive and kept.any() else 0


def _joined(of_classes: SelfTrained, of_numbers: Regressed) -> Trained:
    estimator = of_numbers.estimator
    return Trained(
        of_classes,
        replace(of_classes.bundle, numbers=estimator, frozen={**of_classes.bundle.frozen, **estimator.frozen}),
        of_classes.predictions.merge(of_numbers.predictions, on="clip_id", how="left", validate="one_to_one"),
        pd.concat([of_classes.experts, of_numbers.experts], ignore_index=True)
        if len(of_classes.experts)
        else of_numbers.experts,
        of_numbers.rounds[TARGET_ROUNDS],
        _ways(of_classes, of_numbers),
    )


def _ways(of_classes: SelfTrained, of_numbers: Regressed | None) -> dict[str, Ways]:
    ways = {"classes": of_classes.standardised, "targets": of_numbers.standardised if of_numbers else None}
    return {what: way for what, way in ways.items() if way is not None}


def _without_classes(features: FeatureSet, estimator: Estimator, pretrained: Pretrained, params: Params) -> SelfTrained:
    """What a corpus without labels has in place of classes: tables without rows, and a vote of nobody."""
    nobody = torch.zeros(0)
    vote = Vote(nobody, nobody, nobody, nobody, torch.ones(1))
    params = params.model_copy(update={"model": pretrained.model, "pretrain": pretrained.settings})
    bundle = Bundle(estimator.standardisation, estimator.looks_at, (), (), {}, vote, (), params)
    none = pd.Series([None] * len(features), dtype="str")
    predictions = pd.DataFrame(
        {"clip_id": features.clip_ids, "split": features.split, "label": none, "predicted": none}
    ).assign(fold=np.where(features.split == "labeled", features.folds, -1))
    return SelfTrained(
        bundle,
        predictions,
        predictions,
        pd.DataFrame(columns=["clip_id", "fold", "round", "label", "confidence", "weight"]),
        pd.DataFrame(columns=["fold", "family", "seed", "step", "loss"]),
        pd.DataFrame(columns=["fold", "round", "log_likelihood", "weighted_f1", "pseudo_labels", "kept"]),
        pd.DataFrame(columns=["fold", "expert", "sharpness", "exponent", "weight", "weighted_f1"]),
        pd.DataFrame(columns=["clip_id", "expert", "weight"]),
        NONE_GIVEN,
        None,
    )
