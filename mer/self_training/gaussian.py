"""Semi-supervised discriminant analysis: Gaussian classes with one covariance, fitted by EM to labeled and unlabeled
clips together (Dempster et al. 1977, section 4.3; Nigam et al., 'Text classification from labeled and unlabeled
documents using EM', Machine Learning 2000).

A discriminative expert learns of unlabeled clips only what the vote says of them; this one learns how they lie, too:
the covariance within the classes, and where classes part. It is linear in the features, and one is fitted at each of
several ranks, for the vote to weigh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.inputs import ROWS, Inputs
from mer.model.views import Parts, Views
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.floor import columns, shared_scale
from mer.self_training.linear import Linear
from mer.self_training.voting import GAUSSIAN

RANKS = (15, 30, 60, 120)
"""Principal components that the experts see; the last is as many as there are, or half as many as clips, if fewer."""

SHRINKAGE = 0.1
"""Of the covariance, towards a multiple of the identity: all components have unit variance before."""

ITERATIONS = 10

ANCHOR = 0.5
"""Share of the vote in the geometric mean that says which class an unlabeled clip is of: without it EM goes its own way
where the classes are no Gaussians. What these say is not calibrated before: at high ranks they are the surer half."""

PRIOR_CLIPS = 1.0
"""Clips at the mean of all that a class has beside its own: one without any stays there."""

LEAST_VARIANCE = 1e-6
"""Components that have less than this share of the first one's are not worth a unit of variance."""


@dataclass(frozen=True)
class Space:
    """The clips' principal components, of unit variance: (x - `mean` [D]) @ `basis` [D, R], and those of all clips,
    `z` float64 [N, R]; `seen` bool [N] tells clips that have any feature."""

    mean: Tensor
    basis: Tensor
    z: Tensor
    seen: Tensor


class Discriminants:
    """Fits the experts of any chain.

    Args:
        inputs: all clips as some chain sees them, by number.
        inputs_of: the number of those that each chain sees.
        views: the views of the clips, with their columns.
        fit: the labeled clips.
        unlabeled: int64 [m], the rows of the unlabeled clips that the bundle learns from. Principal components are
            those of all of these and the labeled ones, whatever the chain: they know no label.
        classes: C.
    """

    def __init__(
        self,
        inputs: Mapping[int, Inputs],
        inputs_of: Mapping[Chain, int],
        views: Views,
        fit: CrossFitting,
        unlabeled: NDArray[np.int64],
        classes: int,
    ) -> None:
        self.inputs, self.inputs_of, self.views, self.fit, self.classes = inputs, inputs_of, views, fit, classes
        pool = np.concatenate([fit.rows, unlabeled])
        width = columns(next(iter(inputs.values())).take(pool[:1]), views.all).shape[1]
        most = min(RANKS[-1], width)
        self.spaces = {number: principal_components(own, views, pool, most) for number, own in inputs.items()}
        most = max(1, min(space.basis.shape[1] for space in self.spaces.values()))
        self.ranks = (*(rank for rank in RANKS if rank <= most / 1.5), most)

    @property
    def parts(self) -> Parts:
        """`<family> <part>` of each expert, and the places of the views that it sees."""
        return gaussian_parts(self.ranks, self.views)

    def columns(self, chain: Chain, rows: NDArray[np.int64]) -> Tensor:
        """What a chain's experts see of some clips, [n, D]."""
        return columns(self.inputs[self.inputs_of[chain]].take(rows), self.views.all)

    def __call__(
        self, chain: Chain, rows: NDArray[np.int64], probabilities: NDArray[np.float32], exponent: float
    ) -> Linear:
        """A chain's experts, one problem a rank: their logits are without the classes' shares.

        Args:
            chain: whose labels are learned.
            rows: int64 [m], the unlabeled clips.
            probabilities: what the chain's vote says of these, [m, C].
            exponent: of the vote's shares of the classes in what the Gaussians say of unlabeled clips.
        """
        space, own = self.spaces[self.inputs_of[chain]], self.fit.learned(chain)
        index = torch.from_numpy(np.concatenate([self.fit.rows[own], rows])).to(space.z.device)
        known = np.eye(self.classes)[self.fit.labels] if self.fit.soft is None else self.fit.soft
        start = torch.from_numpy(np.concatenate([known[own], probabilities]).astype(np.float64)).to(space.z)
        z, seen, labeled = space.z[index], space.seen[index].to(space.z)[:, None], int(own.sum())
        prior = exponent * ((start * seen)[labeled:].sum(dim=0) + 1).log()
        found = [em(z[:, :rank], start, seen, labeled, prior) for rank in self.ranks]
        weight = torch.stack([space.basis[:, : len(w)] @ w for w, _ in found])  # [P, D, C]
        bias = torch.stack([b for _, b in found]) - space.mean @ weight
        return Linear(weight.float(), bias.float())


def principal_components(inputs: Inputs, views: Views, rows: NDArray[np.int64], most: int) -> Space:
    """Those of some clips' columns side by side, no more than half as many as there are clips that have any."""
    seen, scale = inputs.present.any(dim=1), shared_scale(inputs, views.all, views).double()

    def blocks(chosen: NDArray[np.int64]) -> Iterator[Tensor]:
        for start in range(0, len(chosen), ROWS):
            yield columns(inputs.take(chosen[start : start + ROWS]), views.all).double()

    rows = rows[seen.cpu().numpy()[rows]]
    total, products = torch.zeros_like(scale), torch.zeros(len(scale), len(scale)).to(scale)
    for x in blocks(rows):
        total += x.sum(dim=0)
    mean = total / max(1, len(rows))
    for x in blocks(rows):
        products += (x - mean).T @ (x - mean)
    values, vectors = torch.linalg.eigh(scale[:, None] * products * scale / max(1, len(rows)))
    values, vectors = values.flip(0), vectors.flip(1)
    kept = min(most, len(rows) // 2, int((values > LEAST_VARIANCE * values[0]).sum()))
    basis = scale[:, None] * vectors[:, :kept] / values[:kept].sqrt()
    z = torch.cat([(x - mean) @ basis for x in blocks(np.arange(len(inputs)))])
    return Space(mean, basis, z, seen)


def em(z: Tensor, start: Tensor, seen: Tensor, labeled: int, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussian classes with a shared covariance.

    Args:
        z: float64 [n, r], labeled clips first.
        start: float64 [n, C], the classes' shares in each clip: of labeled clips for good.
        seen: float64 [n, 1], what each clip counts for.
        labeled: how many clips are.
        log_prior: [C], added to what the Gaussians say of unlabeled clips.

    Returns:
        Weights [r, C] and biases [C] of the logits, without the prior.
    """
    vote, share = start[labeled:].clamp(min=1e-9).log(), start
    eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    scatter, total = (z * seen).T @ z, seen.sum().clamp(min=1)
    for _ in range(ITERATIONS):
        counts = (share * seen).sum(dim=0)
        means = ((share * seen).T @ z) / (counts + PRIOR_CLIPS)[:, None]  # [C, r]
        covariance = (scatter - (means.T * (counts + PRIOR_CLIPS)) @ means) / total
        spread = SHRINKAGE * covariance.diagonal().mean() + 1e-9
        covariance = (1 - SHRINKAGE) * covariance + spread * eye
        weight = torch.linalg.solve(covariance, means.T)  # [r, C]
        bias = -0.5 * (means.T * weight).sum(dim=0)
        logits = z[labeled:] @ weight + bias + log_prior
        share = torch.cat([start[:labeled], ((1 - ANCHOR) * logits + ANCHOR * vote).softmax(dim=1)])
    return weight, bias


def gaussian_parts(ranks: tuple[int, ...], views: Views) -> Parts:
    """`<family> <part>` of the experts of these ranks, and the places of the views that each sees: all."""
    return {f"{GAUSSIAN}-{rank} fused": views.all for rank in ranks}
