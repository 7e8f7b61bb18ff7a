"""A model folder is somebody else's: its files decide what the model computes, and nothing else.

A config may name an attention of its own choice, which transformers would fetch from the hub and run; an index may name
files outside the folder; weights may hold values that are no numbers, and everything after them is none either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mer.errors import MerError
from mer.running.foreign import read_json

OWN = ("eager", "sdpa", "grouped_mm", "batched_mm")
"""What comes with transformers and PyTorch. Any other name may stand for code to fetch."""
LARGEST = {
    "hidden_size": 65_536,
    "intermediate_size": 2**20,
    "num_hidden_layers": 1000,
    "encoder_layers": 1000,
    "decoder_layers": 1000,
    "num_attention_heads": 4096,
    "vocab_size": 10**7,
    "max_position_embeddings": 10**8,
    "image_size": 4096,
    "num_frames": 4096,
    "num_channels": 64,
    "patch_size": 4096,
    "projection_dim": 65_536,
    "conv_dim": 65_536,
    "conv_kernel": 65_536,
    "conv_stride": 65_536,
    "num_conv_pos_embeddings": 65_536,
    "d_model": 65_536,
    "encoder_ffn_dim": 2**20,
    "decoder_ffn_dim": 2**20,
    "encoder_attention_heads": 4096,
    "decoder_attention_heads": 4096,
    "num_mel_bins": 4096,
    "max_source_positions": 2**20,
    "max_target_positions": 2**20,
    "type_vocab_size": 2**20,
}
CONVOLUTIONS = ("conv_dim", "conv_kernel", "conv_stride")
MOST_CONVOLUTIONS = 64
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def check_folder(folder: str | Path, key: str) -> None:
    """Look at config.json and the index of shards before anything reads them for what they say.

    Raises:
        MerError: one of them asks for foreign code or files, names files that are not there, or holds absurd numbers;
            the line names the params `key` and the file.
    """
    config = Path(folder) / "config.json"
    if config.is_file():
        check_values(_read(config, key), f"{key}: {config}")
    for name in INDICES:
        if (Path(folder) / name).is_file():
            shards(Path(folder) / name, key)


def check_values(values: Mapping[str, Any], where: str) -> None:
    """Raise `MerError` naming the first value of a model's configuration that asks for too much, or for code."""
    for name in CONVOLUTIONS:
        if isinstance(values.get(name), list | tuple) and len(values[name]) > MOST_CONVOLUTIONS:
            raise MerError(f"{where}: {name}: {len(values[name])} convolutions, more than {MOST_CONVOLUTIONS}")
    for name, value in _leaves(values):
        fault = _fault(name, value)
        if fault is not None:
            raise MerError(f"{where}: {name}: {fault}")


def shards(index: Path, key: str) -> list[Path]:
    """The files that an index of shards names, each once, sorted.

    Raises:
        MerError: it names none, a path that leads elsewhere, or a file that is not there.
    """
    where = _read(index, key).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise MerError(f"{key}: {index}: no weight_map")
    for name in where.values():
        plain = isinstance(name, str) and Path(name).name == name and name.strip(".") and name.isprintable()
        if not plain or "\\" in name:
            raise MerError(f"{key}: {index}: {str(name)[:100]!r} is not the name of a file in this folder")
    files = [index.parent / name for name in sorted(set(where.values()))]
    for file in files:
        if not file.is_file():
            raise MerError(f"{key}: {index}: {file.name}, which it names, is not there")
    return files


def check_finite(weights: Mapping[str, Tensor], where: str) -> None:
    """Raise `MerError` naming the first weight with a value that is no finite number."""
    for name, tensor in weights.items():
        if tensor.device.type != "meta" and tensor.is_floating_point() and not _is_finite(tensor):
            raise MerError(f"{where}: weight '{name}' holds values that are not finite numbers")


def check_tensors(weights: Mapping[Any, Any], where: str) -> None:
    """Raise `MerError` unless these are names and tensors of numbers that a model computes with."""
    for name, tensor in weights.items():
        if not isinstance(name, str):
            raise MerError(f"{where}: a weight is called {name!r:.60}, which is no name")
        if not isinstance(tensor, Tensor):
            raise MerError(f"{where}: weight '{name:.100}' is a {type(tensor).__name__}, no tensor")
        if tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise MerError(f"{where}: weight '{name:.100}' is of a kind that no model computes with ({tensor.dtype})")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise MerError(f"{where}: weight '{name:.100}' claims to be larger than what the file holds of it")


def _is_finite(tensor: Tensor) -> bool:
    if tensor.element_size() == 1:  # float8 has no isfinite
        tensor = tensor.to(torch.float32)
    return bool(torch.isfinite(tensor).all())


def _read(file: Path, key: str) -> dict[str, Any]:
    return read_json(file, f"{key}: {file}")


def _leaves(values: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Names, dotted, and values; lists give each of their items under the list's name."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _leaves(value, f"{above}.{name}" if above else str(name))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _leaves(value, above)
    else:
        yield above, values


def _fault(name: str, value: Any) -> str | None:
    last = name.rpartition(".")[2]
    if "_implementation" in name and isinstance(value, str) and value not in OWN:
        return f"{value[:100]!r} is none of {', '.join(OWN)}; other code is not run"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    if last in LARGEST and isinstance(value, int | float) and not 0 <= value <= LARGEST[last]:
        return f"must be from 0 to {LARGEST[last]} (got {value!r:.60})"
    if last in LARGEST and not isinstance(value, int | float | None):
        return f"a number is needed (got {value!r:.60})"
    return None
