"""What a bundle says of itself: no path of the machine, synthetic corpora known by place or by mark, the score."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mer.about import MARK, _lines, describe, is_synthetic
from mer.params import ModelParams, Params
from tests.learning.synthetic import CLASSES, make_features


def told(params, wrong=0, **attrs):
    features, truth = make_features()
    predicted = np.array(CLASSES, object)[truth]
    predicted[:wrong] = np.array(CLASSES, object)[(truth[:wrong] + 1) % 3]
    predictions = pd.DataFrame({"predicted": predicted})
    predictions.attrs.update(attrs)
    return describe(Params.model_validate(params), features, predictions)


def test_the_score_is_that_of_the_labeled_clips_with_an_interval():
    right, worse = told({}), told({}, wrong=15)
    assert right["out_of_fold"]["weighted_f1"] == 1
    assert worse["out_of_fold"]["weighted_f1"] == pytest.approx(2 / 3, abs=0.05)
    assert worse["out_of_fold"]["low"] < worse["out_of_fold"]["weighted_f1"] < worse["out_of_fold"]["high"]
    assert worse["clips"] == {"labeled": 45, "unlabeled": 40, "test": 15}


def test_that_test_clips_were_learned_from_is_said_where_they_were():
    assert "transductive" not in str(told({}))
    about = told({}, transductive_clips=15)
    assert about["transductive_clips"] == 15
    bundle = SimpleNamespace(
        classes=("happy", "sad"), model=ModelParams(), vote=SimpleNamespace(adjustment=torch.ones(1))
    )
    clips = _lines(about, bundle)[1]
    assert clips.endswith("15 test; self-training learned from those of test, too")


def test_no_path_of_the_machine_goes_in():
    about = told(
        {
            "corpus": {"root": "/home/someone/data/emodb", "layout": "folder"},
            "views": {"audio": {"model": "/home/someone/models/hubert"}, "face": {}, "text": {}},
            "transcribe": {"asr": "/home/someone/models/whisper"},
        }
    )
    assert "someone" not in str(about)
    assert (about["corpus"], about["views"]["audio"]) == ("emodb", "models/hubert")
    assert about["synthetic"] is False


def test_the_embedded_corpus_and_one_that_says_so_are_synthetic(tmp_path, monkeypatch):
    assert told({})["synthetic"] is True
    assert not is_synthetic(tmp_path)
    (tmp_path / MARK).touch()
    assert is_synthetic(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample/corpus").mkdir(parents=True)
    assert is_synthetic(tmp_path / "sample" / ".." / "sample/corpus")
