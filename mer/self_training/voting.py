"""How a chain's experts vote: calibrated, weighted, and the vote calibrated again; decided on evidence of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.model.voting import PUBLISHED, vote
from mer.params import SelfTrainParams
from mer.self_training.calibration import calibrate, log_likelihood
from mer.self_training.choosing import USUAL

LEAST, MOST = 0.5, 2.0
"""Limits of the vote's own sharpness: few labels say little of it."""

EM_ROUNDS = 200

GAUSSIAN = "gaussian"
"""Starts the name of a family of Gaussian classes (`mer.self_training.gaussian`); the rank follows."""

STUDENTS = "-students"
"""Ends the name of a family whose members learned of unlabeled clips."""


@dataclass(frozen=True)
class Vote:
    """`sharpness`, `exponent` and `weights` float32 [E], `log_prior` float32 [C], `vote_sharpness` [1]: a mean of
    calibrated probabilities is less sure than it is right. `adjustment` [1] is how much of the classes' shares a choice
    leaves out."""

    sharpness: Tensor
    exponent: Tensor
    weights: Tensor
    log_prior: Tensor
    vote_sharpness: Tensor
    adjustment: Tensor = field(default_factory=lambda: torch.zeros(1))

    def __call__(self, logits: Tensor, present: Tensor) -> Tensor:
        """Probabilities [N, C] from logits [E, N, C] and present bool [E, N]."""
        return (self.weighted(logits, present).clamp(min=1e-9).log() * self.vote_sharpness).softmax(dim=-1)

    def choose(self, probabilities: Tensor) -> Tensor:
        """The class of each clip, int64 [N] from [N, C]: that with the highest p / share^adjustment."""
        return (probabilities * (-self.adjustment * self.log_prior).exp()).argmax(dim=-1)

    def weighted(self, logits: Tensor, present: Tensor) -> Tensor:
        """The weighted mean of the experts' calibrated probabilities, [N, C]."""
        return vote(self.calibrated(logits).transpose(0, 1), self.weights, present.T)

    def calibrated(self, logits: Tensor) -> Tensor:
        """Each expert's probabilities [E, N, C]."""
        return (self.sharpness[:, None, None] * logits + self.exponent[:, None, None] * self.log_prior).softmax(dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """To be saved; `Vote(**tensors)` makes it again."""
        return dict(vars(self))


def prior_weights(experts: Sequence[str], settings: SelfTrainParams) -> NDArray[np.float64]:
    """The voting weights before any evidence, [E]: those published for MR-CCL's heads (the last round's), which leave
    out all others; all equal; or those that learned weights are drawn to, half of which is the Gaussians', as theirs is
    another way to learn. Names are `<family> <modality or fused>`."""
    if settings.voting == "published":
        heads = np.array([PUBLISHED.get(name.split(" ")[-1], 0.0) for name in experts])
        for kind in (f"mrccl{STUDENTS}", "mrccl"):
            own = np.array([name.startswith(kind) for name in experts])
            if own.any():
                return heads * own
        return heads
    if settings.voting == "equal":
        return np.ones(len(experts))
    fused = np.array([name.endswith(" fused") for name in experts])
    weights = np.where(fused, 1.0, settings.unimodal_weight if fused.any() else 1.0)
    gaussian = np.array([name.startswith(GAUSSIAN) for name in experts])
    if gaussian.any() and not gaussian.all():
        weights[gaussian] = weights[~gaussian].sum() / gaussian.sum()
    return weights


def choice_exponent(settings: SelfTrainParams) -> float:
    """How much of the classes' shares a choice leaves out, as p / share^this; where it is to be chosen for a score, the
    usual one."""
    return USUAL if settings.posthoc_adjustment == "weighted_f1" else settings.posthoc_adjustment


def decide_vote(
    logits: Tensor,
    labels: NDArray[np.int64],
    present: Tensor,
    log_prior: Tensor,
    expected: Tensor,
    prior: NDArray[np.float64],
    settings: SelfTrainParams,
) -> Vote:
    """Fit calibration, weights and the vote's sharpness on predictions of clips that their experts never saw.

    Args:
        logits, labels, present: the evidence, [E, n, C], int64 [n], bool [E, n]; n may be 0.
        log_prior: [C], logarithms of the classes' shares among the labels that the chain learns from.
        expected: [E], exponents to be drawn to.
        prior: [E], voting weights to be drawn to.
        settings: `voting`, `prior_clips`, `calibrate` and `posthoc_adjustment`.
    """
    ones = torch.ones(1, dtype=torch.float32)
    if settings.calibrate:
        sharpness, exponent = calibrate(logits, labels, present, log_prior, expected)
    else:
        sharpness, exponent = torch.ones(len(logits)), torch.zeros(len(logits))
    weights, adjustment = torch.from_numpy(prior).float(), torch.full((1,), choice_exponent(settings))
    found = Vote(sharpness.float(), exponent.float(), weights, log_prior.float(), ones, adjustment)
    if settings.voting == "learned":
        given = log_likelihood(found.calibrated(logits).log(), labels).exp()  # [E, n]
        learned = learn_weights(given.T.double().numpy(), present.T.numpy(), prior, settings.prior_clips)
        found = replace(found, weights=torch.from_numpy(learned))
    if not settings.calibrate:
        return found
    log_p = found.weighted(logits, present).clamp(min=1e-9).log()[None]
    whole = torch.ones(1, len(labels), dtype=torch.bool)
    flat = torch.zeros(log_prior.shape)
    own, _ = calibrate(log_p, labels, whole, flat, torch.zeros(1), exponents=False)
    return replace(found, vote_sharpness=own.clamp(LEAST, MOST).float())


def learn_weights(
    likelihood: NDArray[np.float64],
    present: NDArray[np.bool_],
    prior: NDArray[np.float64],
    prior_clips: float,
    rounds: int = EM_ROUNDS,
) -> NDArray[np.float32]:
    """Voting weights on the simplex that make the labels likely: EM of a mixture whose components are given.

    The experts that see something of a clip share its vote, so a modality that few clips have is judged on those
    alone: the others are data that were truncated, and EM counts what it expects of them (Dempster et al., 'Maximum
    likelihood from incomplete data via the EM algorithm', JRSS B 1977, section 4.2).

    Args:
        likelihood: [n, E], each expert's probability of the right class.
        present: [n, E], whether it sees something of the clip.
        prior: [E], weights to start from and to be drawn to.
        prior_clips: how many clips the prior counts for.
        rounds: of EM.

    Returns:
        float32 [E], summing to one.
    """
    start = prior / prior.sum()
    weights = start
    somebody = present.any(axis=1)
    for _ in range(rounds):
        share = likelihood * present * weights
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        voting = np.where(somebody, np.maximum((present * weights).sum(axis=1), 1e-12), np.inf)
        share = np.where(present, share, weights / voting[:, None])
        weights = share.sum(axis=0) + prior_clips * start
        weights /= weights.sum()
    return weights.astype(np.float32)


def expert_presence(present: Tensor, parts: Iterable[Sequence[int]]) -> Tensor:
    """Which clips each expert sees something of: bool [N, V] of views, and the places that each looks at, -> [E, N]."""
    rows = [present[:, list(places)].any(dim=1) for places in parts]
    return torch.stack(rows) if rows else torch.zeros(0, len(present), dtype=torch.bool)


def gain(better: Tensor, than: Tensor) -> tuple[float, float]:
    """Mean and standard error of paired differences of log-likelihoods [n]; zeros where there is no clip."""
    difference = (better - than).double()
    if not len(difference):
        return 0.0, 0.0
    deviation = float(difference.std(correction=1)) if len(difference) > 1 else float("inf")
    return float(difference.mean()), deviation / len(difference) ** 0.5


def convincing(mean: float, error: float, caution: float) -> bool:
    """Whether a gain is one: above zero, and by `caution` standard errors."""
    return mean > 0 and mean >= caution * error


def best_gain(gains: Iterable[tuple[float, float]], safe: int, caution: float) -> int:
    """The place of the largest convincing gain of (mean, standard error) over the safe one, or the safe place."""
    better = [(mean, place) for place, (mean, error) in enumerate(gains) if convincing(mean, error, caution)]
    return max(better)[1] if better else safe
