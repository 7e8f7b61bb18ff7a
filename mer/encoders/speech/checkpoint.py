"""Speech checkpoints, recognised by looking: a Hugging Face folder or a fairseq `.pt`.

No pickle is ever executed: safetensors, or `torch.load(weights_only=True)` with inert stand-ins and no fallback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from mer.encoders.checkpoints.folder_check import check_finite, check_tensors, check_values
from mer.encoders.checkpoints.pickles import load_pickle
from mer.encoders.checkpoints.pretrained import quiet
from mer.encoders.speech import fairseq_hubert
from mer.encoders.speech.folder import (
    FAMILIES,
    deciding_files,
    read_normalization,
    read_speech_config,
    read_weights,
    write_preprocessor,
)
from mer.errors import MerError, first_few
from mer.running.foreign import foreign
from mer.store.keys import FileDigests

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
        weights = dict(self.weights) if self.weights is not None else read_weights(self.path, self.family)
        with foreign(f"{self.path}: no model of this configuration can be made"), torch.device("meta"):
            model = FAMILIES[self.family].model(self.config)
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
        config = read_speech_config(path)
        return Checkpoint(path, config, read_normalization(path, config), None)
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
    with quiet():
        model.save_pretrained(folder)
    if source.family != "whisper":
        write_preprocessor(folder, source.normalize_epsilon)
    elif (source.path / "preprocessor_config.json").is_file():
        (folder / "preprocessor_config.json").write_bytes((source.path / "preprocessor_config.json").read_bytes())


def digest(path: str | Path) -> str:
    """SHA-256 over the files that decide an encoder's output, in hex; unchanged files are not read again."""
    path = Path(path)
    sha = hashlib.sha256()
    with FileDigests() as digests:
        for file in [path] if path.is_file() else deciding_files(path):
            sha.update(bytes.fromhex(digests.of(file)))
    return sha.hexdigest()


def _read_fairseq(path: Path) -> Checkpoint:
    contents = load_pickle(path)
    if "model_weight" in contents and "model_cfg" in contents:
        contents = from_s3prl(contents)
    weights = contents.get("model")
    if not isinstance(weights, Mapping):
        hint = "; give the Hugging Face folder it lies in" if path.suffix == ".bin" else ""
        raise MerError(f"{path}: not a fairseq checkpoint: no 'model' in it{hint}")
    check_tensors(weights, str(path))
    check_finite(weights, str(path))
    with foreign(f"{path}: its configuration"):
        config, normalize = fairseq_hubert.convert_config(contents, source=str(path))
        converted = fairseq_hubert.convert_weights(weights, config)
    check_values(config.to_dict(), str(path))
    return Checkpoint(path, config, fairseq_hubert.NORMALIZE_EPSILON if normalize else None, converted)


def from_s3prl(contents: Mapping[str, Any]) -> dict[str, Any]:
    """What s3prl's converter took out of a fairseq checkpoint, put back under fairseq's names.

    The converter drops the model's name; only HuBERT has embeddings of the clusters that it predicts.
    """
    hubert = any(name.startswith(("label_embs_concat", "final_proj")) for name in contents["model_weight"]) and not any(
        name.startswith("quantizer") for name in contents["model_weight"]
    )
    model = {"_name": "hubert" if hubert else "wav2vec2", **dict(contents["model_cfg"])}
    return {"cfg": {"model": model, "task": contents.get("task_cfg")}, "model": contents["model_weight"]}


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
    lines = [f"{len(names)} {kind}: {first_few(names)}" for kind, names in faults.items() if names]
    if lines:
        raise MerError(f"{path}: weights do not fit the configuration; " + "; ".join(lines))


def used_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights by name, without what only training uses: the mask, and counters of batches."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name not in _TRAINING_ONLY and not name.endswith(".num_batches_tracked")
    }


def _fill_training_only(model: nn.Module) -> None:
    for name, parameter in _training_only(model):
        if parameter.is_meta:
            setattr(model, name, nn.Parameter(torch.zeros(parameter.shape)))


def _training_only(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    yield from [(name, value) for name, value in model.named_parameters() if name in _TRAINING_ONLY]
