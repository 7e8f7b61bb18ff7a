"""Whisper out of CTranslate2's folder: a tiny one there and back, damaged files, the real one against CTranslate2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.voice import by_level
from mer.encoders.speech import load_speech_encoder
from mer.errors import MerError
from mer.params import TranscribeParams
from mer.weights.ctranslate2 import read_model
from mer.weights.whisper import convert_whisper
from tests.encoders.speech_models import waveform
from tests.encoders.test_asr_whisper import tiny_whisper
from tests.weights.ct2 import whisper_variables, write_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny Whisper of transformers', and the folder that CTranslate2's converter would make of it."""
    ours, theirs = tmp_path_factory.mktemp("hf"), tmp_path_factory.mktemp("ct2")
    tiny_whisper(ours)
    model = WhisperForConditionalGeneration.from_pretrained(ours).eval()
    write_model(
        theirs / "model.bin",
        whisper_variables(model),
        aliases=[("decoder/projection/weight", "decoder/embeddings/weight")],
    )
    generation = json.loads((ours / "generation_config.json").read_text())
    vocabulary = json.loads((ours / "tokenizer.json").read_text())
    words = dict(vocabulary["model"]["vocab"]) | {one["content"]: one["id"] for one in vocabulary["added_tokens"]}
    ordered = sorted(words, key=words.__getitem__)
    (theirs / "vocabulary.json").write_text(json.dumps(ordered))
    config = {
        "lang_ids": list(generation["lang_to_id"].values()),
        "suppress_ids": generation["suppress_tokens"],
        "suppress_ids_begin": generation["begin_suppress_tokens"],
        "alignment_heads": generation["alignment_heads"],
    }
    (theirs / "config.json").write_text(json.dumps(config))
    shutil.copyfile(ours / "tokenizer.json", theirs / "tokenizer.json")
    return ours, theirs, model


def converted(source: Path, out: Path) -> Path:
    out.mkdir()
    convert_whisper(source, out)
    return out


def test_every_weight_comes_back(tiny, tmp_path):
    _, theirs, model = tiny
    back = WhisperForConditionalGeneration.from_pretrained(converted(theirs, tmp_path / "out"))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_the_folder_transcribes_as_the_one_it_came_from(tiny, tmp_path, monkeypatch):
    # The sounds are no speech, as silero's network would find out where it is installed.
    monkeypatch.setattr("mer.encoders.asr.whisper.detector", lambda: ("level", by_level))
    ours, theirs, _ = tiny
    folder = converted(theirs, tmp_path / "out")
    clips = [waveform(24_000, 0), waveform(40_000, 1)]
    texts = [
        load_transcriber(TranscribeParams(asr=str(one), language=language)).transcribe(clips)
        for one in (ours, folder)
        for language in ("en", None)
    ]
    assert texts[:2] == texts[2:]
    assert all(text.text and text.words for text in texts[0])


def test_float16_stays_float16_and_int8_is_multiplied_out(tiny, tmp_path):
    _, theirs, model = tiny
    half = tmp_path / "half"
    shutil.copytree(theirs, half)
    write_model(half / "model.bin", whisper_variables(model, "float16"))
    variables = read_model(half / "model.bin")
    assert variables.floats("encoder/conv1/weight").dtype == np.float16
    weights = load_speech_encoder(converted(half, tmp_path / "out")).layers([waveform(9_000, 0)])[0]
    whole = load_speech_encoder(converted(theirs, tmp_path / "whole")).layers([waveform(9_000, 0)])[0]
    np.testing.assert_allclose(weights, whole, atol=0.05 * np.abs(whole).max())

    quantised = np.array([[-127, 5], [127, 1]], np.int8)
    scale = np.array([10.0, 2.0], np.float32)
    write_model(tmp_path / "q.bin", {"a/weight": quantised, "a/weight_scale": scale})
    np.testing.assert_allclose(read_model(tmp_path / "q.bin").floats("a/weight"), [[-12.7, 0.5], [63.5, 0.5]])


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 5)], ids=["linear", "convolution"])
@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_integers_of_any_rank_are_multiplied_out(tmp_path, kind, shape):
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    rows = np.abs(weight).reshape(4, -1).max(axis=1)
    scale = np.asarray(127 / rows if kind is np.int8 else 1024 / rows.max(), np.float32)  # as the converter's
    wide = scale.reshape(-1, *[1] * (len(shape) - 1))
    write_model(tmp_path / "q.bin", {"a": np.rint(weight * wide).astype(kind), "a_scale": scale})
    found = read_model(tmp_path / "q.bin").floats("a")
    assert found.dtype == np.float32
    assert (np.abs(found - weight) <= 0.5001 / wide).all()


def test_integers_without_a_scale_that_fits_and_other_numbers_are_one_line(tiny, tmp_path):
    _, theirs, model = tiny
    copy = tmp_path / "copy"
    shutil.copytree(theirs, copy)
    name = "encoder/conv1/weight"
    whole = whisper_variables(model)
    weight = whole[name].astype(np.int16)
    for number, (changed, told) in enumerate(
        [
            ({name: weight}, "conv1/weight_scale is missing"),
            ({name: weight, f"{name}_scale": np.ones(3, np.float32)}, r"conv1/weight_scale has 3 numbers for \d+ rows"),
            ({name: weight.astype(np.int32)}, r"model\.bin: encoder/conv1/weight holds int32, not float32"),
        ]
    ):
        write_model(copy / "model.bin", whole | changed)
        with pytest.raises(MerError, match=told) as raised:
            converted(copy, tmp_path / str(number))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int16", "int8", "int8_float16", "int8_bfloat16"])
def test_what_ctranslate2_writes_in_fewer_bits_comes_back(tiny, tmp_path, kind):
    converters = pytest.importorskip("ctranslate2.converters", reason="the asr extra is not installed")
    ours, _, model = tiny
    theirs = tmp_path / "ct2"
    converters.TransformersConverter(str(ours), copy_files=["tokenizer.json"]).convert(str(theirs), quantization=kind)
    back = WhisperForConditionalGeneration.from_pretrained(converted(theirs, tmp_path / "out"), dtype=torch.float32)
    for name, value in model.state_dict().items():
        error = (back.state_dict()[name] - value).abs().max()
        assert error <= 0.01 * value.abs().max(), name


def test_bfloat16_is_read_by_its_bits(tmp_path):
    bits = np.array([0x3F80, 0xC000], np.uint16)
    write_model(tmp_path / "b.bin", {"a": bits})
    np.testing.assert_array_equal(read_model(tmp_path / "b.bin").floats("a"), [1.0, -2.0])


@pytest.mark.parametrize("size", [0, 3, 20, 2_000, -1])
def test_a_cut_file_is_one_line(tiny, tmp_path, size):
    content = (tiny[1] / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(content[:size])
    with pytest.raises(MerError, match=r"model\.bin") as raised:
        read_model(tmp_path / "model.bin")
    assert "\n" not in str(raised.value)


def test_another_model_or_version_or_a_missing_weight_is_named(tiny, tmp_path):
    _, theirs, model = tiny
    copy = tmp_path / "copy"
    shutil.copytree(theirs, copy)
    variables = whisper_variables(model)
    write_model(copy / "model.bin", variables, spec="TransformerSpec")
    with pytest.raises(MerError, match="holds 'TransformerSpec', not Whisper"):
        converted(copy, tmp_path / "a")
    write_model(copy / "model.bin", variables, version=7)
    with pytest.raises(MerError, match="version 7 of the format"):
        converted(copy, tmp_path / "b")
    del variables["encoder/conv2/bias"]
    write_model(copy / "model.bin", variables)
    with pytest.raises(MerError, match="conv2/bias is missing"):
        converted(copy, tmp_path / "c")
    write_model(copy / "model.bin", whisper_variables(model))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(MerError, match=r"tokenizer\.json"):
        converted(copy, tmp_path / "d")


def test_the_real_encoder_gives_what_ctranslate2_gives(encoders):
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the asr extra is not installed")
    from transformers import WhisperFeatureExtractor

    folder, source = encoders("whisper-base"), encoders("whisper-base-ct2")
    clip = waveform(40_000, 0)
    mel = WhisperFeatureExtractor.from_pretrained(folder)(
        clip, sampling_rate=16_000, return_tensors="np"
    ).input_features
    model = ctranslate2.models.Whisper(str(source), compute_type="float32")
    theirs = np.array(model.encode(ctranslate2.StorageView.from_array(mel.astype(np.float32))))[0]
    (ours,) = load_speech_encoder(folder).final([clip])
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-3)


def test_the_real_encoder_gives_what_ctranslate2_gave(encoders):
    """Without CTranslate2: a few numbers that its version 4.8.5 gave for a made-up clip, float32."""
    (ours,) = load_speech_encoder(encoders("whisper-base")).final([waveform(40_000, 0)])
    np.testing.assert_allclose(ours[[3, 60, 120]][:, [0, 100, 500]], CT2, atol=1e-3)


CT2 = [[-0.6538, -0.3157, -0.5259], [-1.4909, -0.1743, -1.7515], [0.0514, -0.4598, 0.3452]]
