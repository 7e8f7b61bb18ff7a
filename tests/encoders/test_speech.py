"""Hidden layers: fairseq's golden outputs, transformers' own models, independence of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperFeatureExtractor,
)

from mer.encoders.speech import SpeechEncoder, load_speech_encoder
from mer.errors import ClipError, MerError
from tests.encoders.speech_models import TINY, golden_hubert, save, sharpened, waveform, whisper

FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "hubert": lambda: HubertModel(HubertConfig(**TINY)),
    "hubert pre-norm": lambda: HubertModel(
        HubertConfig(**TINY, do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True)
    ),
    "wav2vec2": lambda: Wav2Vec2Model(Wav2Vec2Config(**TINY)),
    "wav2vec2 pre-norm": lambda: Wav2Vec2Model(
        Wav2Vec2Config(**TINY, do_stable_layer_norm=True, feat_extract_norm="layer")
    ),
    "wavlm": lambda: WavLMModel(WavLMConfig(**TINY)),
    "wavlm pre-norm": lambda: WavLMModel(WavLMConfig(**TINY, do_stable_layer_norm=True, feat_extract_norm="layer")),
    "data2vec-audio": lambda: Data2VecAudioModel(Data2VecAudioConfig(**TINY, num_conv_pos_embeddings=3)),
}


@pytest.fixture(params=["tiny_base", "tiny_large"])
def golden(request: pytest.FixtureRequest) -> tuple[SpeechEncoder, dict[str, np.ndarray]]:
    folder = golden_hubert()
    encoder = load_speech_encoder(folder / f"{request.param}.pt")
    with np.load(folder / f"{request.param}.npz", allow_pickle=False) as arrays:
        return encoder, dict(arrays)


def test_every_layer_is_what_fairseq_computes(golden):
    encoder, expected = golden
    (layers,) = encoder.layers([expected["waveform"]])
    assert len(layers) == sum(name.startswith("layer_") for name in expected)
    for i, layer in enumerate(layers, start=1):
        np.testing.assert_allclose(layer, expected[f"layer_{i}"], atol=1e-4, rtol=0)
    np.testing.assert_allclose(encoder.final([expected["waveform"]])[0], expected["final"], atol=1e-4, rtol=0)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(400, 30_000), max_size=4), place=st.integers(0, 4))
def test_the_batch_changes_nothing_for_the_golden_clip(golden, lengths, place):
    encoder, expected = golden
    batch = [waveform(length, seed) for seed, length in enumerate(lengths)]
    place = min(place, len(batch))
    batch.insert(place, expected["waveform"])
    layers = encoder.layers(batch)[place]
    for i, layer in enumerate(layers, start=1):
        np.testing.assert_allclose(layer, expected[f"layer_{i}"], atol=1e-4, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.1)])
@pytest.mark.parametrize("name", ["tiny_base", "tiny_large"])
def test_the_golden_layers_hold_on_a_gpu(name, dtype, tolerance):
    encoder = load_speech_encoder(golden_hubert() / f"{name}.pt", device="cuda", dtype=dtype)
    with np.load(golden_hubert() / f"{name}.npz", allow_pickle=False) as expected:
        _, layers = encoder.layers([waveform(5_000, 0), expected["waveform"]])
        for i, layer in enumerate(layers, start=1):
            np.testing.assert_allclose(layer, expected[f"layer_{i}"], atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", ["hubert", "hubert pre-norm"])
def test_packed_and_plain_products_agree(name, tmp_path, monkeypatch):
    folder = save(sharpened(FAMILIES[name]), tmp_path)
    clip = waveform(9_999, 0)
    packed = load_speech_encoder(folder).layers([clip])[0]
    monkeypatch.setattr("mer.encoders.linear._packs", lambda weight: False)
    np.testing.assert_allclose(load_speech_encoder(folder).layers([clip])[0], packed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_equal_transformers_for_each_clip_alone(name, tmp_path):
    model = sharpened(FAMILIES[name])
    folder = save(model, tmp_path, normalize="pre-norm" in name or "data2vec" in name)
    encoder = load_speech_encoder(folder)
    clips = [waveform(length, seed) for seed, length in enumerate((16_000, 400, 5_001, 30_789))]
    for clip, layers in zip(clips, encoder.layers(clips), strict=True):
        np.testing.assert_allclose(layers, reference_layers(model, folder, clip), atol=1e-5, rtol=1e-5)


def test_whisper_layers_equal_transformers_on_the_clips_own_frames(tmp_path):
    model = sharpened(whisper)
    encoder = load_speech_encoder(save(model, tmp_path))
    clips = [waveform(16_000, 0), waveform(321, 1)]
    outputs = encoder.layers(clips)
    assert [layers.shape[1] for layers in outputs] == [50, 2]
    for clip, layers in zip(clips, outputs, strict=True):
        np.testing.assert_allclose(layers, whisper_layers(model, clip)[:, : layers.shape[1]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [[16_000], [321], [32_000], [16_000, 16_000, 9_999, 16_000]])
def test_whisper_hears_the_clip_alone_as_transformers_does_with_as_many_positions(samples, tmp_path):
    model = sharpened(whisper)
    encoder = load_speech_encoder(save(model, tmp_path), full_window=False)
    clips = [waveform(length, seed) for seed, length in enumerate(samples)]
    for clip, layers in zip(clips, encoder.layers(clips), strict=True):
        np.testing.assert_allclose(layers, whisper_layers_cut(model, clip), atol=1e-5, rtol=1e-5)


def test_whisper_alone_costs_what_the_clip_is_long_and_hears_something_else(tmp_path):
    folder, clip = save(sharpened(whisper), tmp_path), waveform(8_000, 2)
    alone, whole = (load_speech_encoder(folder, full_window=full) for full in (False, True))
    assert (alone.cost(8_000), whole.cost(8_000)) == (8_000, 32_000)
    assert not np.allclose(alone.layers([clip])[0], whole.layers([clip])[0], atol=1e-3)


def test_blocks_side_by_side_are_the_layers_in_their_order(tmp_path):
    encoder = load_speech_encoder(save(FAMILIES["hubert"](), tmp_path))
    clips = [waveform(9_000, 3), waveform(5_000, 4)]
    for both, layers in zip(encoder.concatenated(clips, (2, -3)), encoder.layers(clips), strict=True):
        np.testing.assert_array_equal(both, np.concatenate([layers[2], layers[0]], axis=1))


def test_summed_and_final_agree_with_the_layers(tmp_path):
    encoder = load_speech_encoder(save(FAMILIES["hubert pre-norm"](), tmp_path))
    clip = waveform(9_000, 3)
    (layers,) = encoder.layers([clip])
    np.testing.assert_allclose(encoder.summed([clip], (-1, 0))[0], layers[0] + layers[-1], atol=1e-6)
    assert not np.allclose(encoder.final([clip])[0], layers[-1])


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.9999), ("int8", 0.9995)])
def test_fewer_bits_stay_close_to_float32(dtype, least, tmp_path):
    folder = save(sharpened(FAMILIES["hubert"]), tmp_path)
    clip = waveform(32_000, 4)
    vectors = [
        load_speech_encoder(folder, dtype=dtype).summed([clip], (-2, -1))[0].mean(0) for dtype in ("float32", dtype)
    ]
    assert not np.array_equal(*vectors)
    assert vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]) > least


@pytest.mark.parametrize("name", ["tiny_base", "tiny_large"])
@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.9999), ("int8", 0.9995)])
def test_fewer_bits_keep_fairseqs_utterance_vector(name, dtype, least):
    encoder = load_speech_encoder(golden_hubert() / f"{name}.pt", dtype=dtype)
    with np.load(golden_hubert() / f"{name}.npz", allow_pickle=False) as golden:
        (layers,) = encoder.layers([golden["waveform"]])
        expected = sum(golden[f"layer_{i}"].mean(0) for i in range(1, len(layers) + 1))
    vector = layers.sum(0).mean(0)
    assert vector @ expected / np.linalg.norm(vector) / np.linalg.norm(expected) > least


def test_whisper_in_int8_is_refused(tmp_path):
    with pytest.raises(MerError, match=r"audio\.dtype"):
        load_speech_encoder(save(sharpened(whisper), tmp_path), dtype="int8")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros((2, 16_000), np.float32), "mono"),
        (np.zeros(16_000, np.int16), "int16"),
        (np.zeros(399, np.float32), "too short"),
    ],
)
def test_a_waveform_that_is_none_is_named(bad, words, tmp_path):
    encoder = load_speech_encoder(save(FAMILIES["hubert"](), tmp_path))
    with pytest.raises(ClipError, match=words):
        encoder.layers([bad])


def reference_layers(model: PreTrainedModel, folder: Path, clip: np.ndarray) -> np.ndarray:
    """Outputs of the blocks as transformers computes them, caught before the final norm."""
    prepare = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    values = prepare(clip, sampling_rate=16_000, return_tensors="pt").input_values
    return caught_layers(model, model.encoder.layers, values)


def whisper_layers(model: PreTrainedModel, clip: np.ndarray) -> np.ndarray:
    seconds = model.config.max_source_positions // 50
    prepare = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins, chunk_length=seconds)
    mel = prepare(clip, sampling_rate=16_000, return_tensors="pt").input_features
    return caught_layers(model.encoder, model.encoder.layers, mel)


def whisper_layers_cut(model: PreTrainedModel, clip: np.ndarray) -> np.ndarray:
    """The library's own forward pass of a Whisper whose window is as long as the clip."""
    positions = -(-len(clip) // 320)
    prepare = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins, chunk_length=2)
    mel = prepare(clip, sampling_rate=16_000, return_tensors="pt").input_features
    short = copy.deepcopy(model)
    short.config.max_source_positions = positions
    short.encoder.config.max_source_positions = positions
    short.encoder.embed_positions = nn.Embedding.from_pretrained(model.encoder.embed_positions.weight[:positions])
    return caught_layers(short.encoder, short.encoder.layers, mel[..., : 2 * positions])


def caught_layers(model: nn.Module, layers: nn.ModuleList, inputs: torch.Tensor) -> np.ndarray:
    caught: list[torch.Tensor] = []

    def catch(_module: nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        caught.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(catch) for layer in layers]
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return torch.stack([layer[0] for layer in caught]).numpy()
