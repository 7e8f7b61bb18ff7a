"""What an epoch of masked prediction is told of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochScores:
    """Means over the masked frames of an epoch. `majority` is the share of the most frequent unit among them."""

    epoch: int
    loss: float
    accuracy: float
    majority: float
