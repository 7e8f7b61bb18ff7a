"""From features as extracted to what members train on: standardised, encoded where the encoders are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.model.mrccl import Encoders
from mer.training.standardise import Standardiser

ROWS = 8192
"""Clips encoded at once."""


@dataclass(frozen=True)
class Inputs:
    """`features` [N, D] a modality, zero where absent; `present` bool [N, M]; both on the training device."""

    features: list[Tensor]
    present: Tensor

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Tensor | NDArray[np.int64]) -> Inputs:
        """The rows, an index of any shape."""
        index = torch.as_tensor(rows, device=self.present.device)
        return Inputs([x[index] for x in self.features], self.present[index])

    def __getitem__(self, part: slice) -> Inputs:
        return Inputs([x[part] for x in self.features], self.present[part])


@dataclass(frozen=True)
class Frontend:
    """What all members share. `encoders` are the frozen ones; None where members have their own, or none."""

    standardisers: Mapping[str, Standardiser]
    encoders: Encoders | None

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> columns after standardising."""
        return {name: fitted.width for name, fitted in self.standardisers.items()}

    def __call__(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.int64] | None,
        device: torch.device,
    ) -> Inputs:
        """Prepare N clips: float32 [N, D] and bool [N] a modality; `groups` are codes [N] to standardise within."""
        exists = torch.from_numpy(np.stack([present[name] for name in self.standardisers], axis=1)).to(device)
        tensors = [
            torch.from_numpy(fit(features[name], present[name], groups)).to(device)
            for name, fit in self.standardisers.items()
        ]
        inputs = Inputs(tensors, exists)
        return inputs if self.encoders is None else _encode(self.encoders, inputs)


@torch.no_grad()
def _encode(encoders: Encoders, inputs: Inputs) -> Inputs:
    encoders = encoders.to(inputs.present.device)
    starts = range(0, max(1, len(inputs)), ROWS)
    h = torch.cat([encoders(inputs[start : start + ROWS].features) for start in starts], dim=1)  # [M, N, W]
    return Inputs(list(h * inputs.present.T[..., None]), inputs.present)
