"""PyTorch files read without running anything in them.

Beside tensors and Python's own containers, an allow-list of plain types is read (`mer.encoders.plain_types`): what
fairseq and its kin leave in the checkpoints of one's own training. Everything else is refused by name.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from mer.encoders.plain_types import plain, plain_types
from mer.errors import MerError


def load_pickle(path: Path) -> dict[str, Any]:
    """Read a PyTorch file without running anything in it.

    Raises:
        MerError: the file is damaged, or its pickle asks for more than plain data.
    """
    try:
        with torch.serialization.safe_globals(plain_types()):
            contents = plain(torch.load(path, map_location="cpu", weights_only=True))
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
