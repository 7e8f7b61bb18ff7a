import numpy as np
import pytest

from mer.hubert_adaptation.speech_batches import FrameGeometry, Utterance, speech_batches

HUBERT = FrameGeometry.of((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))


def numbered(frames):
    """An utterance whose units and samples tell where they come from."""
    return Utterance(np.arange(HUBERT.samples(frames) + 100, dtype=np.float32), np.arange(frames))


def draw(utterances, seconds=4.0, longest=2.0, seed=0):
    rng = np.random.default_rng(seed)
    samples = (int(16000 * s) for s in (seconds, longest))
    return list(speech_batches(utterances, HUBERT, batch_samples=next(samples), longest_samples=next(samples), rng=rng))


def test_huberts_frames_cover_25_ms_every_20_ms():
    assert (HUBERT.hop, HUBERT.receptive_field) == (320, 400)
    assert [HUBERT.frames(n) for n in (399, 400, 719, 720)] == [0, 1, 1, 2]


def test_units_stay_aligned_with_the_samples_they_name():
    for batch in draw([numbered(n) for n in (20, 31, 40, 90)]):
        assert (batch.waveforms[:, 0] == 320 * batch.units[:, 0]).all()
        assert batch.waveforms.shape[1] == HUBERT.samples(batch.units.shape[1])


def test_every_utterance_is_drawn_once_within_the_budget():
    batches = draw([numbered(n) for n in range(10, 60)])
    assert sum(len(batch.units) for batch in batches) == 50
    assert all(batch.waveforms.numel() <= 64000 for batch in batches)


def test_an_utterance_longer_than_the_limit_is_cut():
    (batch,) = draw([numbered(300)])
    assert HUBERT.frames(32000) == 99
    assert batch.waveforms.shape == (1, HUBERT.samples(90))


def test_lengths_are_multiples_of_the_grid_and_short_utterances_stay_whole():
    lengths = {batch.units.shape[1] for batch in draw([numbered(n) for n in (7, 20, 29, 38, 61, 90)], seconds=0.1)}
    assert lengths == {7, 20, 30, 60, 90}


def test_an_utterance_without_a_frame_is_left_out():
    assert draw([Utterance(np.zeros(100, np.float32), np.zeros(0, int))]) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_follows_the_seed(seed):
    utterances = [numbered(n) for n in range(10, 60)]
    first, second, other = (draw(utterances, seed=s) for s in (seed, seed, seed + 1))
    assert all((a.units == b.units).all() for a, b in zip(first, second, strict=True))
    assert any(a.units.shape != b.units.shape for a, b in zip(first, other, strict=True))
