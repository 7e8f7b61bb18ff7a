"""PyTorch files read without running anything in them.

Beside tensors and Python's own containers, an allow-list of plain types is read (`plain_types` beside this file): what
fairseq and its kin leave in the checkpoints of one's own training. Everything else is refused by name.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from mer.encoders.checkpoints.plain_types import plain, plain_types
from mer.errors import MerError
from mer.running.foreign import said


def check_archive(path: Path) -> None:
    """Refuse a file that unpacks to more than it is: PyTorch's own archives hold every part as it is.

    Raises:
        MerError: a part is compressed, or parts lie over each other.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise MerError(f"{path}: not a PyTorch checkpoint, or a damaged one: {said(error)}") from None
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise MerError(f"{path}: not a PyTorch checkpoint: it would unpack to more than the file holds")


def load_pickle(path: Path) -> dict[str, Any]:
    """Read a PyTorch file without running anything in it.

    Raises:
        MerError: the file is damaged, or its pickle asks for more than plain data.
    """
    check_archive(path)
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
    except Exception as error:  # what a damaged file does to the unpickler has no one type
        raise MerError(f"{path}: not a PyTorch checkpoint, or a damaged one: {said(error)}") from None
    if not isinstance(contents, dict):
        raise MerError(f"{path}: holds a {type(contents).__name__}, not a dictionary of weights")
    return contents
