"""Where tensors are computed with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mer.errors import MerError


def pick_device(name: str, key: str = "model.device") -> torch.device:
    """The device for 'auto', 'cpu' or 'cuda'; `MerError` names the params `key` where 'cuda' is asked for in vain."""
    if name == "cuda" and not torch.cuda.is_available():
        raise MerError(f"{key}: 'cuda' was asked for, but torch sees no GPU")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def inference() -> Iterator[None]:
    """No gradients, and float32 that is float32: on a GPU, cuDNN would round what convolutions multiply to 10 bits.

    The caller's setting is restored after.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    finally:
        cudnn.allow_tf32 = before
