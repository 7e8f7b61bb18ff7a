"""What changed against another run, clip by clip and as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.compare import Comparison, compare
from mer.evaluation.scored import scored_clips
from mer.params import EvaluateParams


@dataclass(frozen=True)
class Changes:
    """`name` is the other run's; `counts` has, for each part, how many clips it had wrong that are right now (`fixed`),
    the other way round (`broken`), and how many are predicted otherwise at all (`changed`)."""

    name: str
    comparisons: tuple[Comparison, ...]
    counts: Mapping[str, Mapping[str, int]]


def changes_against(
    name: str,
    before: pd.DataFrame,
    after: pd.DataFrame,
    clips: ClipTable,
    test_labels: pd.DataFrame,
    params: EvaluateParams,
) -> Changes:
    """Hold the predictions of this run (`after`) against another's on the same clips.

    Raises:
        MerError: the other run's predictions are not of these clips.
    """
    old, new = scored_clips(before, clips, test_labels), scored_clips(after, clips, test_labels)
    counts = {part: _counts(old[part], new[part]) for part in new}
    return Changes(name, tuple(compare([before], [after], clips, test_labels, params)), counts)


def _counts(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, int]:
    was, now = old["predicted"].to_numpy(object), new["predicted"].to_numpy(object)
    actual = new["actual"].to_numpy(object)
    return {
        "fixed": int(((was != actual) & (now == actual)).sum()),
        "broken": int(((was == actual) & (now != actual)).sum()),
        "changed": int((was != now).sum()),
    }
