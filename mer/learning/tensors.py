"""Named tensors and a JSON description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mer.errors import MerError


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write contiguous CPU copies in the order of their names; the same content gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    ordered = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    save_file(ordered, temporary, metadata={"about": json.dumps(about, sort_keys=True, ensure_ascii=False)})
    os.replace(temporary, path)


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        MerError: the file is missing or is not such a file.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {})["about"])
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise MerError(f"{path}: not a model file: {error}") from None
    return tensors, about
