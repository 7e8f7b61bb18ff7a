"""Checkpoints: told apart by looking, refused with one clear line, converted without loss, never executed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    HubertConfig,
    HubertForCTC,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    WhisperForConditionalGeneration,
)

from mer.encoders.checkpoints.pickles import load_pickle
from mer.encoders.speech import load_speech_encoder
from mer.encoders.speech.checkpoint import convert_checkpoint, digest, read_checkpoint
from mer.encoders.speech.fairseq_hubert import parse_convolutions
from mer.errors import MerError
from tests.encoders.speech_models import TINY, golden_hubert, save, sharpened, waveform, whisper


def hubert() -> HubertModel:
    return HubertModel(HubertConfig(**TINY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(sharpened(hubert), tmp_path / "hubert")


@pytest.fixture(params=["tiny_base", "tiny_large"])
def fairseq(request: pytest.FixtureRequest) -> Path:
    return golden_hubert() / f"{request.param}.pt"


class Payload:
    """Unpickled by an unsafe reader, this makes a folder; nothing worse."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (self._target,)


# ---------------------------------------------------------------- hostile and broken files


def test_code_hidden_in_a_pt_is_refused_and_never_runs(tmp_path):
    marker, file = tmp_path / "ran", tmp_path / "poisoned.pt"
    torch.save({"model": {}, "cfg": {}, "extra": Payload(marker)}, file)
    with pytest.raises(MerError, match=r"poisoned\.pt: its pickle asks for '\w+\.mkdir'.*refused.*safetensors"):
        load_speech_encoder(file)
    assert not marker.exists()


def test_code_hidden_in_a_bin_is_refused_and_never_runs(folder, tmp_path):
    marker = tmp_path / "ran"
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, "extra": Payload(marker)}, folder / "pytorch_model.bin")
    with pytest.raises(MerError, match=r"pytorch_model\.bin: its pickle asks for .*refused"):
        load_speech_encoder(folder)
    assert not marker.exists()


def test_code_hidden_in_the_stand_in_for_fairseqs_dictionary_never_runs(tmp_path, fairseq_dictionary):
    marker, file = tmp_path / "ran", tmp_path / "poisoned.pt"
    fairseq_dictionary.symbols = Payload(marker)
    torch.save({"model": {}, "task_state": fairseq_dictionary}, file)
    with pytest.raises(MerError, match="refused"):
        load_speech_encoder(file)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_named(content, tmp_path):
    file = tmp_path / "broken.pt"
    file.write_bytes(content)
    with pytest.raises(MerError, match=r"broken\.pt: not a PyTorch checkpoint"):
        load_speech_encoder(file)


def test_a_truncated_safetensors_file_is_named(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(MerError, match=r"model\.safetensors: not a safetensors file"):
        load_speech_encoder(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda w: w.pop("encoder.layer_norm.weight"), r"1 missing: encoder\.layer_norm\.weight"),
        (lambda w: w.update(stranger=torch.zeros(1)), "1 unexpected: stranger"),
        (
            lambda w: w.update({"encoder.layer_norm.weight": torch.zeros(7)}),
            r"1 mis-shaped: encoder\.layer_norm\.weight \[7\] instead of \[32\]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(spoil, words, folder):
    weights = load_file(folder / "model.safetensors")
    spoil(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(MerError, match=words):
        load_speech_encoder(folder)


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", {"model_type": "bert"}, "model_type 'bert' is none of hubert, wav2vec2"),
        ("config.json", "{", "not valid JSON"),
        ("model.safetensors", None, "neither model.safetensors nor pytorch_model.bin"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "sampling_rate is 8000"),
    ],
)
def test_a_folder_that_lacks_something_is_named(file, values, words, folder):
    if values is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(values if isinstance(values, str) else json.dumps(values))
    with pytest.raises(MerError, match=words):
        load_speech_encoder(folder)


def test_nothing_there_names_the_params_key(tmp_path):
    with pytest.raises(MerError, match=r"no such speech encoder .*audio\.model"):
        load_speech_encoder(tmp_path / "absent.pt")


# ---------------------------------------------------------------- other shapes of good files


def test_a_bin_reads_like_safetensors(folder):
    clip = waveform(8_000, 0)
    before = load_speech_encoder(folder).layers([clip])[0]
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    np.testing.assert_array_equal(load_speech_encoder(folder).layers([clip])[0], before)


def test_the_names_of_older_weight_norm_are_understood(folder):
    file = folder / "model.safetensors"
    clip = waveform(8_000, 0)
    before = load_speech_encoder(folder).layers([clip])[0]
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = load_file(file)
    for new, old in older.items():
        weights = {name.replace(new, old): tensor for name, tensor in weights.items()}
    save_file(weights, file)
    np.testing.assert_array_equal(load_speech_encoder(folder).layers([clip])[0], before)


def test_the_head_of_a_ctc_model_is_left_out_and_said(tmp_path, caplog):
    model = sharpened(lambda: HubertForCTC(HubertConfig(**TINY, vocab_size=9)))
    clip = waveform(8_000, 0)
    with_head = load_speech_encoder(save(model, tmp_path / "ctc")).layers([clip])[0]
    assert "left out: lm_head" in caplog.text
    bare = load_speech_encoder(save(model.hubert, tmp_path / "bare")).layers([clip])[0]
    np.testing.assert_array_equal(with_head, bare)


def test_whispers_decoder_is_left_out(tmp_path):
    config = whisper().config
    model = sharpened(lambda: WhisperForConditionalGeneration(config))
    clip = waveform(8_000, 0)
    whole = load_speech_encoder(save(model, tmp_path / "whole")).layers([clip])[0]
    bare = load_speech_encoder(save(model.model, tmp_path / "bare")).layers([clip])[0]
    np.testing.assert_array_equal(whole, bare)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_folder_says_whether_waveforms_are_normalised(normalize, tmp_path):
    folder = save(sharpened(hubert), tmp_path, normalize=normalize)
    loud, quiet = waveform(8_000, 0), 0.25 * waveform(8_000, 0) + 0.1
    encoder = load_speech_encoder(folder)
    same = np.allclose(encoder.layers([loud])[0], encoder.layers([quiet])[0], atol=1e-3)
    assert same == normalize


# ---------------------------------------------------------------- fairseq


def test_conversion_keeps_every_layer(fairseq, tmp_path):
    convert_checkpoint(fairseq, tmp_path / "converted")
    with np.load(fairseq.with_suffix(".npz"), allow_pickle=False) as expected:
        (layers,) = load_speech_encoder(tmp_path / "converted").layers([expected["waveform"]])
        for i, layer in enumerate(layers, start=1):
            np.testing.assert_allclose(layer, expected[f"layer_{i}"], atol=1e-4, rtol=0)


def test_a_converted_folder_opens_in_transformers(fairseq, tmp_path):
    convert_checkpoint(fairseq, tmp_path / "converted")
    model, report = HubertModel.from_pretrained(tmp_path / "converted", output_loading_info=True)
    assert not any(report.values())
    prepare = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "converted")
    with np.load(fairseq.with_suffix(".npz"), allow_pickle=False) as expected, torch.no_grad():
        values = prepare(expected["waveform"], sampling_rate=16_000, return_tensors="pt").input_values
        np.testing.assert_allclose(model.eval()(values)[0][0].numpy(), expected["final"], atol=5e-3)


def test_conversion_overwrites_nothing(fairseq, tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(MerError, match="exists already"):
        convert_checkpoint(fairseq, tmp_path)


def test_the_older_form_of_the_configuration_reads_the_same(fairseq, tmp_path):
    contents = load_pickle(fairseq)
    cfg = contents.pop("cfg")
    args = {**cfg["task"], **cfg["model"], "arch": "hubert"}
    args.pop("_name")
    older = tmp_path / "older.pt"
    torch.save({"args": argparse.Namespace(**args), "model": contents["model"]}, older)
    clip = waveform(8_000, 0)
    np.testing.assert_array_equal(
        load_speech_encoder(older).layers([clip])[0], load_speech_encoder(fairseq).layers([clip])[0]
    )


def test_a_fairseq_wav2vec2_leaves_its_quantizer_behind(fairseq, tmp_path):
    contents = load_pickle(fairseq)
    contents["cfg"]["model"]["_name"] = "wav2vec2"
    del contents["model"]["label_embs_concat"]
    contents["model"] |= {"quantizer.vars": torch.zeros(1, 4, 8), "project_q.weight": torch.zeros(8, 8)}
    file = tmp_path / "wav2vec2.pt"
    torch.save({"cfg": contents["cfg"], "model": dict(contents["model"])}, file)
    assert read_checkpoint(file).family == "wav2vec2"
    clip = waveform(8_000, 0)
    np.testing.assert_array_equal(
        load_speech_encoder(file).layers([clip])[0], load_speech_encoder(fairseq).layers([clip])[0]
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_name": "hubert_ctc"}, "fine-tuned for speech recognition"),
        ({"_name": "roberta"}, "fairseq model 'roberta' is none of hubert, wav2vec2"),
        ({"layer_type": "conformer"}, "layer_type = 'conformer' is not supported"),
        ({"conv_feature_layers": "__import__('os')"}, "conv_feature_layers is not a list"),
        ({"encoder_layers": 4}, r"missing: encoder\.layers\.3"),
    ],
)
def test_a_fairseq_model_of_another_kind_is_named(changes, words, tmp_path):
    contents = load_pickle(golden_hubert() / "tiny_large.pt")
    contents["cfg"]["model"] |= changes
    file = tmp_path / "other.pt"
    torch.save({"cfg": contents["cfg"], "model": dict(contents["model"])}, file)
    with pytest.raises(MerError, match=words):
        load_speech_encoder(file)


def test_weights_without_a_configuration_are_refused(tmp_path):
    file = tmp_path / "bare.pt"
    torch.save({"model": {"x": torch.zeros(1)}}, file)
    with pytest.raises(MerError, match="no fairseq configuration"):
        load_speech_encoder(file)


def test_convolutions_are_read_without_running_them():
    text = "[(512, 10, 5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2"
    assert parse_convolutions(text, source="") == [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
    with pytest.raises(MerError):
        parse_convolutions("[(1, 1, 1)] * 10**9", source="x.pt")


def test_the_digest_follows_weights_and_configuration(folder):
    before = digest(folder)
    assert digest(folder) == before
    (folder / "README.md").write_text("changes nothing")
    assert digest(folder) == before
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert digest(folder) != before


def test_unchanged_weights_are_read_once_for_their_digest(folder, monkeypatch):
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    before = digest(folder)
    monkeypatch.setattr("mer.store.keys.hashlib.file_digest", None)
    assert digest(folder) == before


@pytest.fixture
def fairseq_dictionary() -> Iterator[Any]:
    """An object that pickles as fairseq's label dictionary."""
    names = ("fairseq", "fairseq.data", "fairseq.data.dictionary")
    kind = type("Dictionary", (), {"__module__": names[-1]})
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[names[-1]].Dictionary = kind  # type: ignore[attr-defined]
    yield kind()
    for name in names:
        del sys.modules[name]


def test_what_s3prl_made_of_a_fairseq_checkpoint_is_read(fairseq: Path, tmp_path: Path) -> None:
    contents = load_pickle(fairseq)
    section = contents["cfg"]["model"] if contents.get("cfg") else vars(contents["args"])
    task = contents["cfg"]["task"] if contents.get("cfg") else vars(contents["args"])
    model = {name: value for name, value in section.items() if name not in ("_name", "arch")}
    weights = contents["model"] | {"final_proj.weight": torch.ones(1, 1)}
    torch.save({"task_cfg": task, "model_cfg": model, "model_weight": weights}, tmp_path / "s3prl.pt")
    clip = waveform(6000, 0)
    expected = load_speech_encoder(fairseq).final([clip])[0]
    np.testing.assert_array_equal(load_speech_encoder(tmp_path / "s3prl.pt").final([clip])[0], expected)


def test_batch_norm_before_the_positions_is_refused_by_name(fairseq: Path, tmp_path: Path) -> None:
    contents = load_pickle(fairseq)
    section = contents["cfg"]["model"] if contents.get("cfg") else vars(contents["args"])
    cfg = {"model": section | {"conv_pos_batch_norm": True}, "task": {}}
    torch.save({"cfg": cfg, "model": contents["model"]}, tmp_path / "a.pt")
    with pytest.raises(MerError, match="conv_pos_batch_norm = True is not supported"):
        load_speech_encoder(tmp_path / "a.pt")
