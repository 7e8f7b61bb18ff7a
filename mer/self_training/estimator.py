"""The part of a bundle that predicts numbers: ridge regression and regression heads, combined, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.frames import FrameFeatures
from mer.learning.inputs import ROWS, Inputs, Standardisation, encode
from mer.model.mrccl import Encoders
from mer.model.views import Parts, Views
from mer.self_training.classifier import heads_of
from mer.self_training.floor import FLOOR as CLASS_FLOOR
from mer.self_training.floor import columns, floor_parts
from mer.self_training.members import Members
from mer.self_training.ridge import Ridge
from mer.self_training.stacking import Stack
from mer.self_training.voting import expert_presence

FLOOR = "ridge"


@dataclass(frozen=True)
class Numbers:
    """Predicted `values` [N, K], and the ends of their intervals, `low` and `high` [N, K]."""

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def columns(self, targets: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        """As columns of a predictions table: `t_<name>`, `t_<name>_low` and `t_<name>_high`."""
        found = {}
        for k, name in enumerate(targets):
            for end, values in (("", self.values), ("_low", self.low), ("_high", self.high)):
                found[f"t_{name}{end}"] = values[:, k]
        return found


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each target among the clips learned from, float64 [K]."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., K]: zero mean, unit variance."""
        return (values - self.mean) / self.deviation

    def numbers(self, values: Tensor, radius: Tensor) -> Numbers:
        """Standardised values [N, K] and radius [K] back on the targets' own scale."""
        found = values.double().numpy() * self.deviation + self.mean
        half = radius.double().numpy() * self.deviation
        return Numbers(found, found - half, found + half)


def fit_scale(values: NDArray[np.float64]) -> Scale:
    """Of [n, K], not a number where unknown; a target without any value, or with one only, keeps its scale."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / count)
    return Scale(mean, np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-9), deviation, 1.0))


@dataclass(frozen=True)
class Estimator:
    """Experts whose predictions of `targets` are combined; `standardisation` is how clips are standardised, `looks_at`
    the views that the experts look at.

    `ridge` are the floor's experts, on all modalities and on each alone. `members` are those of each family and round;
    `frozen` the encoders of families that have none of their own.
    """

    targets: tuple[str, ...]
    standardisation: Standardisation
    ridge: tuple[Ridge, ...]
    members: tuple[tuple[str, Members], ...]
    frozen: Mapping[str, Encoders]
    stack: Stack
    scale: Scale
    looks_at: tuple[str, ...]

    def predict(
        self,
        features: Mapping[str, NDArray[np.float32]],
        present: Mapping[str, NDArray[np.bool_]],
        groups: NDArray[np.object_] | None,
        device: torch.device,
        frames: Mapping[str, FrameFeatures] | None = None,
    ) -> Numbers:
        """Numbers of N clips; see `Bundle.predict` for what goes in."""
        inputs = self.standardisation.inputs(features, present, groups, device, frames)
        inputs = inputs.seen_through(self.standardisation.views.places(self.looks_at))
        starts = range(0, len(inputs), ROWS)
        parts = [self._predict(inputs[start : start + ROWS]) for start in starts]
        return self.scale.numbers(torch.cat([torch.zeros(0, len(self.targets)), *parts]), self.stack.radius)

    def _predict(self, inputs: Inputs) -> Tensor:
        views = self.standardisation.views
        parts = list(ridge_parts(views).values()) if self.ridge else []
        found = [expert(columns(inputs, part)).cpu() for expert, part in zip(self.ridge, parts, strict=True)]
        for family, members in self.members:
            outputs = members.logits(encode(self.frozen[family], inputs) if family in self.frozen else inputs)
            found.append(mean_outputs(outputs).cpu())
            parts += heads_of(family, views).values()
        return self.stack(torch.cat(found), expert_presence(inputs.present.cpu(), parts))

    def tensors(self) -> dict[str, Tensor]:
        """To be saved beside those of `standardisation` and `frozen`; all but the names of `about`."""
        found = {f"stack.{name}": value for name, value in self.stack.tensors().items()}
        found |= {"scale.mean": torch.from_numpy(self.scale.mean)}
        found |= {"scale.deviation": torch.from_numpy(self.scale.deviation)}
        for e, expert in enumerate(self.ridge):
            found |= {f"ridge.{e}.weight": expert.weight, f"ridge.{e}.bias": expert.bias}
        for i, (_, members) in enumerate(self.members):
            found |= {f"members.{i}.{name}": value for name, value in members.stack.items()}
        return found

    def about(self) -> dict[str, Any]:
        """Plain values to be saved."""
        return {
            "targets": list(self.targets),
            "looks_at": list(self.looks_at),
            "ridge": len(self.ridge),
            "members": [family for family, _ in self.members],
        }


def mean_outputs(outputs: Tensor) -> Tensor:
    """[seeds, N, heads, K] -> the seeds' mean, [heads, N, K]."""
    return outputs.mean(dim=0).transpose(0, 1)


def ridge_parts(views: Views) -> Parts:
    """`<family> <part>` of each ridge expert, and the places of the views that it sees: as the floor of classes has
    them, without the plain one."""
    parts = list(floor_parts(views).items())[1:]
    return {name.replace(CLASS_FLOOR, FLOOR, 1): places for name, places in parts}
