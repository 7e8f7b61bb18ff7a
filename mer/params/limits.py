"""What no parameter may exceed: values that are numbers, but that no run could mean, or no machine could hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

LARGEST = 10**9
"""Of any number that has no limit of its own."""
LONGEST = 4096
"""Characters of a path or name."""
MOST_PARTS = 1000
"""Values of a list or mapping."""
SEEDS = (0, 2**32 - 1)
LIMITS: dict[str, tuple[float, float]] = {
    "corpus.folds": (3, 1000),  # one to score, one to decide, one to learn from
    "compute.workers": (0, 1024),
    "decode.frames": (0, 10_000),
    "decode.max_side": (1, 16_384),
    "decode.max_seconds": (0, 86_400),
    "decode.max_pixels": (1, 2**28),
    "decode.timeout_seconds": (0, 86_400),
    "decode.memory_mb": (1, 2**22),
    "transcribe.batch_windows": (1, 4096),
    "adapt_audio.layer": (-1000, 1000),
    "adapt_audio.fit_frames": (1, 10**8),
    "adapt_audio.epochs": (1, 10_000),
    "adapt_audio.learning_rate": (0, 10),
    "adapt_audio.batch_seconds": (0, 86_400),
    "audio.layers": (-1000, 1000),
    "audio.window_seconds": (1, 3600),
    "audio.batch_seconds": (0, 86_400),
    "faces.crop_size": (16, 2048),
    "face.onnx.size": (1, 4096),
    "face.onnx.mean": (-1000, 1000),
    "face.onnx.deviation": (1e-6, 1000),
    "face.batch_frames": (1, 65_536),
    "text.dimensions": (1, 65_536),
    "text.ngrams": (1, 20),
    "text.vocabulary": (1, 10**8),
    "text.layers": (-1000, 1000),
    "text.batch_tokens": (1, 2**24),
    "model.components": (0, 65_536),
    "model.width": (1, 16_384),
    "model.blocks": (0, 100),
    "model.heads": (1, 1024),
    "model.frame_tokens": (0, 64),
    "model.most_frames": (1, 4096),
    "model.threads": (0, 1024),
    "pretrain.epochs": (0, 100_000),
    "pretrain.batch_size": (2, 2**17),
    "pretrain.learning_rate": (0, 10),
    "pretrain.weight_decay": (0, 100),
    "pretrain.temperature": (1e-3, 100),
    "pretrain.inter_weight": (0, 10**6),
    "pretrain.noise_weight": (0, 10**6),
    "pretrain.noise_steps": (1, 10**6),
    "pretrain.patience": (1, 100_000),
    "self_train.rounds": (0, 100),
    "self_train.caution": (0, 1000),
    "self_train.seeds": (1, 1000),
    "self_train.steps": (1, 10**6),
    "self_train.batch_size": (1, 2**17),
    "self_train.learning_rate": (0, 10),
    "self_train.encoder_learning_rate": (0, 10),
    "self_train.weight_decay": (0, 100),
    "self_train.logit_adjustment": (0, 100),
    "self_train.sharpening": (0, 1000),
    "self_train.agreement": (0, 1000),
    "self_train.prior_clips": (0, 10**6),
    "self_train.unimodal_weight": (0, 10**6),
    "evaluate.bootstrap": (100, 10**6),
}
"""By key; both ends are allowed. Keys called `seed` go by `SEEDS`: NumPy and PyTorch take no others."""
ORDERED = ("text.ngrams",)
"""Pairs that go from the smaller to the larger."""


def faults(params: BaseModel) -> Iterator[str]:
    """Lines that name a key, what is wrong with it, and its value."""
    for key, known, value in _leaves(params, "", ""):
        fault = _fault(known, value)
        if fault is not None:
            yield f"'{key}': {fault} (got {shown(value)})"


def shown(value: Any) -> str:
    """A value, short enough for a line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return f"a number of {int(value.bit_length() / math.log2(10)) + 1} digits"
    if isinstance(value, dict | list | tuple) and len(value) > 20:
        return f"{len(value)} values"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _leaves(section: BaseModel, above: str, known: str) -> Iterator[tuple[str, str, Any]]:
    """Each value with its key, and with the key under which `LIMITS` knows it: that of a view is by modality."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{above}{name}.", f"{known}{name}.")
        elif isinstance(value, dict) and any(isinstance(one, BaseModel) for one in value.values()):
            for own, one in value.items():
                yield from _leaves(one, f"{above}{name}.{own}.", f"{one.modality}.")
        else:
            yield above + name, known + name, value


def _fault(key: str, value: Any) -> str | None:
    if isinstance(value, dict):
        value = list(value.values())
    parts = list(value) if isinstance(value, list | tuple) else [value]
    least, most = SEEDS if key.rpartition(".")[2] == "seed" else LIMITS.get(key, (-LARGEST, LARGEST))
    for part in parts:
        if isinstance(part, str):
            fault = _fault_of_text(part)
            if fault is not None:
                return fault
        elif isinstance(part, int | float) and not isinstance(part, bool):
            if isinstance(part, float) and not math.isfinite(part):
                return "a finite number is needed"
            if not least <= part <= most:
                return f"must be from {least:g} to {most:g}"
    if len(parts) > MOST_PARTS:
        return "too many values"
    if key in ORDERED and parts != sorted(parts):
        return "the smaller number comes first"
    return None


def _fault_of_text(text: str) -> str | None:
    if not text.strip():
        return "must not be empty"
    if len(text) > LONGEST:
        return f"longer than {LONGEST} characters"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "a control character in it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a character in it"
    return None
