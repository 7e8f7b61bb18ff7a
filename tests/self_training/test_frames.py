"""Pretraining, self-training and the bundle on frames: what they learn of them, keep of them, and refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import CLASSES, make_features, small_params

from mer.errors import MerError
from mer.learning.frames import FrameList, some_of
from mer.params import parse_params
from mer.prediction.export import export_onnx
from mer.pretraining.pretrain import load_pretrained, pretrain
from mer.self_training.bundle_reading import load_bundle
from mer.self_training.self_train import self_train

WIDTH = 7


def with_frames(features, seed=5):
    """Frames of the face: each clip's latent vector moves along, more or less of it a frame."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(features.features["face"].shape[1], WIDTH))
    own = []
    for x, there in zip(features.features["face"], features.present["face"], strict=True):
        length = int(rng.integers(1, 9)) * bool(there)
        own.append((rng.uniform(0.5, 1.5, (length, 1)) * (x @ mixing)).astype(np.float16))
    return replace(features, frames={"face": FrameList(own, WIDTH)})


def params(**sections):
    model = {"frame_tokens": 2, "most_frames": 6, "normalise": ["corpus", "guessed"]} | sections.pop("model", {})
    return small_params(model=model, **{"self_train": {"gate": False}, **sections})


@pytest.fixture(scope="module")
def run():
    features = with_frames(make_features(folds=4)[0])
    pretrained = pretrain(features, params())
    return features, pretrained, self_train(features, pretrained, params())


def parts_of(features, rows):
    return (
        {name: x[rows] for name, x in features.features.items()},
        {name: there[rows] for name, there in features.present.items()},
        features.groups[rows],
        {name: some_of(of, rows) for name, of in features.frames.items()},
    )


def test_the_same_frames_give_the_same_model(run):
    features, pretrained, _ = run
    again = pretrain(features, params())
    for name, value in pretrained.encoders.state_dict().items():
        assert torch.equal(value, again.encoders.state_dict()[name])


def test_frames_change_what_encoders_learn_and_nothing_of_the_floor(run):
    features, _, result = run
    bent = [np.sin(x.astype(np.float32)) for x in features.frames["face"].values]
    moved = replace(features, frames={"face": FrameList(bent, WIDTH)})
    other = self_train(moved, pretrain(moved, params()), params())
    ours, theirs = result.votes.set_index("expert"), other.votes.set_index("expert")
    columns = [f"p_{name}" for name in CLASSES]
    assert not np.allclose(ours.loc["mrccl face", columns], theirs.loc["mrccl face", columns], equal_nan=True)
    plain = [of.loc["logistic-plain fused", columns].to_numpy() for of in (ours, theirs)]
    assert ((plain[0] > 1 / 3) == (plain[1] > 1 / 3)).mean() > 0.8


def test_pretraining_pools_with_attention_that_has_moved(run):
    name = "modality.1.project.0.score.weight"
    fresh, moved = (
        pretrain(run[0], params(pretrain={"held_out": 0.0, "learning_rate": rate})).encoders.state_dict()[name]
        for rate in (1e-12, 1e-2)
    )
    assert not torch.allclose(fresh, moved, atol=1e-3)


def test_a_saved_model_reads_frames_as_before(run, tmp_path):
    _, pretrained, _ = run
    pretrained.save(tmp_path / "model.safetensors")
    again = load_pretrained(tmp_path / "model.safetensors")
    assert again.standardisations[0].frames["face"].most == pretrained.standardisations[0].frames["face"].most == 6
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_saved_bundle_predicts_the_same_and_asks_for_frames(run, tmp_path):
    features, _, result = run
    result.bundle.save(tmp_path)
    bundle, clips = load_bundle(tmp_path), parts_of(features, np.arange(len(features)))
    found = bundle.predict(*clips)
    np.testing.assert_array_equal(found, result.bundle.predict(*clips))
    others = features.split != "labeled"
    told = result.predictions[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(found[others], told[others], atol=1e-5)
    with pytest.raises(MerError, match=r"views\.face: frames of 7 features are expected, found none"):
        bundle.predict(*clips[:3])
    with pytest.raises(MerError, match=r"views\.face: frames of 7 features are expected, found frames of 3"):
        bundle.predict(*clips[:3], {"face": FrameList([None] * len(features), 3)})


def test_a_clip_gets_the_same_bits_alone_and_in_company(run):
    features, _, result = run
    rows = np.arange(32)
    clips = result.bundle.predict(*parts_of(features, rows))
    other = np.where(rows == 3, 3, rows[::-1] + 40)
    np.testing.assert_array_equal(result.bundle.predict(*parts_of(features, other))[3], clips[3])


def test_absent_frames_leave_finite_probabilities(run):
    features, _, result = run
    own = parts_of(features, np.arange(5))
    none = {"face": FrameList([None] * 5, WIDTH)}
    assert np.isfinite(result.bundle.predict(*own[:3], none)).all()


@pytest.mark.parametrize("kind", ["logistic", "attention"])
def test_only_mrccl_reads_frames(kind):
    features = with_frames(make_features(folds=4)[0])
    settings = params(model={"kind": kind, "normalise": "corpus"})
    with_them = self_train(features, pretrain(features, settings), settings).predictions
    without = replace(features, frames={})
    assert with_them.equals(self_train(without, pretrain(without, settings), settings).predictions)


def test_frames_that_are_not_asked_for_change_nothing():
    features = with_frames(make_features(folds=4)[0])
    settings = small_params()
    found = pretrain(features, settings).encoders.state_dict()
    for name, value in pretrain(replace(features, frames={}), settings).encoders.state_dict().items():
        assert torch.equal(found[name], value)


def test_encoders_that_read_frames_are_not_fine_tuned():
    sections = {"model": {"frame_tokens": 2}, "self_train": {"encoder_learning_rate": 1e-3}}
    with pytest.raises(MerError, match=r"self_train\.encoder_learning_rate: encoders that read frames"):
        parse_params(sections)
    parse_params({**sections, "model": {"frame_tokens": 2, "kind": "logistic"}})


def test_a_bundle_that_reads_frames_is_not_exported(run, tmp_path):
    with pytest.raises(MerError, match="ONNX: this bundle reads the frames of face"):
        export_onnx(run[2].bundle, tmp_path / "model.onnx")
