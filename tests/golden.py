"""Golden digests: what an extractor made of a fixed small input when its version was set.

A cached row is found by the extractor's version, not by its code. So code that gives other numbers under the same
version would serve old rows beside new ones: the digest beside the version fails until the version is raised.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

NUMBERS = 24
STEP = 0.05
"""Of the rounding: far above what processors and thread counts change, far below what a change of the code does."""
MARGIN = 0.002
"""No number may be this close to where rounding tips over."""


def golden(version: object, values: NDArray[np.generic]) -> str:
    """Digest of a version and of some mixtures of the values, rounded."""
    flat = np.asarray(values, np.float64).ravel()
    flat = (flat - flat.mean()) / (flat.std() or 1.0)
    phase = np.arange(len(flat))[:, None] * np.arange(1, NUMBERS + 1) * 0.7391
    mixed = flat @ np.cos(phase) / np.sqrt(len(flat)) / STEP
    safe = np.abs(mixed - np.floor(mixed) - 0.5) > MARGIN / STEP
    shown = [int(value) if sure else None for value, sure in zip(np.round(mixed), safe, strict=True)]
    return hashlib.sha256(json.dumps([str(version), len(flat), shown]).encode()).hexdigest()[:16]


def fill_by_formula(model: nn.Module, gain: float = 1.5) -> nn.Module:
    """Weights that no generator of random numbers decides; attention is uneven."""
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.named_parameters()):
            wave = torch.cos(torch.arange(weight.numel(), dtype=torch.float64) * (0.37 + 0.011 * number) + number)
            scale = gain / max(1, weight.shape[-1]) ** 0.5 if weight.ndim > 1 else 0.1
            base = 1.0 if weight.ndim == 1 and "norm" in name.lower() and name.endswith("weight") else 0.0
            weight.copy_((base + scale * wave).reshape(weight.shape))
    return model.eval()
