"""What members are shown: oversampling, the share of pseudo-labels, modality dropout, mixup."""

import numpy as np
import pytest
import torch
from synthetic import small_params

from mer.learning.inputs import Inputs
from mer.self_training.batches import Batches, TrainingSet
from mer.self_training.sampling import batch_order, repeats

LABELS = np.repeat([0, 1, 2], [60, 30, 10])
NONE = np.zeros(100, bool)


@pytest.mark.parametrize(("exponent", "shares"), [(0.0, [60, 30, 10]), (1.0, [60, 60, 60]), (0.5, [60, 42.4, 24.5])])
def test_oversampling_goes_part_of_the_way(exponent, shares):
    times = repeats(LABELS, NONE, exponent, pseudo_share=0.5)
    np.testing.assert_allclose([times[c == LABELS].sum() for c in range(3)], shares, atol=0.1)


def test_pseudo_labels_never_crowd_out_labels():
    pseudo = np.arange(100) >= 10
    times = repeats(np.zeros(100, int), pseudo, 1.0, pseudo_share=0.25)
    assert times[pseudo].sum() / times.sum() == pytest.approx(0.25)
    few = repeats(np.zeros(100, int), np.arange(100) == 0, 1.0, pseudo_share=0.25)
    assert few[0] == 1


def test_the_order_shows_each_clip_as_often_as_asked():
    times = np.array([1.0, 2.5, 0.2])
    counts = np.bincount(batch_order(times, 3700, np.random.default_rng(0)))
    np.testing.assert_allclose(counts / 1000, times, atol=0.1)


def batch(**self_train):
    inputs = Inputs([torch.arange(20.0)[:, None] + 1, -torch.arange(20.0)[:, None] - 1], torch.ones(20, 2).bool())
    inputs.present[:5, 0] = False
    inputs.features[0][:5] = 0
    rows = np.arange(20)
    labels, weights = rows % 2, np.ones(20, np.float32)
    sets = [TrainingSet(rows, labels, weights, np.zeros(20, bool), (0, seed)) for seed in range(2)]
    params = small_params(self_train={"batch_size": 20, "oversampling": 0, **self_train})
    return Batches(sets, inputs, 2, params)(0)


def test_an_epoch_shows_every_clip_once_to_every_member():
    shown = batch()
    for member in range(2):
        assert sorted(-shown.features[1][member, :, 0].numpy()) == list(range(1, 21))
    assert (shown.features[1][0] != shown.features[1][1]).any()


def test_modality_dropout_leaves_one():
    shown = batch(modality_dropout=0.9)
    assert shown.present.any(dim=-1).all()
    assert shown.present.sum() < 50
    for m in range(2):
        assert ((shown.features[m][..., 0] != 0) == shown.present[..., m]).all()


def test_mixup_mixes_features_and_targets_alike():
    plain, mixed = batch(), batch(mixup=1.0)
    own = (mixed.targets[..., 0] - plain.targets.roll(1, 1)[..., 0]) / (plain.targets - plain.targets.roll(1, 1))[
        ..., 0
    ]
    by_feature = (mixed.features[1] - plain.features[1].roll(1, 1)) / (plain.features[1] - plain.features[1].roll(1, 1))
    known = own.isfinite()
    torch.testing.assert_close(by_feature[..., 0][known], own[known], rtol=1e-3, atol=1e-3)
    assert (mixed.present[..., 0] == (plain.present & plain.present.roll(1, 1))[..., 0]).all()
