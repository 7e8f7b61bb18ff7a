"""A trained bundle on new clips: the features of training, one line of mistake for what cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from mer.clips import ClipTable
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import MerError
from mer.learning.features import build_feature_set
from mer.params import Params
from mer.predict import Predictor, save_bundle
from mer.pretraining.pretrain import pretrain
from mer.self_training.self_train import self_train
from mer.store.tables import UtteranceTable

TEXTS = {"happy": "太好了真开心", "sad": "我很难过想哭", "angry": "你给我出去闭嘴"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learned from text alone, saved with all that prediction needs."""
    folder = tmp_path_factory.mktemp("bundle")
    params = Params.model_validate(
        {
            "model": {"modalities": ["text"], "width": 8, "heads": 2},
            "pretrain": {"epochs": 1},
            "self_train": {"rounds": 0, "steps": 60, "seeds": 1, "learning_rate": 0.01},
            "text": {"dimensions": 6},
        }
    )
    labels = [name for name in TEXTS for _ in range(9)]
    texts = [TEXTS[label] for label in labels]
    encoder = TfidfTextEncoder.fit(texts, params.text)
    encoder.save(folder / "features/text/encoder")
    clip_ids = [f"clip{i}" for i in range(len(labels))]
    rows = pd.DataFrame({"clip_id": clip_ids, "path": clip_ids, "split": "labeled", "label": labels})
    rows = rows.assign(group=None, transcript=texts, fold=np.arange(len(labels)) % 3)
    found = encoder.encode(texts)
    table = UtteranceTable(
        clip_ids,
        np.stack([of.embedding for of in found]),
        np.array([of.frames for of in found], np.int32),
        np.array([of.ok for of in found]),
    )
    features = build_feature_set(ClipTable(rows, tuple(TEXTS)), {"text": table})
    trained = self_train(features, pretrain(features, params), params)
    save_bundle(folder / "bundle", trained.bundle, params, folder / "features")
    return folder / "bundle"


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000, np.float32), 16000)
    return tmp_path / "silence.wav"


@pytest.mark.parametrize("label", TEXTS)
def test_a_clip_gets_the_label_of_what_is_said(bundle: Path, silence: Path, label: str) -> None:
    prediction = Predictor(bundle).predict(silence, TEXTS[label])
    assert prediction.label == label
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.modalities == {"text": True}


def test_a_prediction_is_a_line_of_json(bundle: Path, silence: Path) -> None:
    values = json.loads(json.dumps(Predictor(bundle).predict(silence, TEXTS["sad"]).as_dict(), ensure_ascii=False))
    assert values["label"] == "sad"
    assert set(values["probabilities"]) == set(TEXTS)
    assert "error" not in values


def test_a_clip_without_any_modality_is_told_from_a_prediction(bundle: Path, silence: Path) -> None:
    prediction = Predictor(bundle).predict(silence)
    assert prediction.label is None
    assert "text: empty text" in str(prediction)


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_a_file_that_does_not_decode_gives_a_line_and_no_label(bundle: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    prediction = Predictor(bundle).predict(tmp_path / "broken.mp4", "太好了")
    assert prediction.label is None
    assert prediction.error
    assert "\n" not in str(prediction)


def test_another_encoder_than_in_training_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    TfidfTextEncoder.fit(["something else"], Params().text).save(copy / "text")
    with pytest.raises(MerError, match="text encoder is not the one"):
        Predictor(copy)


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerError, match=str(tmp_path)):
        Predictor(tmp_path)
