"""Named tensors and a JSON description in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mer.errors import MerError
from mer.running.foreign import foreign


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write contiguous CPU copies in the order of their names; the same content gives the same bytes.

    Raises:
        MerError: one of them holds what is no number: nothing is written.
    """
    path = Path(path)
    check_finite(tensors, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    ordered = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    save_file(ordered, temporary, metadata={"about": json.dumps(about, sort_keys=True, ensure_ascii=False)})
    os.replace(temporary, path)


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        MerError: the file is missing or is not such a file, or a tensor holds what is no number.
    """
    with foreign(f"{path}: not a model file"), safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads((file.metadata() or {})["about"])
    if not isinstance(about, dict):
        raise MerError(f"{path}: not a model file: its description is no object")
    check_finite(tensors, str(path))
    return tensors, about


def check_finite(tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Raise `MerError` naming the first tensor with a value that is no finite number."""
    for name, tensor in sorted(tensors.items()):
        if tensor.is_complex():
            raise MerError(f"{where}: '{name}' holds complex numbers")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise MerError(f"{where}: '{name}' holds values that are not finite numbers")
