"""What members are shown: oversampling, the share of unlabeled clips, noise."""

import numpy as np
import pytest
import torch
from synthetic import small_params

from mer.learning.inputs import Inputs
from mer.self_training.batches import Batches, LearningSet, Targets
from mer.self_training.sampling import batch_order, repeats, unlabeled_slots

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


@pytest.mark.parametrize(("exponent", "shares"), [(0.0, [60, 30, 10]), (1.0, [60, 60, 60]), (0.5, [60, 42.4, 24.5])])
def test_oversampling_goes_part_of_the_way(exponent, shares):
    times = repeats(LABELS, exponent)
    np.testing.assert_allclose([times[c == LABELS].sum() for c in range(3)], shares, atol=0.1)


def test_the_order_shows_each_clip_as_often_as_asked():
    times = np.array([1.0, 2.5, 0.2])
    counts = np.bincount(batch_order(times, 3700, np.random.default_rng(0)))
    np.testing.assert_allclose(counts / 1000, times, atol=0.1)


@pytest.mark.parametrize(
    ("share", "labeled", "unlabeled", "places"),
    [(0.8, 100, 900, 16), (0.8, 100, 0, 0), (0.8, 90, 10, 2), (0.99, 1, 99, 19)],
)
def test_unlabeled_clips_never_crowd_out_labels(share, labeled, unlabeled, places):
    assert unlabeled_slots(20, share, labeled, unlabeled) == places


def inputs(clips, width=3):
    rng = np.random.default_rng(0)
    return Inputs([torch.from_numpy(rng.normal(size=(clips, width)).astype(np.float32))], torch.ones(clips, 1).bool())


def targets(kind, rows):
    """Pseudo-labels that are all of one class, hard or soft, or of none."""
    if kind == "none":
        return None
    sure = np.tile(np.float32([1, 0, 0] if kind == "hard" else [0.8, 0.1, 0.1]), (len(rows), 1))
    return Targets(rows, sure, np.ones(len(rows), np.float32), hard=kind == "hard")


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["none", "hard", "soft"])
def test_a_true_labels_share_follows_oversampling_whatever_the_pseudo_labels_are(kind, exponent):
    own = targets(kind, np.arange(100, 400))
    params = small_params(self_train={"batch_size": 40, "steps": 200, "oversampling": exponent})
    batches = Batches([LearningSet(np.arange(100), LABELS, own, 0, ("x",), 0)], [inputs(400)], 3, params)
    rows = batches.rows.numpy().ravel()
    shown = np.bincount(LABELS[rows[rows < 100]], minlength=3) / (rows < 100).sum()
    expected = repeats(LABELS, exponent)
    expected = np.array([expected[c == LABELS].sum() for c in range(3)]) / expected.sum()
    np.testing.assert_allclose(shown, expected, atol=0.02)
    assert (rows < 100).mean() == pytest.approx(1 if kind == "none" else 0.25, abs=0.02)


def test_only_unlabeled_clips_are_noisy_and_none_loses_more_than_asked():
    clips = inputs(400, 2000)
    own = targets("soft", np.arange(100, 400))
    params = small_params(self_train={"batch_size": 40, "least_signal": 0.5})
    batches = Batches([LearningSet(np.arange(100), LABELS, own, 0, ("x",), 0)], [clips], 3, params)
    shown, rows = batches(0).features[0][0], batches.rows[0, 0]
    same = (shown == clips.features[0][rows]).all(dim=1)
    assert (same == (rows < 100)).all()
    kept = torch.nn.functional.cosine_similarity(shown, clips.features[0][rows], dim=1)
    assert kept.min() > 0.5**0.5 - 0.1
    assert kept[~same].max() < 0.9999
    assert shown.std() == pytest.approx(1, abs=0.05)


def test_absent_modalities_stay_absent_under_noise():
    clips = inputs(400)
    clips.present[200:] = False
    clips.features[0][200:] = 0
    own = targets("soft", np.arange(100, 400))
    params = small_params(self_train={"batch_size": 40})
    batch = Batches([LearningSet(np.arange(100), LABELS, own, 0, ("x",), 0)], [clips], 3, params)(0)
    assert (batch.features[0][~batch.present[..., 0]] == 0).all()


def test_each_member_sees_its_own_source():
    one, other = inputs(100), Inputs([torch.full((100, 3), 7.0)], torch.ones(100, 1).bool())
    sets = [LearningSet(np.arange(100), LABELS, None, source, ("x", i), 0) for i, source in enumerate([1, 0, 1])]
    features = Batches(sets, [one, other], 3, small_params())(0).features[0]
    assert [(features[i] == 7).all().item() for i in range(3)] == [True, False, True]


def test_names_decide_the_order():
    sets = [LearningSet(np.arange(100), LABELS, None, 0, name, 0) for name in [("x", 1), ("x", 1, 0), ("x", 1)]]
    rows = Batches(sets, [inputs(100)], 3, small_params()).rows
    assert not torch.equal(rows[:, 0], rows[:, 1])
    assert torch.equal(rows[:, 0], rows[:, 2])


def test_modality_dropout_hides_its_share_and_never_all_of_a_clip():
    params = small_params(self_train={"modality_dropout": 0.5, "batch_size": 64})
    rng = np.random.default_rng(1)
    present = torch.from_numpy(rng.random((400, 3)) < 0.8)
    clips = Inputs([torch.ones(400, 3) * present[:, m, None] for m in range(3)], present)
    batches = Batches([LearningSet(np.arange(100), LABELS, None, 0, ("x",), 0)], [clips], 3, params)
    there, hidden = 0, 0
    for step in range(10):
        batch = batches(step)
        before = clips.take(batches.rows[step]).present
        assert (batch.present <= before).all()
        assert (batch.present.any(dim=-1) == before.any(dim=-1)).all()
        there, hidden = there + int(before.sum()), hidden + int((before & ~batch.present).sum())
        for m, x in enumerate(batch.features):
            assert not x[~batch.present[..., m]].any()
            assert (x != 0).any()
    assert 0.25 < hidden / there < 0.5  # one always stays
