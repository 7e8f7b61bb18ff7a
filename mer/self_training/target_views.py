"""How each chain of a regression sees the clips: the way to standardise them, and the views that it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.learning.inputs import Inputs
from mer.model.views import Views
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.estimator import Scale
from mer.self_training.floor import columns, shared_scale
from mer.self_training.gains import best_by_groups, scores_of
from mer.self_training.ridge import SAFE, STRENGTHS, fit_ridge
from mer.self_training.subsets import Subset


@dataclass(frozen=True)
class Sight:
    """As `floor.choose_standardisations` and `subsets.choose_subsets`, by ridge regression's squared error, each target
    in the chain's own deviations, judged by group.

    `labeled` are the labeled clips in each way to standardise, in the order of `fit`; `values` [n, K] their numbers and
    `groups` [n] whose they are; `scales` has every chain, also those that only decide.
    """

    labeled: Sequence[Inputs]
    known: Views
    values: NDArray[np.float64]
    fit: CrossFitting
    scales: Mapping[Chain, Scale]
    groups: NDArray[np.int64]
    caution: float
    _predicted: dict[tuple[int, Subset], Tensor] = field(default_factory=dict)

    def ways(self) -> dict[Chain, int]:
        """The way of each chain: the first, unless another is better."""
        every = tuple(self.known.all)
        seen = [(way, every) for way in range(len(self.labeled))]
        return {chain: self._best(chain, seen) for chain in self.scales}

    def subsets(self, way_of: Mapping[Chain, int]) -> dict[Chain, Subset]:
        """The views of each chain: all, less those without which clips are predicted better, one after the other."""
        return {chain: self._fewest(chain, way) for chain, way in way_of.items()}

    def _fewest(self, chain: Chain, way: int) -> Subset:
        subset = tuple(self.known.all)
        while len(subset) > 1:
            fewer = [tuple(place for place in subset if place != left_out) for left_out in subset]
            found = self._best(chain, [(way, one) for one in (subset, *fewer)])
            if not found:
                break
            subset = fewer[found - 1]
        return subset

    def _best(self, chain: Chain, seen: Sequence[tuple[int, Subset]]) -> int:
        """The first, unless a later one is better; the first where no chain decides."""
        deciding = [one for one in self.fit.deciding(chain) if one[0] in self.scales]
        if not deciding or len(seen) == 1:
            return 0
        places = np.concatenate([at for _, at in deciding])
        scores = []
        for way, subset in seen:
            said = torch.cat([self._said(way, subset)[self._place(one)][at] for one, at in deciding])
            scores.append(scores_of(said, self.values[places], self.scales[chain]))
        return best_by_groups(torch.stack(scores), self.groups[places], 0, self.caution)

    def _place(self, chain: Chain) -> int:
        return list(self.scales).index(chain)

    def _said(self, way: int, subset: Subset) -> Tensor:
        """What every chain's expert says of all labeled clips, [chains, n, K]."""
        if (way, subset) not in self._predicted:
            x = columns(self.labeled[way], subset) * shared_scale(self.labeled[way], subset, self.known)
            expert = fit_ridge(x, self.values, self.fit.folds, list(self.scales), [STRENGTHS[SAFE]])
            self._predicted[way, subset] = expert(x).cpu()
        return self._predicted[way, subset]
