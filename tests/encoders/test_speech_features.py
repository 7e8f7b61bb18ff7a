"""Utterance features: pooling over valid frames, long clips, clips without usable speech, the fingerprint."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from transformers import HubertConfig, HubertModel

from mer.encoders.speech import load_speech_encoder
from mer.encoders.speech.features import SpeechFeatures
from mer.errors import MerError
from mer.params import AudioParams
from tests.encoders.speech_models import TINY, save, sharpened, waveform, whisper


def hubert() -> HubertModel:
    return HubertModel(HubertConfig(**TINY))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(sharpened(hubert), tmp_path_factory.mktemp("hubert"))


def features(folder: Path, **params: object) -> SpeechFeatures:
    return SpeechFeatures(AudioParams(model=str(folder), layers=(-2, -1), device="cpu").model_copy(update=params))


def test_the_embedding_is_the_mean_over_time_of_the_summed_layers(folder):
    clip = waveform(20_000, 0)
    (result,) = features(folder, frames=True).encode([clip])
    (layers,) = load_speech_encoder(folder).layers([clip])
    np.testing.assert_allclose(result.embedding, layers[-2:].sum(0).mean(0), atol=1e-5)
    assert (result.ok, result.frames, result.note) == (True, 62, "")
    np.testing.assert_allclose(result.values, layers[-2:].sum(0), atol=5e-3)
    assert result.values.dtype == np.float16


def test_mean_std_appends_the_deviation_over_time(folder):
    clip = waveform(20_000, 0)
    encoder = features(folder, pooling="mean_std")
    (result,) = encoder.encode([clip])
    summed = load_speech_encoder(folder).layers([clip])[0][-2:].sum(0)
    assert encoder.dimensions == len(result.embedding) == 64
    np.testing.assert_allclose(result.embedding[32:], summed.std(0), atol=1e-5)


def test_what_a_clip_gets_does_not_depend_on_its_batch(folder):
    clips = [waveform(length, seed) for seed, length in enumerate((16_000, 0, 399, 8_000, 400))]
    together = features(folder).encode(clips)
    alone = [features(folder).encode([clip])[0] for clip in clips]
    for one, other in zip(together, alone, strict=True):
        assert one.embedding.tobytes() == other.embedding.tobytes()
        assert (one.ok, one.frames, one.note) == (other.ok, other.frames, other.note)


def test_a_long_clip_keeps_every_frame_once(folder):
    clip = waveform(16_000 * 5 + 123, 1)
    windowed = features(folder, window_seconds=2.0, overlap_seconds=1.0, frames=True).encode([clip])[0]
    whole = features(folder, frames=True).encode([clip])[0]
    assert windowed.frames == whole.frames == len(windowed.values)
    second = features(folder, frames=True).encode([clip[16_000:48_000]])[0]
    np.testing.assert_array_equal(windowed.values[75:120], second.values[25:70])


@pytest.mark.parametrize(
    ("clip", "note"),
    [
        (np.zeros(0, np.float32), "no audio"),
        (np.ones(399, np.float32), "25 ms is too short"),
        (np.full(16_000, np.nan, np.float32), "no finite samples"),
        (np.full(16_000, 1e-5, np.float32), "silent"),
        (np.zeros((2, 16_000), np.float32), "not float mono"),
        (np.zeros(16_000, np.int16), "not float mono"),
    ],
)
def test_a_clip_without_usable_speech_is_absent_with_a_note(clip, note, folder):
    before, result, after = features(folder).encode([waveform(800, 0), clip, waveform(800, 0)])
    assert not result.ok
    assert note in result.note
    assert not result.embedding.any()
    assert before.ok
    assert after.ok


def test_a_few_bad_samples_count_as_silence(folder):
    clip = waveform(16_000, 2)
    clip[100:110] = 0.0
    broken = clip.copy()
    broken[100:110] = [np.nan, np.inf, -np.inf, *[np.nan] * 7]
    good, mended = features(folder).encode([clip, broken])
    assert mended.ok
    np.testing.assert_array_equal(good.embedding, mended.embedding)
    assert np.isnan(broken).any(), "the caller's waveform was changed"


def test_an_encoder_travels_to_a_worker_unloaded(folder):
    encoder = features(folder)
    assert len(pickle.dumps(encoder)) < 20_000
    clip = waveform(16_000, 3)
    sent = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(sent.encode([clip])[0].embedding, encoder.encode([clip])[0].embedding)


def test_the_fingerprint_follows_what_decides_the_output(folder, tmp_path):
    base = features(folder).fingerprint
    assert features(folder, batch_seconds=7.0).fingerprint == base
    assert features(folder, max_failed=0.5, max_lost=0.1).fingerprint == base
    assert features(folder, layers=(-1,)).fingerprint != base
    other = save(hubert(), tmp_path)
    assert features(other).fingerprint != base


def test_what_steers_whisper_alone_is_in_no_other_fingerprint(folder, tmp_path):
    assert features(folder, full_window=True).fingerprint == features(folder, full_window=False).fingerprint
    heard = save(sharpened(whisper), tmp_path)
    assert features(heard, full_window=True).fingerprint != features(heard, full_window=False).fingerprint


def test_blocks_side_by_side_widen_the_embedding(folder):
    clip = waveform(20_000, 0)
    encoder = features(folder, combine="concatenate", layers=(0, -1, 2), pooling="mean_std")
    (result,) = encoder.encode([clip])
    (layers,) = load_speech_encoder(folder).layers([clip])
    wanted = np.concatenate([layers[[0, 2]].mean(1).ravel(), layers[[0, 2]].std(1).ravel()])
    assert encoder.dimensions == len(wanted)
    np.testing.assert_allclose(result.embedding, wanted, atol=1e-5)
    assert encoder.fingerprint != features(folder, layers=(0, -1, 2), pooling="mean_std").fingerprint


@pytest.mark.parametrize("pooling", ["mean", "mean_std"])
def test_weighted_blocks_are_kept_one_after_the_other_and_counted(folder, pooling):
    clip = waveform(20_000, 0)
    encoder = features(folder, combine="weighted", layers="all", pooling=pooling)
    (result,) = encoder.encode([clip])
    (layers,) = load_speech_encoder(folder).layers([clip])
    assert encoder.blocks == len(layers) == 3
    parts = [layers.mean(1), layers.std(1)][: 1 + (pooling == "mean_std")]
    np.testing.assert_allclose(result.embedding, np.concatenate(parts, axis=1).ravel(), atol=1e-5)
    for other in ("sum", "concatenate"):
        beside = features(folder, combine=other, layers="all", pooling=pooling)
        assert beside.blocks == 1
        assert beside.fingerprint != encoder.fingerprint


def test_all_layers_are_those_that_there_are(folder):
    clip = waveform(20_000, 0)
    (every,), (named,) = (features(folder, layers=of).encode([clip]) for of in ("all", (0, 1, 2)))
    np.testing.assert_array_equal(every.embedding, named.embedding)


def test_weighted_blocks_have_no_frames():
    with pytest.raises(ValueError, match="combine weighted keeps vectors of whole clips alone"):
        AudioParams(combine="weighted", frames=True)


def test_a_layer_the_model_does_not_have_is_named(folder):
    with pytest.raises(MerError, match=r"audio\.layers: -4 is out of range, .* has 3 blocks"):
        features(folder, layers=(-4, -1))
