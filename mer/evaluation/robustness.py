"""Weighted-F1 of test clips in every condition that the robustness stage has tried."""

from __future__ import annotations

import pandas as pd

from mer.clips import ClipTable
from mer.errors import MerError
from mer.evaluation.bootstrap import bootstrap_interval
from mer.params import EvaluateParams

NOISES = ("white", "pink", "babble", "files")
CONDITION = ["training", "condition", "kind", "level"]
COLUMNS = [*CONDITION, "weighted_f1", "weighted_f1_low", "weighted_f1_high", "clips"]


def robustness_curves(
    predicted: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame, params: EvaluateParams
) -> dict[str, pd.DataFrame]:
    """Plot points: `robustness`, a row a training and condition, and `robustness_snr`, the first training's
    weighted-F1 by SNR with a column a kind of noise. Without rows where the stage was off, or no test label is known.

    Args:
        predicted: columns `training, condition, kind, level, clip_id, predicted`.

    Raises:
        MerError: a class is predicted that the corpus has not.
    """
    labels = test_labels.dropna(subset="label")[["clip_id", "label"]]
    known = labels.merge(clips.rows[["clip_id", "group"]], on="clip_id")
    rows = []
    for name, own in predicted.groupby(CONDITION, sort=False, dropna=False):
        joined = known.merge(own[["clip_id", "predicted"]], on="clip_id")
        if not len(joined):
            continue
        if strange := set(joined["predicted"]) - set(clips.classes):
            raise MerError(f"robustness: '{min(strange)}' is none of {', '.join(clips.classes)}")
        score = bootstrap_interval(
            joined["label"],
            joined["predicted"],
            clips.classes,
            groups=joined["group"] if joined["group"].notna().any() else None,
            repeats=params.bootstrap,
            confidence=params.confidence,
            seed=params.seed,
        )
        rows.append((*name, score.value, score.low, score.high, len(joined)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(predicted) and table.empty:
        print("robustness: no test clip has a label, so there are no curves", flush=True)
    return {"robustness": table, "robustness_snr": by_snr(table)}


def by_snr(table: pd.DataFrame) -> pd.DataFrame:
    """Of the first training, a row an SNR, the lowest first; empty where a kind of noise was not tried."""
    if table.empty:
        return pd.DataFrame(columns=["snr", *NOISES])
    own = table[(table["training"] == table["training"].iloc[0]) & table["kind"].isin(NOISES)]
    wide = own.pivot(index="level", columns="kind", values="weighted_f1").reindex(columns=list(NOISES))
    return wide.rename_axis(index="snr", columns=None).reset_index().sort_values("snr", ignore_index=True)
