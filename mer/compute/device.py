"""Where tensors are computed with."""

from __future__ import annotations

import torch

from mer.errors import MerError


def pick_device(name: str, key: str = "model.device") -> torch.device:
    """The device for 'auto', 'cpu' or 'cuda'; `MerError` names the params `key` where 'cuda' is asked for in vain."""
    if name == "cuda" and not torch.cuda.is_available():
        raise MerError(f"{key}: 'cuda' was asked for, but torch sees no GPU")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
