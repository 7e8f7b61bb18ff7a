"""A bundle that standardises within groups: groups given, and the best estimate where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from mer.clips import ClipTable
from mer.encoders.base import Features
from mer.learning.features import FeatureSet, build_feature_set
from mer.params import Params
from mer.prediction.answer import Prediction
from mer.prediction.extractor import Extracted
from mer.prediction.source import Source
from mer.prediction.voting import predictions
from mer.pretraining.pretrain import pretrain
from mer.self_training.bundle import Bundle
from mer.self_training.self_train import self_train
from mer.store.tables import UtteranceTable

CLASSES = ("angry", "happy", "neutral", "sad")
SPEAKERS, CLIPS, WIDTH = 12, 60, 32
LOUDNESS = 3.0
"""How far speakers lie apart, in deviations of a clip."""


def speakers(number: int, rng: np.random.Generator, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips of speakers who differ more among each other than emotions do: features, labels, groups."""
    labels = rng.integers(len(CLASSES), size=(number, CLIPS))
    own = rng.normal(size=(number, 1, WIDTH)) * LOUDNESS
    x = (means[labels] + 0.8 * rng.normal(size=(number, CLIPS, WIDTH))) * np.exp(rng.normal(size=(number, 1, 1)) * 0.3)
    names = np.repeat([f"speaker{i}" for i in range(number)], CLIPS)
    return (x + own).reshape(-1, WIDTH).astype(np.float32), labels.ravel(), names.astype(object)


def feature_set(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> FeatureSet:
    ids = [f"clip{i}" for i in range(len(x))]
    rows = pd.DataFrame({"clip_id": ids, "path": ids, "split": "labeled", "label": np.array(CLASSES)[labels]})
    folds = [int(name.removeprefix("speaker")) % 3 for name in groups]
    table = UtteranceTable(ids, x, np.ones(len(x), np.int32), np.ones(len(x), bool))
    return build_feature_set(ClipTable(rows.assign(group=groups, fold=folds), CLASSES), {"audio": table})


@pytest.fixture(scope="module")
def trained() -> tuple[Bundle, float, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A bundle, the weighted-F1 that training says, and clips of speakers that it never saw."""
    rng = np.random.default_rng(0)
    means = 0.9 * rng.normal(size=(len(CLASSES), WIDTH))
    params = Params.model_validate(
        {
            "model": {"kind": "logistic", "modalities": ["audio"], "normalise": ["group"]},
            "pretrain": {"epochs": 0},
            "self_train": {"rounds": 0},
        }
    )
    features = feature_set(*speakers(SPEAKERS, rng, means))
    found = self_train(features, pretrain(features, params), params)
    truth = np.array(CLASSES)[features.labels]
    said = f1_score(truth, found.predictions["predicted"], average="weighted")
    return found.bundle, float(said), speakers(6, rng, means)


def predicted(bundle: Bundle, x: np.ndarray, groups: list[str | None]) -> list[Prediction]:
    sources = [Source(f"{i}.wav", f"{i}.wav", group) for i, group in enumerate(groups)]
    found = [Extracted({"audio": Features(row, 1, True)}, "", "none", (), 1.0) for row in x]
    return predictions(bundle, sources, found)


def score(bundle: Bundle, x: np.ndarray, labels: np.ndarray, groups: list[str | None]) -> float:
    found = [one.label for one in predicted(bundle, x, groups)]
    return float(f1_score(np.array(CLASSES)[labels], found, average="weighted"))


def test_with_groups_given_new_speakers_score_as_training_said(trained) -> None:
    bundle, said, (x, labels, groups) = trained
    assert said >= 0.99
    assert score(bundle, x, labels, list(groups)) >= 0.98


def test_clips_of_one_speaker_without_a_group_are_that_speakers_own_group(trained) -> None:
    """The corpus' statistics, which earlier versions took, predict half of them right."""
    bundle, _, (x, labels, groups) = trained
    own = [score(bundle, x[groups == name][:16], labels[groups == name][:16], [None] * 16) for name in set(groups)]
    assert np.mean(own) >= 0.9
    corpus = bundle.predict({"audio": x}, {"audio": np.ones(len(x), bool)}).argmax(axis=1)
    assert f1_score(labels, corpus, average="weighted") < 0.8


def test_one_call_with_groups_and_without_differs_for_those_without_alone(trained) -> None:
    bundle, _, (x, _, groups) = trained
    given = predicted(bundle, x[:180], list(groups[:180]))
    some = predicted(bundle, x[:180], [*groups[:60], *[None] * 120])
    for a, b in zip(given[:60], some[:60], strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)
    assert any(a.probabilities != b.probabilities for a, b in zip(given[60:], some[60:], strict=True))


def test_the_path_of_groups_is_the_same_through_a_folder(trained, tmp_path: Path) -> None:
    """A saved bundle says the same."""
    from mer.self_training.bundle_reading import load_bundle

    bundle, _, (x, _, groups) = trained
    bundle.save(tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    a, b = predicted(bundle, x[:60], list(groups[:60])), predicted(loaded, x[:60], list(groups[:60]))
    assert [one.probabilities for one in a] == [one.probabilities for one in b]
