"""A feature set made ready for a model: standardised, on the device, one tensor a modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.training.standardise import Standardiser


@dataclass(frozen=True)
class Inputs:
    """`features` [N, D] a modality, zero where absent; `present` bool [N, M]; both on the training device."""

    features: list[Tensor]
    present: Tensor

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Tensor) -> Inputs:
        """The rows [...] of every tensor."""
        return Inputs([x[rows] for x in self.features], self.present[rows])

    def __getitem__(self, part: slice) -> Inputs:
        return Inputs([x[part] for x in self.features], self.present[part])


def make_inputs(
    standardisers: Mapping[str, Standardiser],
    features: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    groups: NDArray[np.int64] | None,
    device: torch.device,
) -> Inputs:
    """Standardise float32 [N, D] of each modality and move it to the device."""
    tensors = [torch.from_numpy(fit(features[name], present[name], groups)) for name, fit in standardisers.items()]
    exists = torch.from_numpy(np.stack([present[name] for name in standardisers], axis=1))
    return Inputs([x.to(device) for x in tensors], exists.to(device))
