"""A model folder is somebody else's: its files decide what the model computes, and nothing else.

A config may name an attention of its own choice, which transformers would fetch from the hub and run; an index may name
files outside the folder; weights may hold values that are no numbers, and everything after them is none either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mer.errors import MerError

MOST_BYTES = 16 * 2**20
"""Of a JSON file that says what a model is; indices of the largest models have a few megabytes."""
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
}
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def check_folder(folder: str | Path, key: str) -> None:
    """Look at config.json and the index of shards before anything reads them for what they say.

    Raises:
        MerError: one of them asks for foreign code or files, names files that are not there, or holds absurd numbers;
            the line names the params `key` and the file.
    """
    config = Path(folder) / "config.json"
    if config.is_file():
        for name, value in _leaves(_read(config, key)):
            fault = _fault(name, value)
            if fault is not None:
                raise MerError(f"{key}: {config}: {name}: {fault}")
    for name in INDICES:
        if (Path(folder) / name).is_file():
            shards(Path(folder) / name, key)


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


def _is_finite(tensor: Tensor) -> bool:
    if tensor.element_size() == 1:  # float8 has no isfinite
        tensor = tensor.to(torch.float32)
    return bool(torch.isfinite(tensor).all())


def _read(file: Path, key: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise MerError(f"{key}: {file}: larger than any such file should be")
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MerError(f"{key}: {file}: not valid JSON: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict):
        raise MerError(f"{key}: {file}: not a JSON object")
    return values


def _leaves(values: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Names, dotted, and values; lists give each of their items under the list's name."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _leaves(value, f"{above}.{name}" if above else str(name))
    elif isinstance(values, list):
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
