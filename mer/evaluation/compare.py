"""Is one run better than another, or did it draw luckier clips?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.bootstrap import Interval, paired_bootstrap
from mer.evaluation.scored import scored_clips
from mer.params import EvaluateParams


@dataclass(frozen=True)
class Comparison:
    """Difference in weighted-F1 between two runs on the same clips; `part` is `out_of_fold` or `test`."""

    part: str
    difference: Interval
    confidence: float
    clips: int

    def __str__(self) -> str:
        value, low, high = self.difference.value, self.difference.low, self.difference.high
        if low > 0:
            verdict = "B is better"
        elif high < 0:
            verdict = "A is better"
        else:
            verdict = "no evidence of a difference"
        how = f"{self.confidence * 100:g} % paired bootstrap, {self.clips} clips"
        return f"{self.part.replace('_', ' ')}: B - A = {value:+.3f} [{low:+.3f}, {high:+.3f}] ({how}): {verdict}"


def compare(
    predictions_a: pd.DataFrame,
    predictions_b: pd.DataFrame,
    clips: ClipTable,
    test_labels: pd.DataFrame,
    params: EvaluateParams,
) -> list[Comparison]:
    """Compare the weighted-F1 of two predictions tables, out of fold and, where labels are known, on test.

    Clips are resampled by group where the corpus knows groups. Not covered is what another training seed would change.

    Raises:
        MerError: a table does not belong to these clips.
    """
    parts_a, parts_b = (scored_clips(table, clips, test_labels) for table in (predictions_a, predictions_b))
    return [_compare(part, parts_a[part], parts_b[part], clips.classes, params) for part in parts_a]


def _compare(
    part: str, a: pd.DataFrame, b: pd.DataFrame, classes: tuple[str, ...], params: EvaluateParams
) -> Comparison:
    difference = paired_bootstrap(
        a["actual"],
        a["predicted"],
        b["predicted"],
        classes,
        groups=a["group"] if a["group"].notna().any() else None,
        repeats=params.bootstrap,
        confidence=params.confidence,
        seed=params.seed,
    )
    return Comparison(part, difference, params.confidence, len(a))
