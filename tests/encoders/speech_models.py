"""Tiny random speech models for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor, WhisperConfig, WhisperModel

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (32,) * 7,
}


def whisper() -> PreTrainedModel:
    """A Whisper that hears two seconds."""
    return WhisperModel(
        WhisperConfig(
            d_model=32,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_layers=1,
            decoder_attention_heads=4,
            decoder_ffn_dim=48,
            num_mel_bins=8,
            max_source_positions=100,
            vocab_size=64,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    )


def sharpened(build: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """A model with uneven attention and norms: at initialisation both are nearly uniform and hide mistakes."""
    torch.manual_seed(0)
    model = build()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "q_proj.weight" in name or "k_proj.weight" in name:
                parameter.mul_(4.0)
            elif "norm" in name or "rel_attn_embed" in name or "gru_rel_pos" in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def save(model: PreTrainedModel, folder: Path, *, normalize: bool = False) -> Path:
    model.save_pretrained(folder)
    if model.config.model_type != "whisper":
        Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return folder


def golden_hubert() -> Path:
    """The folder of fairseq's golden outputs; skips where the shared data are absent."""
    data = Path(os.environ.get("MER_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = data.parent / "golden" / "fairseq_hubert"
    if not folder.is_dir():
        pytest.skip(f"no golden references in {folder}")
    return folder


def waveform(samples: int, seed: int) -> np.ndarray:
    """A tone in noise, float32 [samples]."""
    rng = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * rng.uniform(90, 300) * np.arange(samples) / 16_000)
    return (0.2 * tone + 0.05 * rng.standard_normal(samples)).astype(np.float32)
