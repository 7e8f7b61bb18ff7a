import dataclasses

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from mer.hubert_adaptation.masked_prediction import (
    MaskedPrediction,
    UnitHead,
    draw_mask,
    prediction_loss,
    train_masked_prediction,
)
from mer.hubert_adaptation.speech_batches import FrameGeometry, Utterance

CPU = torch.device("cpu")
HOW = MaskedPrediction(units=4, epochs=2, learning_rate=2e-3, batch_seconds=2.0, seed=3)


def tiny_model(seed=0):
    torch.manual_seed(seed)
    return HubertModel(
        HubertConfig(
            conv_dim=(8, 8),
            conv_kernel=(20, 16),
            conv_stride=(20, 16),
            num_feat_extract_layers=2,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            layerdrop=0.1,
        )
    )


def tones(count, seed=0):
    """Utterances in which each unit is a tone that lasts 30 frames: what is masked follows from what is around it."""
    rng = np.random.default_rng(seed)
    geometry = FrameGeometry.of((20, 16), (20, 16))
    utterances = []
    for _ in range(count):
        units = np.repeat(rng.permutation(4)[: rng.integers(1, 3)], 30)
        time = np.arange(geometry.samples(len(units))) / 16000
        wave = np.sin(2 * np.pi * 200 * 2 ** np.repeat(units, geometry.hop) * time)
        utterances.append(Utterance(wave.astype(np.float32), units))
    return utterances


def train(model, how=HOW, **options):
    utterances = tones(12)
    return train_masked_prediction(model, lambda: utterances, how, device=CPU, **options)


def test_loss_falls_and_masked_units_beat_the_most_frequent_one():
    how = dataclasses.replace(HOW, epochs=12, seed=0, learning_rate=1e-2, batch_seconds=4.0)
    utterances = tones(32)
    history = train_masked_prediction(tiny_model(), lambda: utterances, how, device=CPU)
    assert [scores.epoch for scores in history] == list(range(12))
    assert history[-1].loss < 0.8 * history[0].loss
    assert history[-1].accuracy > history[-1].majority + 0.2


def test_the_frames_that_are_scored_are_masked_from_the_model():
    model, hidden = tiny_model(), []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: hidden.append(int(kwargs["mask_time_indices"].sum())), with_kwargs=True
    )
    history = train(model, dataclasses.replace(HOW, epochs=1))
    assert min(hidden) > 0
    assert history[0].accuracy * sum(hidden) == pytest.approx(round(history[0].accuracy * sum(hidden)))


def test_training_repeats_itself_to_the_bit():
    first, second = tiny_model(), tiny_model()
    assert train(first) == train(second)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


class KilledError(Exception):
    pass


def killed_after(batches):
    """Utterances that run out, as in a killed run, in the pass after so many others."""
    passes = iter(range(batches + 1))

    def utterances():
        if next(passes) == batches:
            raise KilledError
        return tones(12)

    return utterances


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 600.0])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path, checkpoint_seconds):
    how = dataclasses.replace(HOW, checkpoint_seconds=checkpoint_seconds)
    whole = tiny_model()
    history = train(whole, how)

    with pytest.raises(KilledError):
        train_masked_prediction(tiny_model(), killed_after(2), how, device=CPU, checkpoint=tmp_path / "c")
    resumed = tiny_model(seed=1)
    assert train(resumed, how, checkpoint=tmp_path / "c") == history
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_training_killed_within_an_epoch_goes_on_there(tmp_path, monkeypatch):
    from mer.hubert_adaptation import masked_prediction

    how = dataclasses.replace(HOW, checkpoint_seconds=0.0)
    whole = tiny_model()
    history = train(whole, how)

    step, steps = masked_prediction._Run._step, []

    def counted(run, batch):
        steps.append(run.batch)
        if len(steps) == 5:
            raise KilledError
        return step(run, batch)

    monkeypatch.setattr(masked_prediction._Run, "_step", counted)
    with pytest.raises(KilledError):
        train(tiny_model(), how, checkpoint=tmp_path / "c")
    killed_at = steps[-1]
    resumed = tiny_model(seed=1)
    assert train(resumed, how, checkpoint=tmp_path / "c") == history
    assert steps[5] == killed_at > 0
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path):
    train(tiny_model(), checkpoint=tmp_path / "c")
    other = dataclasses.replace(HOW, learning_rate=1e-3)
    assert train(tiny_model(), other, checkpoint=tmp_path / "c") == train(tiny_model(), other)


def test_mask_is_spans_with_every_row_masked_but_never_whole():
    mask = draw_mask(np.random.default_rng(0), (400, 50), 0.02, 10)
    assert mask.any(dim=1).all()
    assert not mask.all(dim=1).any()
    runs = torch.nn.functional.pad(mask.int(), (1, 1)).diff(dim=1)
    lengths = torch.nonzero(runs == -1)[:, 1] - torch.nonzero(runs == 1)[:, 1]
    ends = torch.nonzero(runs == -1)[:, 1] == 50
    assert (lengths[~ends] >= 10).all()


def test_mask_covers_what_the_probability_says():
    mask = draw_mask(np.random.default_rng(0), (200, 500), 0.08, 10)
    assert mask.float().mean().item() == pytest.approx(1 - 0.92**10, abs=0.02)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_loss_weighs_masked_and_visible_frames_by_alpha(alpha):
    logits, units = torch.randn(2, 6, 4), torch.randint(4, (2, 6))
    mask = torch.tensor([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], dtype=torch.bool)
    costs = {True: [], False: []}
    for b in range(2):
        for t in range(6):
            exponents = [np.exp(x.item()) for x in logits[b, t]]
            costs[bool(mask[b, t])].append(-np.log(exponents[units[b, t]] / sum(exponents)))
    expected = alpha * np.mean(costs[True]) + (1 - alpha) * np.mean(costs[False])
    assert prediction_loss(logits, units, mask, alpha).item() == pytest.approx(expected, rel=1e-5)


def test_units_start_in_all_directions():
    embeddings = torch.nn.functional.normalize(UnitHead(hidden=64, units=50, temperature=0.1).embeddings, dim=1)
    cosines = (embeddings @ embeddings.T)[~torch.eye(50, dtype=torch.bool)]
    assert abs(cosines.mean()) < 0.05


def test_logits_are_cosines_over_the_temperature():
    head = UnitHead(hidden=6, units=3, temperature=0.1)
    frames = torch.randn(5, 6)
    projected = head.project(frames)
    for n in range(5):
        for k in range(3):
            a, b = projected[n], head.embeddings[k]
            assert head(frames)[n, k].item() == pytest.approx((a @ b / a.norm() / b.norm() / 0.1).item(), abs=1e-5)
