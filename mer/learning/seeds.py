"""Independent random streams, named: NumPy's own seed tuples ignore trailing zeros, so that (0, 1) is (0, 1, 0)."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """A generator that depends on every part of its name, and on where one part ends and the next begins.

    >>> stream(0, "batches", 1).random() == stream(0, "batches", 1, 0).random()
    False
    """
    return np.random.default_rng(stream_seed(seed, *name))


def stream_seed(seed: int, *name: str | int) -> int:
    """The stream's seed as a number of 63 bits, for torch's generators."""
    digest = hashlib.sha256(json.dumps([seed, *name]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
