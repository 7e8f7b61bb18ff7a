"""Which views a chain looks at: all of them, those that the params name, or those that out-of-fold evidence keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mer.errors import MerError
from mer.learning.inputs import Inputs
from mer.model.views import Views
from mer.params import SelfTrainParams
from mer.self_training.calibration import log_shares
from mer.self_training.chains import Chain, CrossFitting
from mer.self_training.floor import SAFE, STRENGTHS, calibrated_scores, columns, shared_scale
from mer.self_training.linear import fit_linear
from mer.self_training.voting import convincing, gain

Subset = tuple[int, ...]
"""Places of the views that are looked at, in order."""


def choose_subsets(
    labeled: Sequence[Inputs],
    way_of: Mapping[Chain, int],
    views: Views,
    fit: CrossFitting,
    classes: int,
    settings: SelfTrainParams,
) -> dict[Chain, Subset]:
    """The views of each chain.

    With `auto` each chain starts from all views and leaves out one at a time, the one without which a linear expert
    predicts clips that the deciding chains never saw best, as long as that is better by `caution` standard errors of
    their log-likelihoods: a chain that none decides for keeps all, and so does one whose evidence is thin.

    Args:
        labeled: the labeled clips in each way to standardise, in the order of `fit`.
        way_of: how each chain sees them, the chains that only decide among them.
        views: what the inputs are.
        fit: the labeled clips.
        classes: C.
        settings: `views` and `caution` are read.

    Raises:
        MerError: `self_train.views` names a view that there is not.
    """
    every = tuple(views.all)
    if settings.views != "auto" or len(views) == 1:
        return dict.fromkeys(way_of, named_views(views, settings))
    search = _Search(labeled, views, way_of, fit, classes, settings.caution)
    return {chain: search.best(chain, every) for chain in way_of}


def named_views(views: Views, settings: SelfTrainParams) -> Subset:
    """Those that the params name, else all.

    Raises:
        MerError: `self_train.views` names a view that there is not.
    """
    if isinstance(settings.views, str):
        return tuple(views.all)
    unknown = [name for name in settings.views if name not in views.names]
    if unknown:
        raise MerError(f"self_train.views: there is no view '{unknown[0]}' (there are: {', '.join(views.names)})")
    return tuple(views.places(settings.views))


class _Search:
    """Greedy backward elimination; a linear expert is fitted once for each way and subset, for all chains in one go."""

    def __init__(
        self,
        labeled: Sequence[Inputs],
        views: Views,
        way_of: Mapping[Chain, int],
        fit: CrossFitting,
        classes: int,
        caution: float,
    ) -> None:
        self.views = views
        self.labeled, self.way_of, self.fit, self.classes, self.caution = labeled, way_of, fit, classes, caution
        self.place = {chain: i for i, chain in enumerate(way_of)}
        self.learned = np.stack([fit.learned(chain) for chain in way_of])
        self.found: dict[tuple[int, Subset], Tensor] = {}

    def best(self, chain: Chain, subset: Subset) -> Subset:
        deciding = [one for one in self.fit.deciding(chain) if one[0] in self.place]
        while deciding and len(subset) > 1:
            fewer = [tuple(place for place in subset if place != left_out) for left_out in subset]
            scores = self._scores(chain, deciding, [subset, *fewer])
            gains = [gain(one, scores[0]) for one in scores[1:]]
            better = [(mean, -i) for i, (mean, error) in enumerate(gains) if convincing(mean, error, self.caution)]
            if not better:
                break
            subset = fewer[-max(better)[1]]
        return subset

    def _scores(self, chain: Chain, deciding: Sequence[tuple[Chain, np.ndarray]], subsets: Sequence[Subset]) -> Tensor:
        """Each deciding clip's log-likelihood by an expert on each subset, [subsets, n]."""
        way = self.way_of[chain]
        labels = self.fit.labels[np.concatenate([places for _, places in deciding])]
        prior = log_shares(self.fit.labels[self.fit.learned(chain)], self.classes)
        own = torch.stack(
            [
                torch.cat([self._logits(way, subset)[self.place[one]][places] for one, places in deciding])
                for subset in subsets
            ]
        )
        return calibrated_scores(own, labels, prior, torch.ones(len(own)))

    def _logits(self, way: int, subset: Subset) -> Tensor:
        """What every chain's expert says of all labeled clips, [chains, n, C]."""
        if (way, subset) not in self.found:
            inputs = self.labeled[way]
            x = columns(inputs, subset) * shared_scale(inputs, subset, self.views)
            expert = fit_linear(x, self.fit.labels, self.learned, [STRENGTHS[SAFE]], self.classes, self.fit.soft)
            self.found[way, subset] = expert.logits(x).cpu()
        return self.found[way, subset]
