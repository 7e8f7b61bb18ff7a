"""Frames are kept as float16: what a model gives beyond its range stays a number, and the rest is rounded as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from transformers import HubertConfig, HubertModel

from mer.encoders.base import Features, kept_frames
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.params import AudioParams, FaceParams, TextParams
from tests.encoders.speech_models import TINY, save, waveform
from tests.encoders.test_folder_doors import bert, vit

LARGEST = 65_504


def enlarge(folder: Path) -> str:
    """The same model with outputs a million times as large, as every block ends in a norm."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    for name, value in weights.items():
        if name.lower().endswith("norm.weight"):
            value.mul_(1e6)
    save_file(weights, file, {"format": "pt"})
    return str(folder)


def speech(folder: Path) -> Features:
    params = AudioParams(model=enlarge(save(HubertModel(HubertConfig(**TINY)), folder)), layers=(-1,), frames=True)
    return SpeechFeatures(params).encode([waveform(9_000, 0)])[0]


def text(folder: Path) -> Features:
    return load_text_encoder(TextParams(encoder=enlarge(bert(folder)), frames=True)).encode(["a b c"])[0]


def face(folder: Path) -> Features:
    params = FaceParams(encoder=enlarge(vit(folder)), frames=True)
    return load_face_encoder(params).encode([np.zeros((2, 32, 32, 3), np.uint8)])[0]


@pytest.mark.parametrize("encode", [speech, text, face])
def test_frames_beyond_float16_are_held_at_its_ends(tmp_path, encode):
    found = encode(tmp_path)
    assert found.ok
    assert np.isfinite(found.embedding).all()
    assert np.abs(found.embedding).max() > LARGEST
    assert found.values is not None
    assert np.abs(found.values).max() == LARGEST  # and not infinite


def test_other_numbers_keep_their_bytes():
    values = np.random.default_rng(0).normal(0, 1e3, (50, 7)).astype(np.float32)
    values[0, :5] = [-0.0, 1e-8, LARGEST, -LARGEST, np.nan]
    assert kept_frames(values).tobytes() == values.astype(np.float16).tobytes()
