"""What the benchmarks compare: scikit-learn's methods on the concatenated views, and ours by their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from mer.params import Params, parse_params
from mer.training.bundle import Bundle
from mer.training.features import FeatureSet
from mer.training.pretrain import Pretrained, pretrain
from mer.training.self_train import SelfTrained, self_train

Overrides = Mapping[str, Mapping[str, Any]]

SCIKIT = ("logistic regression", "self-training on it", "label spreading")

DEFAULT: Overrides = {}

PARTS: dict[str, Overrides] = {
    "mrccl": DEFAULT,
    "without contrastive pretraining": {"pretrain": {"epochs": 0}},
    "labeled clips held out of pretraining": {"pretrain": {"labeled_out": True}},
    "frozen encoders": {"self_train": {"encoder_learning_rate": 0.0}},
    "without the direct layer": {"self_train": {"direct": False}},
    "without noise terms": {"pretrain": {"noise_weight": 0.0}},
    "without pseudo-labels": {"self_train": {"rounds": 0}},
    "without oversampling": {"self_train": {"oversampling": 0.0}},
    "voting with published weights": {"self_train": {"voting": "published"}},
    "thresholds as published": {"self_train": {"thresholds": "published"}},
}
"""The default, and the default without one part each."""

ADDITIONS: dict[str, Overrides] = {
    "modality dropout": {"self_train": {"modality_dropout": 0.2}},
    "mixup": {"self_train": {"mixup": 0.5}},
    "averaged weights": {"self_train": {"ema": 0.98}},
    "logit adjustment": {"self_train": {"oversampling": 0.0, "logit_adjustment": 1.0}},
    "soft pseudo-labels": {"self_train": {"thresholds": "soft"}},
    "class quotas": {"self_train": {"quota": 0.5}},
    "estimated prior (EM)": {"self_train": {"prior": "em"}},
    "stacking": {"self_train": {"voting": "stacking"}},
    "SupCon": {"pretrain": {"objective": "supcon"}},
    "sigmoid loss": {"pretrain": {"objective": "sigmoid"}},
}
"""What the default leaves off, one at a time."""

SINGLE: dict[str, Overrides] = {
    f"{name} alone": {"model": {"modalities": [name]}} for name in ("audio", "face", "text")
}
"""One modality under the same protocol."""

BASELINES: dict[str, Overrides] = {
    kind: {"model": {"kind": kind}, "self_train": {"rounds": 0}} for kind in ("attention", "tfn", "lmf", "mult")
}
"""Fully supervised, under the same folds, oversampling and members."""


class Trainer:
    """Trains our methods on one draw; pretraining reads no label, so every label share of a draw shares it."""

    def __init__(self, model: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._model = dict(model)
        self._pretrained: dict[str, Pretrained] = {}

    def __call__(self, features: FeatureSet, overrides: Overrides, seed: int) -> SelfTrained:
        """`overrides` win over what `model` the trainer was given."""
        params = make_params({**overrides, "model": {**self._model, **overrides.get("model", {})}}, seed)
        key = params.model.model_dump_json() + params.pretrain.model_dump_json()
        if key not in self._pretrained:
            self._pretrained[key] = pretrain(features, params)
        return self_train(features, self._pretrained[key], params)


def make_params(overrides: Overrides, seed: int) -> Params:
    """The defaults with some values replaced, all seeds equal to `seed`; one thread, so that draws run side by side."""
    values: dict[str, dict[str, Any]] = {name: dict(section) for name, section in overrides.items()}
    for name in ("pretrain", "self_train"):
        values[name] = {"seed": seed} | values.get(name, {})
    values["model"] = {"threads": 1} | values.get("model", {})
    return parse_params(values)


def predict_scikit(
    method: str, x: NDArray[np.float32], labels: NDArray[np.int64], test: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Fit one of `SCIKIT` on [n, D] and labels [n] (-1 unlabeled) and predict [m, D]."""
    logistic = LogisticRegression(C=0.01, max_iter=1000)
    if method == "logistic regression":
        return logistic.fit(x[labels >= 0], labels[labels >= 0]).predict(test)
    if method == "self-training on it":
        return SelfTrainingClassifier(logistic, threshold=0.9).fit(x, labels).predict(test)
    return LabelSpreading(kernel="knn", n_neighbors=10).fit(x, labels).predict(test)


def predict_bundle(
    bundle: Bundle, views: Mapping[str, NDArray[np.float32]], groups: NDArray[np.object_]
) -> NDArray[np.int64]:
    """Classes of clips that have every view."""
    present = {name: np.ones(len(x), bool) for name, x in views.items()}
    return bundle.predict(views, present, groups).argmax(axis=1)
