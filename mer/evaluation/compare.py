"""Is one run, or one recipe over several seeds, better than another, or did it draw luckier clips and seeds?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mer.clips import ClipTable
from mer.clips.tables import TRANSDUCTIVE
from mer.evaluation.bootstrap import Interval, paired_bootstrap
from mer.evaluation.scored import scored_clips
from mer.params import EvaluateParams

FEWEST_GROUPS = 6
"""Of fewer, even if all of them speak for the same side, chance is not ruled out: twice .5 to the fifth is .06."""


@dataclass(frozen=True)
class Comparison:
    """Difference in weighted-F1 on the same clips; `part` is `out_of_fold` or `test`, `runs` how many A and B have,
    `groups` how many groups were resampled (None: the clips were). `transductive` tells of A and B whether
    self-training learned from the features of these clips."""

    part: str
    difference: Interval
    confidence: float
    clips: int
    runs: tuple[int, int] = (1, 1)
    groups: int | None = None
    transductive: tuple[bool, bool] = (False, False)

    def __str__(self) -> str:
        value, low, high = self.difference.value, self.difference.low, self.difference.high
        if self.groups is not None and self.groups < FEWEST_GROUPS:
            verdict = f"{self.groups} group{'s' * (self.groups > 1)}: too few to tell"
        elif low > 0:
            verdict = "B is better"
        elif high < 0:
            verdict = "A is better"
        else:
            verdict = "no evidence of a difference"
        how = f"{self.confidence * 100:g} % paired bootstrap, {self.clips} clips"
        if self.runs != (1, 1):
            how += f", {self.runs[0]} and {self.runs[1]} runs"
        if any(self.transductive):
            who = " and ".join(name for name, does in zip("AB", self.transductive, strict=True) if does)
            verdict += f"; {who} learned from these clips' features (transductive)"
        return f"{self.part.replace('_', ' ')}: B - A = {value:+.3f} [{low:+.3f}, {high:+.3f}] ({how}): {verdict}"


def compare(
    runs_a: Sequence[pd.DataFrame],
    runs_b: Sequence[pd.DataFrame],
    clips: ClipTable,
    test_labels: pd.DataFrame,
    params: EvaluateParams,
) -> list[Comparison]:
    """Compare the weighted-F1 of two recipes, out of fold and, where labels are known, on test.

    Clips are resampled by group where the corpus knows groups; where a recipe has several runs, so are these. With one
    run each, what another training seed would change is not covered.

    Args:
        runs_a, runs_b: predictions tables of each recipe, a training seed each.

    Raises:
        MerError: a table does not belong to these clips.
    """
    parts_a, parts_b = ([scored_clips(table, clips, test_labels) for table in runs] for runs in (runs_a, runs_b))
    found = [
        _compare(part, [run[part] for run in parts_a], [run[part] for run in parts_b], clips.classes, params)
        for part in parts_a[0]
    ]
    of_a, of_b = (any(table.attrs.get(TRANSDUCTIVE) for table in runs) for runs in (runs_a, runs_b))
    return [replace(one, transductive=(of_a, of_b)) if one.part == "test" else one for one in found]


def _compare(
    part: str,
    runs_a: Sequence[pd.DataFrame],
    runs_b: Sequence[pd.DataFrame],
    classes: tuple[str, ...],
    params: EvaluateParams,
) -> Comparison:
    clips = runs_a[0]
    groups = clips["group"] if clips["group"].notna().any() else None
    difference = paired_bootstrap(
        clips["actual"],
        [run["predicted"] for run in runs_a],
        [run["predicted"] for run in runs_b],
        classes,
        groups=groups,
        repeats=params.bootstrap,
        confidence=params.confidence,
        seed=params.seed,
    )
    units = None if groups is None else groups.nunique() + int(groups.isna().sum())
    return Comparison(part, difference, params.confidence, len(clips), (len(runs_a), len(runs_b)), units)
