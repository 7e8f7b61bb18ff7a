"""What the benchmarks compare: logistic regression as anyone would run it, baselines, the method and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mer.learning.features import FeatureSet
from mer.params import Params, parse_params
from mer.pretraining.pretrain import Pretrained, pretrain
from mer.self_training.results import SelfTrained
from mer.self_training.self_train import self_train

Overrides = Mapping[str, Mapping[str, Any]]

REFERENCE = "logistic regression"
"""scikit-learn's, C = 0.01, on the standardised views side by side."""

METHODS: dict[str, Overrides] = {
    "mrccl": {},
    "attention": {
        "model": {"kind": "attention"},
        "self_train": {"rounds": 0, "steps": 300, "posthoc_adjustment": 0.0},
    },
    "floor alone": {"model": {"kind": "logistic"}},
    "without MR-CCL's members": {"pretrain": {"epochs": 0}, "self_train": {"families": ["linear", "gaussian"]}},
    "without the Gaussians": {"self_train": {"families": ["linear", "mrccl"]}},
    "without guessed speakers": {"model": {"normalise": "corpus"}},
    "without pretraining": {"pretrain": {"epochs": 0}},
    "without the gate": {"self_train": {"gate": False}},
    "pseudo-labels over thresholds": {"self_train": {"targets": "precision"}},
    "as published": yaml.safe_load(Path("presets/paper.yaml").read_text(encoding="utf-8")),
}
"""The default, what it is to be compared with, and the default without one part each."""

MAIN = (REFERENCE, "attention", "labels only", "mrccl")
"""`labels only` is the default before its first round."""


class Trainer:
    """Trains our methods on one draw; pretraining reads no label, so every label share of a draw shares it.

    `base` are parameters of every method; those of the method win over them.
    """

    def __init__(self, base: Overrides) -> None:
        self._base = base
        self._pretrained: dict[str, Pretrained] = {}

    def __call__(self, features: FeatureSet, overrides: Overrides, seed: int) -> SelfTrained:
        params = make_params(merged(self._base, overrides), seed)
        key = params.model.model_dump_json() + params.pretrain.model_dump_json()
        if key not in self._pretrained:
            self._pretrained[key] = pretrain(features, params)
        return self_train(features, self._pretrained[key], params)


def merged(base: Overrides, overrides: Overrides) -> dict[str, dict[str, Any]]:
    """Sections of both; values of `overrides` win."""
    return {name: {**base.get(name, {}), **overrides.get(name, {})} for name in {**base, **overrides}}


def make_params(overrides: Overrides, seed: int) -> Params:
    """The defaults with some values replaced, all seeds equal to `seed`; one thread, as draws run side by side."""
    own = {"model": {"threads": 1}, "pretrain": {"seed": seed}, "self_train": {"seed": seed}}
    return parse_params(merged(own, overrides))


def logistic_regression(x: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fit on the clips [N, D] that have a label [N] (-1: none) and predict all of them."""
    known = labels >= 0
    return LogisticRegression(C=0.01, max_iter=1000).fit(x[known], labels[known]).predict(x)


def standardised(features: FeatureSet, groups: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """All views side by side, each column standardised over all clips or, with codes [N], within each group."""
    x = np.concatenate(list(features.features.values()), axis=1).astype(np.float64)
    codes = np.zeros(len(x), np.int64) if groups is None else groups
    for group in np.unique(codes):
        own = codes == group
        deviation = x[own].std(axis=0)
        x[own] = (x[own] - x[own].mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1)
    return x.astype(np.float32)
