"""The floor: linear experts of every chain, and what is decided by them: how clips are standardised, how strongly to
regularise, and whether to balance the classes. They cost little, so that each is fitted at every strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.inputs import Inputs
from mer.model.views import Parts, Views
from mer.self_training.calibration import calibrate, log_likelihood, log_shares
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.linear import Linear, fit_linear, without_shares
from mer.self_training.voting import best_gain, gain

STRENGTHS = ((3e-3, 1.0), (1e-2, 1.0), (3e-2, 1.0), (1e-1, 1.0), (1e-2, 0.0), (1e-1, 0.0))
"""scikit-learn's C, for columns of unit variance, and how far classes are balanced."""

SAFE = STRENGTHS.index((1e-2, 1.0))
"""Taken where evidence is missing or does not tell."""

FLOOR, PLAIN = "logistic", "logistic-plain"
"""Names of the experts whose strength is chosen, and of the one on all views that is as anyone would fit it."""

PLAIN_STRENGTH = STRENGTHS.index((1e-2, 0.0))


def choose_standardisations(
    ways: Sequence[Inputs], views: Views, fit: CrossFitting, chains: Sequence[Chain], classes: int, caution: float
) -> dict[Chain, int]:
    """How each chain standardises clips: the first way, unless a linear expert on all modalities predicts better in
    another, by `caution` standard errors of the log-likelihoods of clips that the deciding chains never saw.

    Args:
        ways: the labeled clips, standardised in each way, in the order of `fit`.
        views: the views of the clips, with their columns.
        fit: the labeled clips.
        chains: those to decide for and those that decide; a chain without others to decide for it takes the first way.
        classes: C.
        caution: see above.
    """
    if len(ways) == 1:
        return dict.fromkeys(chains, 0)
    place = {chain: i for i, chain in enumerate(chains)}
    learned = np.stack([fit.learned(chain) for chain in chains])
    logits = []
    for inputs in ways:
        x, scale = columns(inputs, views.all), shared_scale(inputs, views.all, views)
        expert = fit_linear(x * scale, fit.labels, learned, [STRENGTHS[SAFE]], classes, fit.soft)
        logits.append(expert.logits(x * scale).cpu())
    found = {}
    for chain in chains:
        deciding = [one for one in fit.deciding(chain) if one[0] in place]
        if not deciding:
            found[chain] = 0
            continue
        labels = fit.labels[np.concatenate([places for _, places in deciding])]
        prior = log_shares(fit.labels[fit.learned(chain)], classes)
        own = torch.stack([torch.cat([of[place[c]][at] for c, at in deciding]) for of in logits])  # [ways, n, C]
        found[chain] = best_choice(calibrated_scores(own, labels, prior, torch.ones(len(own))), 0, caution)
    return found


@dataclass(frozen=True)
class Choice:
    """What was decided for a chain's linear experts: the number of the `inputs` that they see, and each expert's
    place in `STRENGTHS`."""

    inputs: int
    strengths: tuple[int, ...]


class Floor:
    """Linear experts on some columns of the clips: all together (`fused`), each modality alone, and each view of a
    modality that has several.

    Args:
        inputs: all clips as some chain sees them, by number.
        inputs_of: the number of those that each chain that predicts sees.
        views: the views of the clips, with their columns.
        fit: the labeled clips.
        classes: C.
        caution: how many standard errors better than the safe choice another strength must be.
    """

    def __init__(
        self,
        inputs: Mapping[int, Inputs],
        inputs_of: Mapping[Chain, int],
        views: Views,
        fit: CrossFitting,
        classes: int,
        caution: float,
    ) -> None:
        self.inputs, self.inputs_of, self.parts = inputs, inputs_of, floor_parts(views)
        self.blocks = list(self.parts.values())[1:]
        self.fit, self.classes, self.caution = fit, classes, caution
        self.place = {chain: i for i, chain in enumerate(inputs_of)}
        learned = np.stack([fit.learned(chain) for chain in inputs_of])

        def fitted(own: Inputs, part: Sequence[int]) -> Linear:
            x, scale = columns(own, part, fit.rows), shared_scale(own, part, views)
            found = fit_linear(x * scale, fit.labels, learned, STRENGTHS, classes, fit.soft)
            found = Linear(found.weight * scale[:, None], found.bias)
            return without_shares(found, fit.labels, learned, STRENGTHS)

        self.fitted = {number: [fitted(own, part) for part in self.blocks] for number, own in inputs.items()}
        self._choices: dict[Chain, Choice] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """`<family> <part>` of each expert."""
        return tuple(self.parts)

    def logits(self, chain: Chain, rows: NDArray[np.int64], choice: Choice) -> Tensor:
        """What the chain's experts say of some clips, seen and at the strengths of a choice, [E, n, C]."""
        own = self.inputs[choice.inputs].take(rows)
        experts = zip(self.weights(chain, choice), self.parts.values(), strict=True)
        return torch.cat([expert.logits(columns(own, part)) for expert, part in experts])

    def weights(self, chain: Chain, choice: Choice) -> list[Linear]:
        """The chain's experts themselves, one problem each."""
        fitted = self.fitted[choice.inputs]
        found = zip([fitted[0], *fitted], choice.strengths, strict=True)
        return [fitted.one(self.place[chain] * len(STRENGTHS) + strength) for fitted, strength in found]

    def choice(self, chain: Chain) -> Choice:
        """What the chain sees, and the strengths that the chains that decide for it find best with it: the safe
        one, unless another is better by `caution` standard errors of the clips' log-likelihoods."""
        if chain not in self._choices:
            deciding = [one for one in self.fit.deciding(chain) if one[0] in self.place]
            blocks = range(len(self.blocks))
            chosen = [self._strength(chain, block, deciding) if deciding else SAFE for block in blocks]
            self._choices[chain] = Choice(self.inputs_of[chain], (PLAIN_STRENGTH, *chosen))
        return self._choices[chain]

    def _strength(self, chain: Chain, block: int, deciding: Sequence[tuple[Chain, NDArray[np.int64]]]) -> int:
        source = self.inputs_of[chain]
        inputs, part = self.inputs[source], self.blocks[block]
        fitted, number = self.fitted[source][block], len(STRENGTHS)
        logits, present = [], []
        for one, places in deciding:
            rows, start = self.fit.rows[places], self.place[one] * number
            several = Linear(fitted.weight[start : start + number], fitted.bias[start : start + number])
            logits.append(several.logits(columns(inputs, part, rows)))
            present.append(inputs.present[rows][:, part].any(dim=1))
        seen = torch.cat(present).cpu()
        labels = self.fit.labels[np.concatenate([places for _, places in deciding])][seen.numpy()]
        prior = log_shares(self.fit.labels[self.fit.learned(chain)], self.classes)
        scores = calibrated_scores(torch.cat(logits, dim=1).cpu()[:, seen], labels, prior, torch.ones(number))
        return best_choice(scores, SAFE, self.caution)


def floor_parts(views: Views) -> Parts:
    """`<family> <part>` of each expert of the floor, and the places of the views that it sees: the plain one all, then
    all, each modality, and each of several views of a modality."""
    parts = {**views.modality_parts, **views.single}
    if "fused" in parts:
        parts = {"fused": parts.pop("fused"), **parts}
    return {f"{PLAIN} fused": views.all, **{f"{FLOOR} {name}": places for name, places in parts.items()}}


def calibrated_scores(logits: Tensor, labels: NDArray[np.int64], log_prior: Tensor, expected: Tensor) -> Tensor:
    """Log-likelihood of each clip under each expert once it is calibrated: [E, n, C] and labels [n] -> [E, n]."""
    everywhere = torch.ones(logits.shape[:2], dtype=torch.bool)
    sharpness, exponent = calibrate(logits, labels, everywhere, log_prior, expected)
    return log_likelihood(
        (sharpness[:, None, None] * logits + exponent[:, None, None] * log_prior).log_softmax(dim=-1), labels
    )


def best_choice(scores: Tensor, safe: int, caution: float) -> int:
    """The row of [Q, n] with the highest mean that is `caution` standard errors above the safe row's, or that row."""
    return best_gain((gain(own, scores[safe]) for own in scores), safe, caution)


def columns(inputs: Inputs, part: Sequence[int], rows: NDArray[np.int64] | None = None) -> Tensor:
    """The columns of some views side by side, [N, D]; of some clips alone where `rows` says which."""
    own = [inputs.vectors(i) for i in part]
    if rows is not None:
        index = torch.as_tensor(rows, device=inputs.present.device)
        own = [x[index] for x in own]
    return torch.cat(own, dim=1)


def shared_scale(inputs: Inputs, part: Sequence[int], views: Views) -> Tensor:
    """What to multiply the columns of some views with before a regularised fit, [D]: V views of a modality by
    1 / sqrt(V), so that together they may explain as much as one could.

    Their kernel is then the mean of the views' kernels in place of the sum: a view that is given twice changes nothing,
    and more views make no expert bolder. Views that no clip has do not count.
    """
    own = [i for i in part if inputs.present[:, i].any()]
    modality = [views.modality[views.names[i]] for i in own]
    share = {i: modality.count(of) ** -0.5 for i, of in zip(own, modality, strict=True)}
    return torch.cat([inputs.features[i].new_full((inputs.vectors(i).shape[1],), share.get(i, 1.0)) for i in part])
