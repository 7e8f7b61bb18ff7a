"""What multimodal sentiment analysis reports of predicted numbers, computed as MMSA's `MetricsTop` does.

Names are MMSA's in our spelling: `has0` counts every clip and takes zero for positive, `non0` leaves out the clips
whose own value is zero. F1 is weighted by support. CMU-MOSI and -MOSEI go from -3 to 3, CH-SIMS from -1 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

Array = NDArray[np.float64]

SIMS_CUTS = {
    "acc_2": (0.0,),
    "acc_3": (-0.1, 0.1),
    "acc_5": (-0.7, -0.1, 0.1, 0.7),
}
"""Upper ends of CH-SIMS' classes, closed on the right; the last class has none."""


def sentiment_scores(actual: Array, predicted: Array) -> dict[str, float]:
    """Scores of N > 0 clips on a scale of sentiment, by the scale that the actual values are on.

    Values on both sides of zero and none beyond 1: CH-SIMS' scores. Beyond 1 but not 3: MOSI's. A wider scale has the
    accuracies and F1 of two classes only, and one without two signs is no sentiment: nothing.
    """
    if not len(actual) or actual.min() >= 0 or actual.max() <= 0:
        return {}
    reach = np.abs(actual).max()
    if reach <= 1:
        return sims_scores(actual, predicted)
    scores = mosi_scores(actual, predicted)
    return scores if reach <= 3 else {name: value for name, value in scores.items() if not name.startswith("acc_")}


def mosi_scores(actual: Array, predicted: Array) -> dict[str, float]:
    """Acc-2 and F1 with zero (`has0_`) and without (`non0_`), Acc-5 and Acc-7; both [N]."""
    signed = actual != 0
    scores = _two_classes("has0", actual >= 0, predicted >= 0)
    if signed.any():
        scores |= _two_classes("non0", actual[signed] > 0, predicted[signed] > 0)
    return scores | {f"acc_{2 * reach + 1}": _rounded_accuracy(actual, predicted, reach) for reach in (2, 3)}


def sims_scores(actual: Array, predicted: Array) -> dict[str, float]:
    """CH-SIMS' Acc-2, Acc-3, Acc-5 and the F1 of the two classes; both [N]."""
    inside = [np.clip(values, -1.0, 1.0) for values in (actual, predicted)]
    scores = {}
    for name, cuts in SIMS_CUTS.items():
        a, p = (_classes(values, cuts) for values in inside)
        scores[name] = float(accuracy_score(a, p))
        if name == "acc_2":
            scores["f1"] = float(f1_score(a, p, average="weighted", zero_division=0))
    return scores


def _two_classes(name: str, actual: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, float]:
    f1 = f1_score(actual, predicted, average="weighted", zero_division=0)
    return {f"{name}_acc_2": float(accuracy_score(actual, predicted)), f"{name}_f1": float(f1)}


def _rounded_accuracy(actual: Array, predicted: Array, reach: int) -> float:
    """Share of clips that fall in the same class once both are cut to -reach..reach and rounded, halves to even."""
    a, p = (np.round(np.clip(values, -reach, reach)) for values in (actual, predicted))
    return float((a == p).mean())


def _classes(values: Array, cuts: Sequence[float]) -> NDArray[np.int64]:
    return np.searchsorted(np.asarray(cuts), values, side="left").astype(np.int64)
