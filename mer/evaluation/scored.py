"""Bring predictions and labels together: the one place where labels of the test split are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.errors import MerError

PARTS = ("out_of_fold", "test")


def scored_clips(predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The clips whose label is known, by part, in corpus order.

    Returns:
        Under `out_of_fold` the labeled split, each clip predicted by models that did not train on it; under `test` the
        test clips that have a label, and no such key where none has. Columns: `clip_id, group, actual, predicted,
        confidence` (the probability of the predicted class), and `p_<class>` for each class.

    Raises:
        MerError: predictions lack a column or a clip, have one twice, hold no numbers, or name a class that
            the corpus has not.
    """
    _check(predictions, clips.classes)
    rows = clips.rows[["clip_id", "group"]]
    labeled = clips.rows.loc[clips.rows["split"] == "labeled", ["clip_id", "label"]]
    parts = {"out_of_fold": labeled, "test": test_labels}
    return {
        part: _join(rows.merge(labels, on="clip_id"), predictions, clips.classes)
        for part, labels in parts.items()
        if len(labels)
    }


def _join(labels: pd.DataFrame, predictions: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    probabilities = [f"p_{name}" for name in classes]
    columns = ["clip_id", "predicted", *probabilities]
    joined = labels.rename(columns={"label": "actual"}).merge(predictions[columns], on="clip_id", how="left")
    lost = joined.loc[joined["predicted"].isna(), "clip_id"]
    if len(lost):
        raise MerError(f"predictions: no prediction for clip '{lost.iloc[0]}', nor for {len(lost) - 1} others")
    joined["confidence"] = joined[probabilities].max(axis=1)
    return joined[["clip_id", "group", "actual", "predicted", "confidence", *probabilities]]


def _check(predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    for column in ("clip_id", "predicted", *(f"p_{name}" for name in classes)):
        if column not in predictions:
            raise MerError(f"predictions: no column '{column}'; were they made for another corpus?")
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(float)
    if not np.isfinite(probabilities).all():
        row = int((~np.isfinite(probabilities)).any(axis=1).argmax())
        raise MerError(f"predictions: clip '{predictions['clip_id'].iloc[row]}' has probabilities that are no numbers")
    repeated = predictions.loc[predictions["clip_id"].duplicated(), "clip_id"]
    if len(repeated):
        raise MerError(f"predictions: clip '{repeated.iloc[0]}' is there twice")
    for name in predictions["predicted"].unique():
        if name not in classes:
            raise MerError(f"predictions: '{name}' is none of {', '.join(classes)}")
