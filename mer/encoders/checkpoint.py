"""Speech checkpoints, recognised by looking: a Hugging Face folder or a fairseq `.pt`.

No pickle is ever executed: safetensors, or `torch.load(weights_only=True)` with inert stand-ins and no fallback.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
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

from mer.encoders import fairseq_hubert
from mer.errors import MerError

log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
HUGGING_FACE_EPSILON = 1e-7
"""What transformers' Wav2Vec2FeatureExtractor adds to the variance of a waveform."""


@dataclass(frozen=True)
class _Family:
    config: type[PretrainedConfig]
    model: type[PreTrainedModel]
    prefixes: tuple[str, ...]
    """Where a model with a head keeps its encoder."""


_FAMILIES = {
    "hubert": _Family(HubertConfig, HubertModel, ("hubert.",)),
    "wav2vec2": _Family(Wav2Vec2Config, Wav2Vec2Model, ("wav2vec2.",)),
    "wavlm": _Family(WavLMConfig, WavLMModel, ("wavlm.",)),
    "data2vec-audio": _Family(Data2VecAudioConfig, Data2VecAudioModel, ("data2vec_audio.",)),
    "whisper": _Family(WhisperConfig, WhisperEncoder, ("model.encoder.", "encoder.")),
}

_TRAINING_ONLY = frozenset({"masked_spec_embed"})


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says about its encoder, and where its weights are.

    `normalize_epsilon` is set where waveforms are brought to zero mean and unit variance first:
    (x - mean) / sqrt(variance + epsilon).
    """

    path: Path
    config: PretrainedConfig
    normalize_epsilon: float | None
    weights: Mapping[str, Tensor] | None
    """Already read for a `.pt`, whose configuration travels with its weights; None for a folder."""

    @property
    def family(self) -> str:
        return str(self.config.model_type)

    def model(self) -> PreTrainedModel:
        """The model in float32, in evaluation mode.

        Raises:
            MerError: a weight is missing, extra or of the wrong shape; the line names it.
        """
        weights = dict(self.weights) if self.weights is not None else _folder_weights(self.path, self.family)
        with torch.device("meta"):
            model = _FAMILIES[self.family].model(self.config)
        _check_weights(model, weights, self.path)
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False, assign=True)
        _fill_training_only(model)
        return model.eval().requires_grad_(False)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Look at a checkpoint: a folder's configuration is read, its weights wait for `Checkpoint.model`.

    Raises:
        MerError: nothing there, no configuration, a model of another kind, or a pickle that holds code.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_fairseq(path)
    raise MerError(f"{path}: no such speech encoder (a Hugging Face folder or a fairseq .pt; params key audio.model)")


def convert_checkpoint(checkpoint: str | Path, folder: str | Path) -> None:
    """Write any speech checkpoint as a Hugging Face folder: config.json, model.safetensors, preprocessor_config.json.

    Raises:
        MerError: the checkpoint cannot be read, or the folder exists and is not empty.
    """
    source, folder = read_checkpoint(checkpoint), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MerError(f"{folder}: exists already; name a new folder")
    model = source.model()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if source.family != "whisper":
        _write_preprocessor(folder, source.normalize_epsilon)
    elif (source.path / "preprocessor_config.json").is_file():
        (folder / "preprocessor_config.json").write_bytes((source.path / "preprocessor_config.json").read_bytes())


def digest(path: str | Path) -> str:
    """SHA-256 over the files that decide an encoder's output, in hex; the model is not loaded."""
    path = Path(path)
    files = [path] if path.is_file() else _deciding_files(path)
    sha = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()


# ---------------------------------------------------------------- Hugging Face folders


def _read_folder(folder: Path) -> Checkpoint:
    if not (folder / "config.json").is_file():
        raise MerError(f"{folder}: no config.json; a Hugging Face folder holds config.json and model.safetensors")
    values = _read_json(folder / "config.json")
    family = _FAMILIES.get(str(values.get("model_type")))
    if family is None:
        raise MerError(
            f"{folder}/config.json: model_type {values.get('model_type')!r} is none of {', '.join(_FAMILIES)}"
        )
    try:
        config = family.config.from_dict(values)
    except Exception as error:  # transformers' own checks raise many types
        raise MerError(f"{folder}/config.json: {' '.join(str(error).split())}") from None
    return Checkpoint(folder, config, _folder_normalization(folder, config), None)


def _folder_normalization(folder: Path, config: PretrainedConfig) -> float | None:
    """Epsilon of the waveform normalisation, or None; a folder that does not say follows the pre-training recipe."""
    if config.model_type == "whisper":
        return None
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        recipe = config.model_type == "data2vec-audio" or config.feat_extract_norm == "layer"
        return HUGGING_FACE_EPSILON if recipe else None
    values = _read_json(file)
    rate = values.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise MerError(f"{file}: sampling_rate is {rate}; only {SAMPLE_RATE} Hz encoders can be used")
    return float(values.get("normalize_epsilon", HUGGING_FACE_EPSILON)) if values.get("do_normalize", True) else None


def _write_preprocessor(folder: Path, normalize_epsilon: float | None) -> None:
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
        return [folder / name for name in sorted(set(_read_json(index).get("weight_map", {}).values()))]
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
    raise MerError(f"{folder}: neither model.safetensors nor pytorch_model.bin")


def _deciding_files(folder: Path) -> list[Path]:
    names = ("config.json", "preprocessor_config.json")
    return [folder / name for name in names if (folder / name).is_file()] + _weight_files(folder)


def _folder_weights(folder: Path, family: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        try:
            weights |= load_file(file) if file.suffix == ".safetensors" else load_pickle(file)
        except (SafetensorError, OSError) as error:
            raise MerError(f"{file}: not a safetensors file: {error}") from None
    return _new_weight_norm(_without_head(weights, family, folder))


def _without_head(weights: dict[str, Tensor], family: str, folder: Path) -> dict[str, Tensor]:
    """The encoder's weights out of a model with a head (for CTC, classification, or Whisper's decoder)."""
    for prefix in _FAMILIES[family].prefixes:
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


# ---------------------------------------------------------------- fairseq


def _read_fairseq(path: Path) -> Checkpoint:
    contents = load_pickle(path)
    weights = contents.get("model")
    if not isinstance(weights, Mapping):
        hint = "; give the Hugging Face folder it lies in" if path.suffix == ".bin" else ""
        raise MerError(f"{path}: not a fairseq checkpoint: no 'model' in it{hint}")
    config, normalize = fairseq_hubert.convert_config(contents, source=str(path))
    epsilon = fairseq_hubert.NORMALIZE_EPSILON if normalize else None
    return Checkpoint(path, config, epsilon, fairseq_hubert.convert_weights(weights, config))


def load_pickle(path: Path) -> dict[str, Any]:
    """Read a PyTorch file without running anything in it.

    Raises:
        MerError: the file is damaged, or its pickle asks for more than plain data.
    """
    try:
        with torch.serialization.safe_globals([_fairseq_dictionary(), argparse.Namespace]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found is None:
            raise MerError(f"{path}: not a PyTorch checkpoint, or a damaged one") from None
        raise MerError(
            f"{path}: its pickle asks for '{found[1]}', which may be hidden code; refused, nothing was run. "
            "Get the model as safetensors from a source you trust"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise MerError(f"{path}: not a PyTorch checkpoint, or a damaged one: {' '.join(str(error).split())}") from None
    if not isinstance(contents, dict):
        raise MerError(f"{path}: holds a {type(contents).__name__}, not a dictionary of weights")
    return contents


def _fairseq_dictionary() -> type:
    """An inert class under the name that fairseq's checkpoints give their label dictionary."""
    return type("Dictionary", (), {"__module__": "fairseq.data.dictionary"})


# ---------------------------------------------------------------- checks


def _check_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in _TRAINING_ONLY}
    found = {name: tensor.shape for name, tensor in weights.items() if name not in _TRAINING_ONLY}
    misshaped = (
        f"{name} {list(found[name])} instead of {list(wanted[name])}"
        for name in wanted.keys() & found.keys()
        if wanted[name] != found[name]
    )
    faults = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "mis-shaped": sorted(misshaped),
    }
    lines = [f"{len(names)} {kind}: {_first(names)}" for kind, names in faults.items() if names]
    if lines:
        raise MerError(f"{path}: weights do not fit the configuration; " + "; ".join(lines))


def _first(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _fill_training_only(model: nn.Module) -> None:
    for name, parameter in _training_only(model):
        if parameter.is_meta:
            setattr(model, name, nn.Parameter(torch.zeros(parameter.shape)))


def _training_only(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    yield from [(name, value) for name, value in model.named_parameters() if name in _TRAINING_ONLY]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MerError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise MerError(f"{file}: not a JSON object")
    return values
