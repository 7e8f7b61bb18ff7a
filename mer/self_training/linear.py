"""The floor: multinomial logistic regression, regularised, of all chains and strengths in one go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ITERATIONS = 100
TOLERANCE = 1e-3
"""Length of a step, relative to that of the coefficients, at which a problem is solved."""

LEAST_DIRECTION = 1e-5
"""Singular values smaller than this share of the largest hold rounding errors only."""


@dataclass(frozen=True)
class Linear:
    """`weight` float32 [P, D, C] and `bias` [P, C] of P problems."""

    weight: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """[N, D] -> [P, N, C]."""
        problems, width, classes = self.weight.shape
        flat = x @ self.weight.transpose(0, 1).reshape(width, problems * classes)
        return flat.unflatten(1, (problems, classes)).transpose(0, 1) + self.bias[:, None]

    def one(self, problem: int) -> Linear:
        """A problem by itself."""
        return Linear(self.weight[problem : problem + 1], self.bias[problem : problem + 1])


def fit_linear(
    x: Tensor,
    labels: NDArray[np.int64],
    learned: NDArray[np.bool_],
    strengths: Sequence[tuple[float, float]],
    classes: int,
    soft: NDArray[np.float32] | None = None,
) -> Linear:
    """Minimise the mean cross-entropy plus |W|^2 / (2 strength n) for every subset of the clips and every strength.

    All problems share the clips, so that each step of all of them is two matrix products. Every problem is majorised by
    a fixed quadratic (Boehning 1992) that is diagonal in the clips' principal directions, and descends on it with
    Nesterov's momentum, started anew where it overshoots. A problem that is solved is left alone, so that no problem
    depends on its company.

    Args:
        x: float32 [n, D], standardised.
        labels: int64 [n].
        learned: bool [S, n], the clips that each subset learns from; none of them empty.
        strengths: scikit-learn's C, and how far classes are balanced: 0 weighs clips alike, 1 classes.
        classes: C.
        soft: [n, C], what each clip is to be taken for; None takes its label.

    Returns:
        The problems in the order (subset, strength). The bias is drawn to the log-shares of the subset's classes, with
        the weight of one clip: a class that it lacks stays unlikely, not impossible.
    """
    mean = x.mean(dim=0)
    basis, values = _directions(x - mean)  # one direction of zeros where all columns are constant
    z = (x - mean) @ basis  # [n, r]
    shares = np.eye(classes, dtype=np.float32)[labels] if soft is None else soft
    target = torch.from_numpy(shares).to(x.device)  # [n, C]
    found = []
    for strength, balance in strengths:  # each by itself: the weak ones take several times the steps of the strong ones
        member = torch.from_numpy(np.stack([_clip_weights(labels, own, balance) for own in learned])).to(x)
        found.append(_descend(z, values, target, member, strength))
    weight = torch.stack([weight for weight, _ in found], dim=-1).flatten(2)  # [r, C, P]
    bias = torch.stack([bias for _, bias in found], dim=-1).flatten(1)  # [C, P]
    weight = (basis @ weight.flatten(1)).unflatten(1, bias.shape).permute(2, 0, 1).contiguous()  # [P, D, C]
    return Linear(weight, bias.T - mean @ weight)


def _descend(z: Tensor, values: Tensor, target: Tensor, member: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Solve S problems of one strength.

    Args:
        z: [n, r], the clips in their principal directions.
        values: [r], the singular values of these.
        target: [n, C].
        member: [S, n], what each clip weighs in each problem.
        strength: scikit-learn's C.

    Returns:
        Weights [r, C, S] and biases [C, S].
    """
    counts, most = member.sum(dim=1), member.amax(dim=1)  # [S]
    decay = 1 / (strength * counts)
    share = member @ target + 1
    prior = (share / share.sum(dim=1, keepdim=True)).log()  # [S, C]
    step = (1 / (0.5 * values[:, None].square() * most / counts + decay))[:, None]  # [r, 1, S]
    bias_step = 1 / (0.5 * len(z) * most / counts + 1 / counts)  # [S]
    # The problems are the last axis: sums over classes then run along it, many problems at a time.
    prior, shape = prior.T.contiguous(), (target.shape[1], len(counts))  # [C, S]
    weight, bias = torch.zeros(z.shape[1], *shape, device=z.device), prior.clone()  # [r, C, S], [C, S]
    ahead, bias_ahead, momentum = weight, bias, torch.ones_like(counts)
    scale = (member / counts[:, None]).T[:, None].contiguous()  # [n, 1, S]
    target = target[..., None]  # [n, C, 1]
    active = torch.ones_like(counts, dtype=torch.bool)
    for _ in range(ITERATIONS):
        logits = (z @ ahead.flatten(1)).unflatten(1, shape) + bias_ahead  # [n, C, S]
        slope = (logits.softmax(dim=1) - target) * scale
        gradient = (z.T @ slope.flatten(1)).unflatten(1, shape) + decay * ahead
        bias_gradient = slope.sum(dim=0) + (bias_ahead - prior) / counts
        moved = torch.where(active, ahead - step * gradient, weight)
        bias_moved = torch.where(active, bias_ahead - bias_step * bias_gradient, bias)
        change, bias_change = moved - weight, bias_moved - bias
        overshoots = (gradient * change).sum(dim=(0, 1)) + (bias_gradient * bias_change).sum(dim=0) > 0  # [S]
        following = torch.where(overshoots, 1.0, (1 + (1 + 4 * momentum.square()).sqrt()) / 2)
        push = torch.where(overshoots, 0.0, (momentum - 1) / following)
        ahead, bias_ahead = moved + push * change, bias_moved + push * bias_change
        weight, bias, momentum = moved, bias_moved, following
        largest = weight.square().sum(dim=(0, 1))
        active &= change.square().sum(dim=(0, 1)) > TOLERANCE**2 * largest.clamp(min=1e-16)
        if not active.any():
            break
    return weight, bias


def without_shares(
    fitted: Linear,
    labels: NDArray[np.int64],
    learned: NDArray[np.bool_],
    strengths: Sequence[tuple[float, float]],
) -> Linear:
    """The problems of `fit_linear` as if every class had been as common as any other (Menon et al. 2021).

    Balancing takes the shares of the classes out of a fit; of one that weighs clips alike they are subtracted here. So
    whoever calibrates decides alone how far the shares of few labels are believed. A class that a subset lacks stays as
    unlikely as balancing leaves it.
    """
    classes = fitted.bias.shape[1]
    counts = np.stack([np.bincount(labels[own], minlength=classes) for own in learned]).astype(np.float64)  # [S, C]
    typical = counts.sum(axis=1, keepdims=True) / (counts > 0).sum(axis=1, keepdims=True)
    shares = np.log((np.where(counts > 0, counts, typical) + 1) / (counts.sum(axis=1, keepdims=True) + classes))
    left = 1 - np.array([balance for _, balance in strengths])
    taken = (shares[:, None] * left[:, None]).reshape(-1, classes)  # [P, C]
    return Linear(fitted.weight, fitted.bias - torch.from_numpy(taken).to(fitted.bias))


def _clip_weights(labels: NDArray[np.int64], learned: NDArray[np.bool_], balance: float) -> NDArray[np.float32]:
    """What each clip counts for, float32 [n]; the sum is the number of clips learned from."""
    counts = np.bincount(labels[learned])
    weights = np.zeros(len(labels))
    weights[learned] = (1 / counts[labels[learned]]) ** balance
    return (weights * learned.sum() / weights.sum()).astype(np.float32)


def _directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Principal directions [D, r] of centred [n, D] and their singular values [r]."""
    x = x.double()
    wide = x.shape[1] > x.shape[0]
    values, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    values, vectors = values.clamp(min=0).sqrt().flip(0), vectors.flip(1)
    kept = values > LEAST_DIRECTION * max(float(values[0]), math.ulp(1.0))
    if not kept.any():
        return torch.zeros(x.shape[1], 1, device=x.device), torch.zeros(1, device=x.device)
    values, vectors = values[kept], vectors[:, kept]
    basis = x.T @ vectors / values if wide else vectors
    return basis.float(), values.float()
