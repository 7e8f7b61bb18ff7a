"""How a chain's regression experts are combined, and how far off the result may be: decided, as a vote is, by clips
that the experts never saw.

The weights are those of stacked regression (Breiman 1996): on the simplex, drawn to a prior. The interval is that of
split conformal prediction (Vovk et al. 2005) on the residuals of the deciding chains: cross-conformal (Vovk 2015). It
covers the asked share of new clips if these are exchangeable with the labeled ones; new speakers are so only roughly,
which is why evaluation measures the coverage out of fold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEPS = 500


@dataclass(frozen=True)
class Stack:
    """`weights` float32 [E, K] on the simplex, `prior` [E]; then each target's `slope`, `offset` and `radius` [K].

    All on the scale of standardised targets; `radius` is half the interval, infinite where too few clips tell.
    """

    weights: Tensor
    prior: Tensor
    slope: Tensor
    offset: Tensor
    radius: Tensor

    def __call__(self, predicted: Tensor, present: Tensor) -> Tensor:
        """[N, K] from what E experts predict, [E, N, K], and where they see something, bool [E, N]."""
        combined = (filled(predicted, present, self.prior) * self.weights[:, None]).sum(dim=0)
        return combined * self.slope + self.offset

    def tensors(self) -> dict[str, Tensor]:
        """To be saved; `Stack(**tensors)` makes it again."""
        return dict(vars(self))


def filled(predicted: Tensor, present: Tensor, prior: Tensor) -> Tensor:
    """[E, N, K] where experts that see nothing of a clip say what the others say on (prior-weighted) average; where
    none sees anything, all keep their word."""
    seeing = torch.where(present.any(dim=0), present, torch.ones_like(present))  # [E, N]
    weight = (prior[:, None] + 1e-9) * seeing
    mean = (predicted * weight[..., None]).sum(dim=0) / weight.sum(dim=0)[:, None]
    return torch.where(seeing[..., None], predicted, mean)


def decide_stack(
    predicted: Tensor,
    present: Tensor,
    values: NDArray[np.float64],
    prior: NDArray[np.float64],
    *,
    learned: bool,
    calibrate: bool,
    prior_clips: float,
    coverage: float,
) -> Stack:
    """Fit weights, calibration and interval on predictions of clips that their experts never saw.

    Args:
        predicted, present: the evidence, [E, n, K] and bool [E, n]; n may be 0.
        values: [n, K], standardised as the predictions, not a number where unknown.
        prior: [E], the weights to be drawn to; they stay where none are `learned`.
        learned: whether to learn weights.
        calibrate: whether to fit slope and offset, drawn to 1 and 0.
        prior_clips: how many clips the priors count for, if nothing is explained; where clips come in groups, many of
            these. As in any Gaussian model, clips that lie closer to the prior's prediction say more: priors count
            for as many clips as the share of the variance that it leaves.
        coverage: share of clips whose value the interval is to cover.
    """
    start = prior / prior.sum()
    first = torch.from_numpy(start).float()
    at = filled(predicted, present, first).double().numpy()  # [E, n, K]
    targets = values.shape[1]
    weights, slope, offset, radius = (np.zeros((len(prior), targets)), np.ones(targets), np.zeros(targets), [])
    for k in range(targets):
        known = ~np.isnan(values[:, k])
        x, y = at[:, known, k].T, values[known, k]  # [m, E], [m]
        own_prior = prior_clips * _unexplained(x @ start, y)
        weights[:, k] = learn_weights(x, y, start, own_prior) if learned and len(y) else start
        combined = x @ weights[:, k]
        if calibrate and len(y):
            slope[k], offset[k] = _calibrated(combined, y, own_prior)
        radius.append(conformal_radius(np.abs(y - (slope[k] * combined + offset[k])), coverage))
    parts = (torch.from_numpy(np.asarray(part)).float() for part in (weights, start, slope, offset, radius))
    return Stack(*parts)


def _unexplained(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Mean squared error on values of unit variance, 1 at most, and no less than `LEAST`."""
    return float(np.clip(np.square(y - predicted).mean(), LEAST, 1.0)) if len(y) else 1.0


LEAST = 1e-3


def learn_weights(
    x: NDArray[np.float64], y: NDArray[np.float64], start: NDArray[np.float64], prior_clips: float
) -> NDArray[np.float64]:
    """Weights on the simplex of the least squared error, drawn to `start` [E]: projected gradient.

    Args:
        x: [m, E], what each expert predicts.
        y: [m], of unit variance or so: the prior counts for `prior_clips` clips.
        start: see above.
        prior_clips: see above.
    """
    gram = x.T @ x + (prior_clips + 1e-6) * np.eye(len(start))
    right = x.T @ y + (prior_clips + 1e-6) * start
    rate, weights = 1 / np.linalg.eigvalsh(gram)[-1], start
    for _ in range(STEPS):
        weights = _on_simplex(weights - rate * (gram @ weights - right))
    return weights


def conformal_radius(residuals: NDArray[np.float64], coverage: float) -> float:
    """The smallest radius that covers a new clip with probability `coverage`, from n exchangeable absolute residuals:
    the ceil((n + 1) coverage)-th smallest, infinite where n is too small for any."""
    place = math.ceil((len(residuals) + 1) * coverage - 1e-9)
    return float(np.sort(residuals)[place - 1]) if place <= len(residuals) else math.inf


def _calibrated(x: NDArray[np.float64], y: NDArray[np.float64], prior_clips: float) -> tuple[float, float]:
    """Slope and offset of y over x by least squares, the slope drawn to 1 and the offset to 0 by clips of unit
    variance."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    gram = design.T @ design + prior_clips * np.eye(2) + 1e-9 * np.eye(2)
    found = np.linalg.solve(gram, design.T @ y + prior_clips * np.array([1.0, 0.0]))
    slope = max(float(found[0]), 0.0)
    return slope, float(found[1]) if slope else float(y.sum() / (len(y) + prior_clips))


def _on_simplex(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest point of the simplex (Duchi et al. 2008, figure 1)."""
    ordered = np.sort(v)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(v) + 1)
    return np.maximum(v - excess[np.flatnonzero(ordered > excess)[-1]], 0)
