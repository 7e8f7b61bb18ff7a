"""Which of several ways predicts numbers better, by the squared errors of clips that were not learned from."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.features import grouped
from mer.self_training.estimator import Scale
from mer.self_training.voting import best_gain


def scores_of(predicted: Tensor, values: NDArray[np.float64], scale: Scale | None = None) -> Tensor:
    """Negative squared error [n] of each clip, [n, K] averaged over the targets that it has; in deviations of a scale
    where there is one."""
    error = (predicted.double() - torch.from_numpy(values)).square()
    if scale is not None:
        error = error / torch.from_numpy(scale.deviation).square()
    return -error.nanmean(dim=1)


def best_by_groups(scores: Tensor, groups: NDArray[np.int64], safe: int, caution: float) -> int:
    """The row of [Q, n] with the highest mean that is `caution` standard errors above the safe row's, or that row.

    Clips of a group err together, above all where the number is a trait of the speaker: the error is that of groups.
    The best of several must be better by more: as improbable together as one alone is at `caution` (Bonferroni).
    """
    normal = NormalDist()
    alternatives = max(1, len(scores) - 1)
    caution = -normal.inv_cdf(normal.cdf(-caution) / alternatives) if caution < 8 else caution
    return best_gain((grouped_gain(own - scores[safe], groups) for own in scores), safe, caution)


def grouped_gain(difference: Tensor, groups: NDArray[np.int64]) -> tuple[float, float]:
    """Mean of differences [n] and its standard error where groups, not clips, are independent; 0 where there is none.

    The linearised (cluster-robust) error; of one group alone it is infinite.
    """
    d = difference.double().numpy()
    if not len(d):
        return 0.0, 0.0
    _, codes = np.unique(groups, return_inverse=True)
    off = np.bincount(codes, weights=d - d.mean())
    number = len(off)
    error = np.sqrt((off**2).sum() * number / (number - 1)) / len(d) if number > 1 else np.inf
    return float(d.mean()), float(error)


def units_of(groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Group of each clip as a code [n]; one without is a group of its own."""
    codes = grouped(groups)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes


def clips_a_group(groups: NDArray[np.int64]) -> float:
    """Clips a group on average: as many as count for one, where a prior is weighed against them."""
    return len(groups) / max(1, len(np.unique(groups)))
