"""Multimodal emotion recognition from short video clips, as one reproducible pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mer.prediction.predictor import Predictor

__version__ = "0.1.0"

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Before OpenMP is loaded: its threads would spin while they wait for each other, and where another process wants a core
# they wait for what it keeps from running. Beside one such process pretraining took 24 times as long.


def load_bundle(folder: str | Path, weights: Mapping[str, str] | None = None) -> Predictor:
    """A trained bundle, which predicts files; its encoders are loaded at the first prediction.

    Example, with a bundle and a file of yours:
        >>> from mer import load_bundle
        >>> bundle = load_bundle("data/models/bundle")
        >>> [prediction] = bundle.predict(["clip.wav"], transcripts=["太好了真开心"])
        >>> prediction.label
        'happy'

    Args:
        folder: the bundle's, or the file that `mer bundle pack` wrote.
        weights: where encoders lie now, by the names of their views, `detector` and `asr`.

    Raises:
        mer.errors.MerError: the bundle is missing, broken or of another version.
    """
    from mer.prediction.predictor import Predictor  # here, so that `import mer` waits for no torch

    return Predictor(folder, weights)
