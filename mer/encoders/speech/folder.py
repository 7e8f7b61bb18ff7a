"""Hugging Face folders of speech encoders: configuration, preparation of waveforms, weights."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from mer.encoders.checkpoints.folder_check import check_finite, check_tensors, shards
from mer.encoders.checkpoints.pickles import load_pickle
from mer.encoders.checkpoints.pretrained import check_model_folder
from mer.errors import MerError
from mer.media.rate import SAMPLE_RATE
from mer.running.foreign import foreign, read_json

log = logging.getLogger(__name__)

KEY = "audio.model"
HUGGING_FACE_EPSILON = 1e-7
"""What transformers' Wav2Vec2FeatureExtractor adds to the variance of a waveform."""


@dataclass(frozen=True)
class Family:
    """transformers' classes for one `model_type`."""

    config: type[PretrainedConfig]
    model: type[PreTrainedModel]
    prefixes: tuple[str, ...]
    """Where a model with a head keeps its encoder."""


FAMILIES = {
    "hubert": Family(HubertConfig, HubertModel, ("hubert.",)),
    "wav2vec2": Family(Wav2Vec2Config, Wav2Vec2Model, ("wav2vec2.",)),
    "wavlm": Family(WavLMConfig, WavLMModel, ("wavlm.",)),
    "data2vec-audio": Family(Data2VecAudioConfig, Data2VecAudioModel, ("data2vec_audio.",)),
    "whisper": Family(WhisperConfig, WhisperEncoder, ("model.encoder.", "encoder.")),
}


def read_speech_config(folder: Path) -> PretrainedConfig:
    """The configuration of one of `FAMILIES`.

    Raises:
        MerError: there is none, or one of another kind of model.
    """
    check_model_folder(folder, KEY)
    values = read_json(folder / "config.json")
    family = FAMILIES.get(str(values.get("model_type")))
    if family is None:
        raise MerError(
            f"{folder}/config.json: model_type {values.get('model_type')!r} is none of {', '.join(FAMILIES)}"
        )
    with foreign(f"{folder}/config.json"):
        return family.config.from_dict(values)


def read_normalization(folder: Path, config: PretrainedConfig) -> float | None:
    """Epsilon of the waveform normalisation, or None; a folder that does not say follows the pre-training recipe."""
    if config.model_type == "whisper":
        return None
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        recipe = config.model_type == "data2vec-audio" or config.feat_extract_norm == "layer"
        return HUGGING_FACE_EPSILON if recipe else None
    values = read_json(file)
    rate = values.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise MerError(f"{file}: sampling_rate is {rate}; only {SAMPLE_RATE} Hz encoders can be used")
    epsilon = values.get("normalize_epsilon", HUGGING_FACE_EPSILON)
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise MerError(f"{file}: normalize_epsilon: a number between 0 and 1 is needed (got {epsilon!r:.60})")
    return float(epsilon) if values.get("do_normalize", True) else None


def write_preprocessor(folder: Path, normalize_epsilon: float | None) -> None:
    """preprocessor_config.json, which says how waveforms are prepared."""
    values: dict[str, Any] = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "padding_value": 0.0,
        "do_normalize": normalize_epsilon is not None,
        "return_attention_mask": normalize_epsilon is not None,
    }
    if normalize_epsilon is not None:
        values["normalize_epsilon"] = normalize_epsilon  # ours; transformers keeps its own 1e-7
    (folder / "preprocessor_config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return shards(index, KEY)
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
    raise MerError(f"{folder}: neither model.safetensors nor pytorch_model.bin")


def deciding_files(folder: Path) -> list[Path]:
    """The files that decide what the model gives."""
    names = ("config.json", "preprocessor_config.json")
    return [folder / name for name in names if (folder / name).is_file()] + _weight_files(folder)


def read_weights(folder: Path, family: str) -> dict[str, Tensor]:
    """The encoder's weights under transformers' names, without the head of a fine-tuned model.

    Raises:
        MerError: no weights there, or a file that is damaged or hides code.
    """
    weights: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        with foreign(f"{file}: not a {'safetensors file' if file.suffix == '.safetensors' else 'file of weights'}"):
            weights |= load_file(file) if file.suffix == ".safetensors" else load_pickle(file)
    check_tensors(weights, str(folder))
    weights = _new_weight_norm(_without_head(weights, family, folder))
    check_finite(weights, str(folder))
    return weights


def _without_head(weights: dict[str, Tensor], family: str, folder: Path) -> dict[str, Tensor]:
    """The encoder's weights out of a model with a head (for CTC, classification, or Whisper's decoder)."""
    for prefix in FAMILIES[family].prefixes:
        inside = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        if inside:
            head = sorted({name.split(".")[0] for name in weights if not name.startswith(prefix)})
            if head and family != "whisper":
                log.warning("%s: holds a fine-tuned model; left out: %s", folder, ", ".join(head))
            return inside
    return weights


def _new_weight_norm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Older files name a weight-normed convolution's parts weight_g and weight_v."""
    parts = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    return {re.sub(r"weight_[gv]$", lambda part: parts[part[0]], name): tensor for name, tensor in weights.items()}
