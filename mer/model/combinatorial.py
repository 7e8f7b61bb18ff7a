"""The pretraining objective of MR-CCL: inter-modal terms on H and noise terms on F-hat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mer.model.encoder import Frames
from mer.model.mrccl import Encoders
from mer.model.nt_xent import nt_xent
from mer.model.sigmoid_pairwise import sigmoid_pairwise
from mer.model.sup_con import sup_con
from mer.model.views import presence

Objective = Literal["nt_xent", "supcon", "sigmoid"]

INITIALS = {"audio": "A", "face": "V", "text": "T"}
"""The paper's letter for each modality."""

SHARPEST = math.log(0.01)
"""No log-temperature is learned below this."""


class CombinatorialContrast(nn.Module):
    """Contrast between modalities, between each modality and the others together, and with noisy copies.

    With three modalities the inter-modal terms are A-V, A-T, V-T, A-(V,T), V-(A,T), T-(A,V); a concatenation meets
    the other side through a projection to the same width. With two there is one pair, with one there is none. SupCon
    puts all of these views into one term. Every term has a log-temperature of its own, learned or fixed (and a bias,
    for the sigmoid).
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        width: int,
        objective: Objective,
        temperature: float,
        learn_temperature: bool = True,
    ) -> None:
        super().__init__()
        self.objective = objective
        number = len(modalities)
        self.pairs = [(i, j) for i in range(number) for j in range(i + 1, number)]
        self.rests = [[j for j in range(number) if j != i] for i in range(number)] if number > 2 else []
        self.project = nn.ModuleList(nn.Linear(len(rest) * width, width) for rest in self.rests)
        letters = [INITIALS[name] for name in modalities]
        self.inter_terms = [f"{letters[i]}-{letters[j]}" for i, j in self.pairs]
        self.inter_terms += [
            f"{letters[i]}-({','.join(letters[j] for j in rest)})" for i, rest in enumerate(self.rests)
        ]
        if objective == "supcon" and self.pairs:
            self.inter_terms = ["all views"]
        self.noise_terms = [f"{letter}-noise" for letter in letters]
        terms = len(self.inter_terms) + len(self.noise_terms)
        self.log_temperature = nn.Parameter(torch.full((terms,), temperature).log(), requires_grad=learn_temperature)
        self.bias = nn.Parameter(torch.full((terms,), -10.0), requires_grad=objective == "sigmoid")

    def forward(
        self,
        encoders: Encoders,
        features: Sequence[Tensor | Frames],
        noisy: Sequence[Tensor | Frames],
        present: Tensor,
    ) -> Tensor:
        """Each term's loss.

        Args:
            encoders: gives F-hat and H.
            features, noisy: [B, D_v], or frames, a view: F and N.
            present: bool [B, V]; a modality none of whose views is there takes no part in its terms, a concatenation
                needs all its parts.

        Returns:
            [terms], in the order of `inter_terms + noise_terms`.
        """
        hat, noisy_hat = encoders.hat(features, present), encoders.hat(noisy, present)  # [M, B, W]
        h, there = encoders.invariant(hat), presence(present, list(encoders.views.by_modality.values())).T
        rests = [torch.cat([h[j] for j in rest], dim=-1) for rest in self.rests]  # [B, (M - 1) W] each
        together = [project(rest) for project, rest in zip(self.project, rests, strict=True)]  # [B, W] each
        all_there = there.all(dim=0)
        if self.objective == "supcon":
            views, exist = [*h, *together], [*there, *[all_there] * len(together)]
            terms = [sup_con(torch.stack(views), self._temperature(0), torch.stack(exist))] if self.pairs else []
        else:
            terms = [self._pair(k, h[i], h[j], there[i] & there[j]) for k, (i, j) in enumerate(self.pairs)]
            terms += [self._pair(len(self.pairs) + i, h[i], rest, all_there) for i, rest in enumerate(together)]
        first = len(self.inter_terms)
        terms += [self._pair(first + i, hat[i], noisy_hat[i], there[i]) for i in range(len(hat))]
        return torch.stack(terms)

    def _pair(self, k: int, a: Tensor, b: Tensor, present: Tensor) -> Tensor:
        if self.objective == "sigmoid":
            return sigmoid_pairwise(a, b, self._temperature(k), self.bias[k], present)
        return nt_xent(a, b, self._temperature(k), present)  # with two views SupCon is NT-Xent

    def _temperature(self, k: int) -> Tensor:
        return self.log_temperature[k].clamp(min=SHARPEST)


def retrieval_at_1(query: Tensor, key: Tensor) -> float:
    """Share of the rows of `query` [B, W] whose nearest row of `key` [B, W], by cosine, is their own; NaN if empty."""
    if not len(query):
        return float("nan")
    cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T  # [B, B]
    return float((cosine.argmax(dim=-1) == torch.arange(len(query), device=query.device)).float().mean())
