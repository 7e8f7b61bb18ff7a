"""What is no number, and what has nothing to go by, is told where it arises: no score of chance, no `neutral nan`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mer.encoders.base import Features
from mer.errors import ClipError, MerError
from mer.extraction.features import EncoderWorker
from mer.learning.tensors import read_tensors, write_tensors
from mer.pretraining.pretrain import pretrain
from mer.self_training.self_train import self_train
from mer.store.tables import write_utterances
from tests.learning.synthetic import make_features, small_params


class Broken:
    """An encoder that gives a clip called 'bad' no numbers."""

    dimensions, fingerprint = 2, "broken"

    def encode(self, batch):
        wrong = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
        return [Features(np.array([0, wrong.get(one, 1)], np.float32), frames=1, ok=True) for one in batch]


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_an_encoder_that_gives_no_numbers_fails_the_clip_alone(bad: str) -> None:
    work = EncoderWorker(Broken, lambda raw: raw).setup()
    good, fault, last = work(["good", bad, "good"])
    assert isinstance(fault, ClipError)
    assert fault.error == "not_a_number"
    assert not isinstance(good, ClipError)
    assert not isinstance(last, ClipError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_not_written(tmp_path: Path, bad: float) -> None:
    rows = [("a", np.zeros(2, np.float32), 1, True), ("b", np.array([0, bad], np.float32), 1, True)]
    with pytest.raises(MerError, match="clip 'b' has features that are not finite numbers"):
        write_utterances(tmp_path / "utterance.parquet", rows, 2)


def test_features_of_another_width_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(MerError, match="clip 'a' has 3 features instead of 2"):
        write_utterances(tmp_path / "utterance.parquet", [("a", np.zeros(3, np.float32), 1, True)], 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(tmp_path: Path, bad: float) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    with pytest.raises(MerError, match="'a' holds values that are not finite numbers"):
        write_tensors(path, {"a": torch.tensor([0, bad])}, {})
    assert not list(tmp_path.iterdir())
    save_file({"a": torch.tensor([0, bad])}, path, {"about": "{}"})
    with pytest.raises(MerError, match="'a' holds values that are not finite numbers"):
        read_tensors(path)


def test_a_loss_that_is_no_number_ends_training_with_the_key_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    from mer.self_training import members

    features, _ = make_features()
    params = small_params(pretrain={"epochs": 0}, self_train={"rounds": 0, "steps": 10})
    pretrained = pretrain(features, params)
    usual = members.member_losses
    monkeypatch.setattr(members, "member_losses", lambda *arguments: usual(*arguments) * float("nan"))
    with pytest.raises(MerError, match=r"lower 'self_train\.learning_rate'"):
        self_train(features, pretrained, params)


def test_clips_without_anything_are_not_learned_from() -> None:
    features, _ = make_features()
    params = small_params(pretrain={"epochs": 0}, self_train={"rounds": 0, "steps": 10})
    nothing = {name: np.zeros_like(present) for name, present in features.present.items()}
    with pytest.raises(MerError, match="pretrain: no clip has any of the views audio, face, text"):
        pretrain(replace(features, present=nothing), params)
    pretrained = pretrain(features, params)
    unlabeled = {name: present & (features.split != "labeled") for name, present in features.present.items()}
    with pytest.raises(MerError, match="self_train: no labeled clip has any of the modalities"):
        self_train(replace(features, present=unlabeled), pretrained, params)
