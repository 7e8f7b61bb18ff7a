"""The linear experts of every chain, and what they decide by themselves: the view of the clips and how strongly to
regularise. They cost little, so that each is fitted in every view and at every strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.inputs import Inputs
from mer.self_training.calibration import calibrate, log_likelihood, log_shares
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.linear import Linear, fit_linear
from mer.self_training.voting import gain

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""scikit-learn's C, for columns of unit variance."""

LINEAR, PROBE = "linear", "probe"
"""Families: on standardised features, and on what pretrained encoders make of them."""

SAFE = STRENGTHS.index(1e-2)
"""Taken where evidence is missing or does not tell."""


@dataclass(frozen=True)
class Choice:
    """What a chain's linear experts decided on: the `view`, and each expert's place in `STRENGTHS`."""

    view: int
    strengths: tuple[int, ...]


class Floor:
    """Linear experts on some columns of the clips: all modalities together (`fused`) and each alone.

    Args:
        views: of each view, family name -> inputs of all clips; the families are the same in all views.
        modalities: names, in the order of the inputs.
        fit: the labeled clips.
        chains: those that predict; of them, the ones with others to decide for them get a choice of their own.
        classes: C.
        caution: how many standard errors better than the safe choice another one must be.
    """

    def __init__(
        self,
        views: Sequence[Mapping[str, Inputs]],
        modalities: Sequence[str],
        fit: CrossFitting,
        chains: Sequence[Chain],
        classes: int,
        caution: float,
    ) -> None:
        self.views, self.modalities, self.fit, self.classes, self.caution = views, modalities, fit, classes, caution
        self.place = {chain: i for i, chain in enumerate(chains)}
        learned = np.stack([fit.learned(chain) for chain in chains])
        self.fitted = [
            [
                fit_linear(columns(inputs.take(fit.rows), part), fit.labels, learned, STRENGTHS, classes)
                for inputs, part in self._blocks(view)
            ]
            for view in range(len(views))
        ]
        self._choices: dict[Chain, Choice] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`<family> <modality or fused>` of each expert; the first is the one that views are compared by."""
        parts = ("fused", *self.modalities) if len(self.modalities) > 1 else tuple(self.modalities)
        return tuple(f"{family} {part}" for family in self.views[0] for part in parts)

    def logits(self, chain: Chain, rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """What the chain's experts say of some clips in the view and at the strengths of a choice, [E, n, C]."""
        blocks = zip(self.fitted[choice.view], self._blocks(choice.view), choice.strengths, strict=True)
        return torch.stack(
            [
                self._one(fitted, chain, strength).logits(columns(inputs.take(rows), part))[0]
                for fitted, (inputs, part), strength in blocks
            ]
        )

    def weights(self, chain: Chain, choice: Choice) -> list[Linear]:
        """The chain's experts themselves, one problem each."""
        found = zip(self.fitted[choice.view], choice.strengths, strict=True)
        return [self._one(fitted, chain, strength) for fitted, strength in found]

    def choice(self, chain: Chain) -> Choice:
        """What the chains that decide for this one say is best; the first view and the safe strength, unless another
        is better by `caution` standard errors of the clips' log-likelihoods."""
        if chain not in self._choices:
            self._choices[chain] = self._choose(chain)
        return self._choices[chain]

    def _choose(self, chain: Chain) -> Choice:
        deciding = [one for one in self.fit.deciding(chain) if one[0] in self.place]
        if not deciding:
            return Choice(0, (SAFE,) * len(self.names))
        labels = self.fit.labels[np.concatenate([places for _, places in deciding])]
        log_prior = log_shares(self.fit.labels[self.fit.learned(chain)], self.classes)
        found, first = [], []
        for view in range(len(self.views)):
            strengths, scores = [], []
            for block in range(len(self.names)):
                score = self._scores(view, block, deciding, labels, log_prior)  # [Q, n]
                strengths.append(best_choice(score, SAFE, self.caution))
                scores.append(score[strengths[-1]])
            found.append(tuple(strengths))
            first.append(scores[0])
        view = best_choice(torch.stack(first), 0, self.caution)
        return Choice(view, found[view])

    def _scores(
        self,
        view: int,
        block: int,
        deciding: Sequence[tuple[Chain, NDArray[np.int64]]],
        labels: NDArray[np.int64],
        log_prior: Tensor,
    ) -> Tensor:
        """Log-likelihood of each labeled clip that decides, at each strength, calibrated: [Q, n]."""
        inputs, part = self._blocks(view)[block]
        logits, present = [], []
        for chain, places in deciding:
            own = inputs.take(self.fit.rows[places])
            start = self.place[chain] * len(STRENGTHS)
            fitted = self.fitted[view][block]
            several = Linear(*(x[start : start + len(STRENGTHS)] for x in (fitted.weight, fitted.bias)))
            logits.append(several.logits(columns(own, part)))
            present.append(own.present[:, part].any(dim=1))
        joined, seen = torch.cat(logits, dim=1).cpu(), torch.cat(present).cpu()
        flat = torch.zeros(len(STRENGTHS))
        sharpness, exponent = calibrate(joined, labels, seen.expand(len(STRENGTHS), -1), log_prior, flat)
        log_p = (sharpness[:, None, None] * joined + exponent[:, None, None] * log_prior).log_softmax(dim=-1)
        return log_likelihood(log_p, labels)[:, seen]

    def _one(self, fitted: Linear, chain: Chain, strength: int) -> Linear:
        at = self.place[chain] * len(STRENGTHS) + strength
        return Linear(fitted.weight[at : at + 1], fitted.bias[at : at + 1])

    def _blocks(self, view: int) -> list[tuple[Inputs, list[int]]]:
        """The inputs and the modalities (places) of each expert of a view."""
        return [(one, part) for one in self.views[view].values() for part in blocks(len(self.modalities))]


def blocks(modalities: int) -> list[list[int]]:
    """Which modalities (places) each linear expert of a family sees: all, then each alone."""
    every = list(range(modalities))
    return [every, *([i] for i in every)] if modalities > 1 else [every]


def best_choice(scores: Tensor, safe: int, caution: float) -> int:
    """The row of [Q, n] with the highest mean that is `caution` standard errors above the safe row's, or that row."""
    better = []
    for i in range(len(scores)):
        mean, error = gain(scores[i], scores[safe])
        if mean > 0 and mean >= caution * error:
            better.append((mean, i))
    return max(better)[1] if better else safe


def columns(inputs: Inputs, part: Sequence[int]) -> Tensor:
    """The columns of some modalities side by side, [N, D]."""
    return torch.cat([inputs.features[i] for i in part], dim=1)
