"""What each view is worth alone, and what the best of them gains from another: a quick out-of-fold linear probe.

>>> print(table(ranked))                                                        # doctest: +SKIP
view        modality  width  coverage  weighted-F1 [95 % interval]
egemaps     audio        88     1.000  0.395 [0.348, 0.442]
pyfeat      face         60     1.000  0.374 [0.331, 0.418]
egemaps + pyfeat                       0.453 [0.401, 0.502]  +0.058 over egemaps alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mer.errors import MerError
from mer.evaluation.bootstrap import bootstrap_interval
from mer.learning.determinism import deterministic
from mer.learning.features import FeatureSet
from mer.learning.standardise import fit_standardiser
from mer.params import EvaluateParams, ModelParams
from mer.self_training.chains import cross_fitting
from mer.self_training.floor import SAFE, STRENGTHS
from mer.self_training.linear import fit_linear

DIGITS = 6
NO_CLASSES = "the corpus has no classes, by which views are ranked"


@dataclass(frozen=True)
class Score:
    """Weighted-F1 out of fold, and its interval."""

    weighted_f1: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranked:
    """A view: its width as extracted, the share of the labeled clips that have it, and what it scores alone."""

    name: str
    modality: str
    width: int
    coverage: float
    score: Score


@dataclass(frozen=True)
class Ranking:
    """The views, the best first; and the best view's best partner with what both score, None where it has none."""

    views: Sequence[Ranked]
    partner: str | None
    pair: Score | None
    clips: int
    confidence: float

    def as_metrics(self) -> dict[str, Any]:
        """For metrics/views.json."""
        found: dict[str, Any] = {"confidence_level": self.confidence, "clips": self.clips}
        found["views"] = {
            of.name: {"modality": of.modality, "width": of.width, "coverage": of.coverage, **_plain(of.score)}
            for of in self.views
        }
        if self.pair is not None:
            best = self.views[0]
            adds = round(self.pair.weighted_f1 - best.score.weighted_f1, DIGITS)
            found["best_pair"] = {"views": f"{best.name} + {self.partner}", **_plain(self.pair), "adds": adds}
        return found


def rank_views(features: FeatureSet, model: ModelParams, evaluate: EvaluateParams) -> Ranking:
    """Score every view, and the best one with each other, by a linear expert of one strength that leaves a fold out.

    Features are standardised over all clips, without labels; a clip that lacks the view counts with zeros, as nothing
    is known of it. A corpus without classes, which trains targets alone, ranks no view.

    Raises:
        MerError: there are no labels, only one class, or fewer than three folds.
    """
    if not features.classes:
        return Ranking((), None, None, 0, evaluate.confidence)
    fit = cross_fitting(features)
    learned = np.stack([fit.learned((fold,)) for fold in fit.used])
    columns = {name: _standardised(features, name, model)[fit.rows] for name in features.views}
    groups = features.groups[fit.rows]
    known = pd.Series(groups) if any(group is not None for group in groups) else None
    names = np.array(features.classes, dtype=object)

    def score(views: Sequence[str]) -> Score:
        x = torch.cat([columns[name] for name in views], dim=1)
        expert = fit_linear(x, fit.labels, learned, [STRENGTHS[SAFE]], len(features.classes), fit.soft)
        logits, place = expert.logits(x), {fold: i for i, fold in enumerate(fit.used)}
        rows = torch.arange(len(x))
        own = logits[torch.tensor([place[int(fold)] for fold in fit.folds]), rows]  # [n, C]
        found = bootstrap_interval(
            pd.Series(names[fit.labels]),
            pd.Series(names[own.argmax(dim=1).numpy()]),
            features.classes,
            groups=known,
            repeats=evaluate.bootstrap,
            confidence=evaluate.confidence,
            seed=evaluate.seed,
        )
        return Score(*(round(float(value), DIGITS) for value in (found.value, found.low, found.high)))

    with deterministic(evaluate.seed, threads=1):
        ranked = [
            Ranked(
                name,
                features.modality_of(name),
                features.features[name].shape[1],
                round(float(features.present[name][fit.rows].mean()), DIGITS),
                score([name]),
            )
            for name in features.views
        ]
        ranked.sort(key=lambda of: (-of.score.weighted_f1, of.name))
        pairs = {of.name: score([ranked[0].name, of.name]) for of in ranked[1:]}
    partner = max(pairs, key=lambda name: pairs[name].weighted_f1, default=None)
    pair = None if partner is None else pairs[partner]
    return Ranking(ranked, partner, pair, len(fit.rows), evaluate.confidence)


def _standardised(features: FeatureSet, name: str, model: ModelParams) -> Tensor:
    x, present = features.features[name], features.present[name]
    return torch.from_numpy(fit_standardiser(x, present, model.components, whiten=model.whiten)(x, present))


def table(metrics: Mapping[str, Any]) -> str:
    """What `mer views` prints of metrics/views.json.

    Raises:
        MerError: these are not the metrics of a ranking.
    """
    try:
        level = metrics["confidence_level"]
        if not metrics["views"]:
            return NO_CLASSES
        width = max(12, *(len(name) for name in metrics["views"]))
        lines = [f"{'view':{width}}  modality  width  coverage  weighted-F1 [{level * 100:g} % interval]"]
        for name, of in metrics["views"].items():
            lines.append(f"{name:{width}}  {of['modality']:8}  {of['width']:5}  {of['coverage']:8.3f}  {_interval(of)}")
        if "best_pair" in metrics:
            pair = metrics["best_pair"]
            lines.append(f"{pair['views']}: {_interval(pair)}, {pair['adds']:+.3f} over the best view alone")
        lines.append(f"a linear probe of {metrics['clips']} labeled clips, each judged by a model without its fold")
        return "\n".join(lines)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MerError("metrics/views.json: not a ranking of views; run `dvc repro rank_views`") from None


def _interval(of: Mapping[str, float]) -> str:
    return f"{of['weighted_f1']:.3f} [{of['low']:.3f}, {of['high']:.3f}]"


def _plain(score: Score) -> dict[str, float]:
    return {"weighted_f1": score.weighted_f1, "low": score.low, "high": score.high}
