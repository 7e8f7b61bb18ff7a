"""The classifier as ONNX says what the bundle says, for any number of clips and in every way of standardising."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer.params import Params
from mer.prediction.export import export_onnx
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle import Bundle
from mer.self_training.self_train import self_train
from tests.learning.synthetic import make_features

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

MODELS: dict[str, dict[str, Any]] = {
    "mrccl": {"model": {"kind": "mrccl", "normalise": ["corpus"], "width": 8, "heads": 2, "components": 4}},
    "within groups": {"model": {"kind": "logistic", "normalise": ["group"]}},
    "guessed speakers": {"model": {"kind": "logistic", "normalise": ["guessed"], "speakers": [3]}},
    "after a round": {
        "model": {"kind": "mrccl", "normalise": ["corpus"], "width": 8, "heads": 2, "components": 4},
        "self_train": {"rounds": 1, "gate": False},
    },
    "some of the views": {
        "model": {"kind": "mrccl", "normalise": ["corpus"], "width": 8, "heads": 2},
        "self_train": {"rounds": 1, "gate": False, "views": ["audio", "text"]},
    },
    "a baseline": {"model": {"kind": "attention", "normalise": ["corpus"], "width": 8, "heads": 2}},
}


def trained(values: dict[str, Any]) -> tuple[Bundle, Any]:
    params = Params.model_validate(
        {
            "model": values["model"],
            "pretrain": {"epochs": 1},
            "self_train": {"rounds": 0, "steps": 10, "seeds": 1, **values.get("self_train", {})},
        }
    )
    features, _ = make_features()
    features = replace(features, groups=np.array([f"g{i % 3}" for i in range(len(features))], object))
    return self_train(features, pretrain(features, params), params).bundle, features


@pytest.mark.parametrize("kind", MODELS)
def test_the_file_predicts_what_the_bundle_predicts(kind: str, tmp_path: Path) -> None:
    bundle, features = trained(MODELS[kind])
    export_onnx(bundle, tmp_path / "c.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "c.onnx"), providers=["CPUExecutionProvider"])
    names = list(bundle.standardisation.standardisers)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(bundle.classes)
    assert json.loads(about["views"]) == names
    rng = np.random.default_rng(0)
    for number in (1, 2, 17):
        rows = np.arange(number)
        x = {name: features.features[name][rows] for name in names}
        present = {name: rng.random(number) < 0.7 for name in names}
        groups = np.array([f"g{i % 3}" for i in rows], object)
        given = {**x, "present": np.stack([present[name] for name in names], axis=1)}
        if kind == "within groups":
            given["group"] = rows % 3
        wanted = bundle.predict(x, present, groups)
        [found] = session.run(["probabilities"], given)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        assert np.ptp(wanted) > 0.05  # they say something
