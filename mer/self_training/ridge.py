"""The floor of regression: ridge regression of all chains, strengths and targets, from the folds' Gram matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties on the squared weights, as shares of the clips learned from, for columns of unit variance."""

SAFE = STRENGTHS.index(1.0)
"""Taken where evidence is missing or does not tell."""


@dataclass(frozen=True)
class Ridge:
    """`weight` float32 [P, D, K] and `bias` [P, K] of P problems."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """[N, D] -> [P, N, K]."""
        problems, width, targets = self.weight.shape
        flat = x @ self.weight.transpose(0, 1).reshape(width, problems * targets)
        return flat.unflatten(1, (problems, targets)).transpose(0, 1) + self.bias[:, None]


def fit_ridge(
    x: Tensor,
    values: NDArray[np.float64],
    folds: NDArray[np.int64],
    chains: Sequence[Sequence[int]],
    strengths: Sequence[float],
) -> Ridge:
    """Minimise the squared error plus strength n |w|^2 for every chain and strength.

    A chain's Gram matrix is the sum of those of the folds that it learns from, so that the clips are passed over once.

    Args:
        x: float32 [n, D], standardised.
        values: [n, K], not a number where a clip lacks the target.
        folds: int64 [n].
        chains: the folds that each leaves out.
        strengths: see above.

    Returns:
        The problems in the order (chain, strength), on the values' own scale; where a chain has no clip with a target,
        it predicts zero.
    """
    used = [int(fold) for fold in np.unique(folds)]
    weight = torch.zeros(len(chains), len(strengths), x.shape[1], values.shape[1], dtype=torch.float64, device=x.device)
    bias = torch.zeros(len(chains), len(strengths), values.shape[1], dtype=torch.float64, device=x.device)
    for rows, targets in _by_presence(values):
        y = torch.from_numpy(values[rows][:, targets]).to(x.device)
        own = x[torch.from_numpy(rows).to(x.device)].double()
        sums = {fold: _sums(own, y, torch.from_numpy(folds[rows] == fold).to(x.device)) for fold in used}
        for c, chain in enumerate(chains):
            learned = [sums[fold] for fold in used if fold not in chain]
            n, sum_x, sum_y, xx, xy = (torch.stack(part).sum(dim=0) for part in zip(*learned, strict=True))
            if n == 0:
                continue
            for s, strength in enumerate(strengths):
                w, b = _solve(n, sum_x, sum_y, xx, xy, strength)
                weight[c, s][:, targets], bias[c, s][targets] = w, b
    return Ridge(weight.flatten(0, 1).float(), bias.flatten(0, 1).float())


def _by_presence(values: NDArray[np.float64]) -> list[tuple[NDArray[np.int64], list[int]]]:
    """Targets that the same clips have, together: their rows and their places."""
    found: dict[bytes, tuple[NDArray[np.int64], list[int]]] = {}
    known = ~np.isnan(values)
    for k in range(values.shape[1]):
        found.setdefault(known[:, k].tobytes(), (np.flatnonzero(known[:, k]), []))[1].append(k)
    return [one for one in found.values() if len(one[0])]


def _sums(x: Tensor, y: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """n, sums of x and y, and the products X'X and X'y of a fold."""
    x, y = x[own], y[own]
    return own.sum().double(), x.sum(dim=0), y.sum(dim=0), x.T @ x, x.T @ y


def _solve(n: Tensor, x: Tensor, y: Tensor, xx: Tensor, xy: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Weights [D, K] and bias [K]; the bias is not penalised."""
    gram = xx - torch.outer(x, x) / n
    gram.diagonal().add_(strength * n)
    weight = torch.cholesky_solve(xy - torch.outer(x, y) / n, torch.linalg.cholesky(gram))
    return weight, (y - x @ weight) / n
