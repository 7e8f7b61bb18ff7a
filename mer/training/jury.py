"""Members of one outer fold as a calibrated, voting jury."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.model.voting import head_presence, vote


@dataclass(frozen=True)
class Jury:
    """How the heads of a fold's members vote: `temperature` and `weights`, float32 [heads]."""

    temperature: NDArray[np.float32]
    weights: NDArray[np.float32]

    def probabilities(self, logits: Tensor, present: Tensor) -> Tensor:
        """Calibrated vote: logits [..., N, heads, C] and present bool [N, M] -> [..., N, C]."""
        temperature, weights = (torch.from_numpy(x).to(logits.device) for x in (self.temperature, self.weights))
        return vote(logits, temperature, weights, head_presence(present, len(self.weights)))
