"""What every encoder takes and gives: one protocol for speech, face and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item", contravariant=True)

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Features:
    """Features of one clip in one modality.

    `embedding` is float32 [D]; `frames` says how many frames, crops or tokens went into it; `values` is
    float16 [T, D] where per-frame features were asked for. A clip whose modality is absent has
    `ok = False`, a zero embedding and `frames = 0`; `note` says why in a few words. Where `ok`, `note` says
    that they were made of a part only, or is empty.
    """

    embedding: NDArray[np.float32]
    frames: int
    ok: bool
    values: NDArray[np.float16] | None = None
    note: str = ""


def absent(dimensions: int, note: str) -> Features:
    """Features of a clip in which the modality is absent: a zero vector that the model masks."""
    return Features(np.zeros(dimensions, np.float32), frames=0, ok=False, note=note)


def kept_frames(values: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Frames as they are kept: float16, what lies beyond its range (65,504) held at its ends.

    Some models have a few columns that large; as infinities they would be masked.
    """
    return np.clip(values, -LARGEST, LARGEST).astype(np.float16)


class Encoder(Protocol, Generic[Item]):
    """Turns a batch of clips into features; each result is what the clip would get alone.

    The item is, for speech, a float32 waveform [samples] at 16 kHz in [-1, 1]; for face, a uint8 array
    [crops, height, width, 3] in RGB; for text, a string.
    """

    @property
    def dimensions(self) -> int:
        """Width D of the embeddings."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the output: configuration, weights, code version."""

    def encode(self, batch: Sequence[Item]) -> list[Features]:
        """Features of each item, in order; an item without usable content gives `absent(...)`, never an error."""
