"""Calibration of many experts at once: log p = sharpness * logits + exponent * log prior + constant.

The sharpness is an inverse temperature (Guo et al. 2017). The exponent gives back what training took out: an expert
that saw every class equally often (oversampling) knows nothing of how common they are (Menon et al. 2021, section 4).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ITERATIONS = 25
LARGEST_STEP = 1.0
SMALLEST_STEP = 1e-4

SHARPNESS_DEVIATION = 1.0
"""Standard deviation of the prior on the logarithm of the sharpness, around zero: few clips move it little."""

EXPONENT_DEVIATION = 0.5
"""The same for the exponent, around what is expected of the expert's training."""


ADDED_CLIPS = 100.0
"""Added to each class when shares are estimated. The shares of a few hundred labels are those of the few speakers and
conversations that were labeled, and mostly chance for new ones: 72 labels of MOSI that happened to be two thirds
positive cost .13. Chosen on MOSI and `enjoyment`, confirmed on EmoDB and MELD: see docs/results.md."""


def calibrate(
    logits: Tensor,
    labels: NDArray[np.int64],
    present: Tensor,
    log_prior: Tensor,
    expected: Tensor,
    *,
    exponents: bool = True,
) -> tuple[Tensor, Tensor]:
    """The most probable sharpness and exponent of each expert, by Fisher scoring.

    Args:
        logits: [E, n, C], of clips that the expert was not trained on.
        labels: int64 [n].
        present: bool [E, n], the clips that each expert sees something of.
        log_prior: [C], logarithms of the classes' shares.
        expected: [E], the exponent to be drawn to.
        exponents: whether to fit them, too; else they stay as expected.

    Returns:
        Sharpness [E] and exponent [E]; 1 and `expected` where there is no clip.
    """
    there, log_prior, expected = present.double(), log_prior.double(), expected.double()  # [E, n], [C], [E]
    index = torch.from_numpy(labels)[None, :, None].expand(len(logits), -1, 1)
    own = logits.gather(2, index)[..., 0].double()  # [E, n]
    logits = logits.double().permute(2, 0, 1).contiguous()  # [C, E, n]: sums over a few classes run along the clips
    squares, prior = logits.square(), log_prior[:, None, None]
    prior_squares = prior.square()
    own_prior = log_prior[torch.from_numpy(labels)]  # [n]
    theta, tau = torch.zeros_like(expected), expected.clone()
    for _ in range(ITERATIONS):
        sharpness = theta.exp()
        p = (sharpness[:, None] * logits + tau[:, None] * prior).softmax(dim=0)  # [C, E, n]
        seen = p * logits
        mean, mean_prior = seen.sum(dim=0), (p * prior).sum(dim=0)  # [E, n]
        slope = (there * (mean - own)).sum(dim=1) * sharpness + theta / SHARPNESS_DEVIATION**2
        slope_tau = (there * (mean_prior - own_prior)).sum(dim=1) + (tau - expected) / EXPONENT_DEVIATION**2
        variance = (p * squares).sum(dim=0) - mean.square()
        variance_tau = (p * prior_squares).sum(dim=0) - mean_prior.square()
        covariance = (seen * prior).sum(dim=0) - mean * mean_prior
        a = (there * variance).sum(dim=1) * sharpness.square() + 1 / SHARPNESS_DEVIATION**2
        c = (there * variance_tau).sum(dim=1) + 1 / EXPONENT_DEVIATION**2
        b = (there * covariance).sum(dim=1) * sharpness if exponents else torch.zeros_like(a)
        determinant = (a * c - b.square()).clamp(min=1e-12)
        step = ((c * slope - b * slope_tau) / determinant).clamp(-LARGEST_STEP, LARGEST_STEP)
        theta = theta - step
        if exponents:
            step_tau = ((a * slope_tau - b * slope) / determinant).clamp(-LARGEST_STEP, LARGEST_STEP)
            tau, step = tau - step_tau, torch.maximum(step.abs(), step_tau.abs())
        if not len(step) or step.abs().max() < SMALLEST_STEP:
            break
    return theta.exp(), tau


def log_likelihood(log_p: Tensor, labels: NDArray[np.int64]) -> Tensor:
    """Log-probabilities [..., n, C] of the labels int64 [n]: [..., n]."""
    index = torch.from_numpy(labels)[:, None].expand(*log_p.shape[:-1], 1)
    return log_p.gather(-1, index)[..., 0]


def log_shares(labels: NDArray[np.int64], classes: int) -> Tensor:
    """Logarithms of the classes' shares among the labels, `ADDED_CLIPS` added to each class: float32 [C]."""
    counts = np.bincount(labels, minlength=classes) + ADDED_CLIPS
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
