"""How the heads of a nest's members vote: calibrated, weighted, and calibrated again; fitted on out-of-fold logits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from mer.model.voting import PUBLISHED, head_presence, vote
from mer.params import SelfTrainParams
from mer.training.calibration import fit_head_temperatures, fit_temperature

PRIOR_CLIPS = 10.0
"""Clips that the published weights count for when voting weights are learned: few labels move them little."""

LEAST, MOST = 0.5, 2.0
"""Limits of the vote's temperature: few labels say little of it."""

STACKING_C = 0.1
"""Inverse regularisation of the stacking regression."""


@dataclass(frozen=True)
class OutOfFold:
    """What a nest's teachers say of labeled clips that they did not see.

    `logits` float32 [n, seeds, heads, C], `present` bool [n, M], `labels` int64 [n].
    """

    logits: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Jury:
    """`temperature` and `weights` float32 [heads]; `stacking` float32 [heads * C + 1, C] replaces the weights.

    `vote_temperature` is for the vote of all: a mean of calibrated probabilities is less sure than it is right.
    """

    temperature: NDArray[np.float32]
    weights: NDArray[np.float32]
    stacking: NDArray[np.float32] | None = None
    vote_temperature: float = 1.0

    def verdict(self, logits: Tensor, present: Tensor) -> Tensor:
        """What all members say together: logits [members, N, heads, C] and present bool [N, M] -> [N, C].

        Their mean vote at its own temperature, which leaves the class that it names the likeliest.
        """
        mean = self.probabilities(logits, present).mean(dim=0)
        return (mean.clamp(min=1e-9).log() / self.vote_temperature).softmax(dim=-1)

    def probabilities(self, logits: Tensor, present: Tensor) -> Tensor:
        """Each member's vote of calibrated heads: logits [..., N, heads, C] and present bool [N, M] -> [..., N, C]."""
        temperature, weights = (torch.from_numpy(x).to(logits) for x in (self.temperature, self.weights))
        heard = head_presence(present, len(self.weights))
        if self.stacking is None:
            return vote(logits, temperature, weights, heard)
        matrix = torch.from_numpy(self.stacking).to(logits)
        return (_stacked(logits, temperature, heard) @ matrix[:-1] + matrix[-1]).softmax(dim=-1)

    def out_of_fold(self, oof: OutOfFold) -> NDArray[np.float32]:
        """Probabilities [n, C], averaged over the seeds."""
        by_seed = torch.from_numpy(oof.logits).transpose(0, 1)
        return self.probabilities(by_seed, torch.from_numpy(oof.present)).mean(dim=0).numpy()


def make_jury(oof: OutOfFold, heads: tuple[str, ...], settings: SelfTrainParams) -> Jury:
    """Fit temperatures, and what `self_train.voting` asks for, on out-of-fold logits."""
    jury = _heads_jury(oof, heads, settings)
    vote_temperature = fit_temperature(np.log(jury.out_of_fold(oof).clip(min=1e-9)), oof.labels)
    return replace(jury, vote_temperature=float(np.clip(vote_temperature, LEAST, MOST)))


def _heads_jury(oof: OutOfFold, heads: tuple[str, ...], settings: SelfTrainParams) -> Jury:
    seeds = oof.logits.shape[1]
    logits = oof.logits.reshape(-1, *oof.logits.shape[2:])  # [n * seeds, heads, C]
    labels = np.repeat(oof.labels, seeds)
    heard = head_presence(torch.from_numpy(np.repeat(oof.present, seeds, axis=0)), len(heads))
    temperature = fit_head_temperatures(logits, labels, heard.numpy())
    published = np.array([PUBLISHED[head] for head in heads], np.float32)
    if settings.voting == "published":
        return Jury(temperature, published)
    if settings.voting == "equal":
        return Jury(temperature, np.ones_like(published))
    scaled = torch.from_numpy(logits / temperature[:, None])
    if settings.voting == "learned":
        given = scaled.softmax(dim=-1).numpy()[np.arange(len(labels)), :, labels]  # [n * seeds, heads]
        return Jury(temperature, learn_weights(given * heard.numpy(), published, PRIOR_CLIPS * seeds))
    stacked = _stacked(torch.from_numpy(logits), torch.from_numpy(temperature), heard).numpy()
    return Jury(temperature, published, _fit_stacking(stacked, labels, logits.shape[2]))


def learn_weights(
    likelihood: NDArray[np.float32], prior: NDArray[np.float32], prior_clips: float, rounds: int = 200
) -> NDArray[np.float32]:
    """Voting weights on the simplex that make the labels likely: EM of a mixture whose components are given.

    Args:
        likelihood: [n, heads], each head's probability of the right class; zero where the head is absent.
        prior: [heads], weights to start from and to be drawn to.
        prior_clips: how many clips the prior counts for.
        rounds: of EM.

    Returns:
        float32 [heads], summing to one.
    """
    start = prior.astype(np.float64) / prior.sum()
    weights = start
    for _ in range(rounds):
        share = likelihood * weights
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        weights = share.sum(axis=0) + prior_clips * start
        weights /= weights.sum()
    return weights.astype(np.float32)


def _stacked(logits: Tensor, temperature: Tensor, heard: Tensor) -> Tensor:
    """Calibrated log-probabilities of all heads side by side, [..., N, heads * C]; zero where a head is absent."""
    scaled = (logits / temperature[:, None]).log_softmax(dim=-1)
    return torch.where(heard[..., None], scaled, scaled.new_zeros(())).flatten(-2)


def _fit_stacking(stacked: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    fitted = LogisticRegression(C=STACKING_C, max_iter=1000).fit(stacked, labels)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients, intercepts = np.stack([-coefficients[0], coefficients[0]]) / 2, np.r_[-intercepts, intercepts] / 2
    matrix = np.zeros((stacked.shape[1] + 1, classes), np.float32)
    matrix[-1] = -20.0  # a class that was never seen
    matrix[:-1, fitted.classes_], matrix[-1, fitted.classes_] = coefficients.T, intercepts
    return matrix
