"""Bring predictions and labels together: the one place where labels of the test split are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.clips.tables import TARGET, targets_of
from mer.errors import MerError

PARTS = ("out_of_fold", "test")


def scored_clips(predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The clips whose label is known, by part, in corpus order.

    Returns:
        Under `out_of_fold` the labeled split, each clip predicted by models that did not train on it; under `test` the
        test clips that have a label, and no such key where none has. Columns: `clip_id, group, actual, predicted,
        confidence` (the probability of the predicted class), and `p_<class>` for each class.

    A corpus without classes has no part.

    Raises:
        MerError: predictions lack a column or a clip, have one twice, hold no numbers, or name a class that
            the corpus has not.
    """
    _check_clips(predictions)
    if not clips.classes:
        return {}
    _check(predictions, clips.classes)
    rows = clips.rows[["clip_id", "group"]]
    labeled = clips.rows.loc[clips.rows["split"] == "labeled", ["clip_id", "label"]]
    parts = {"out_of_fold": _known(labeled), "test": _known(test_labels[["clip_id", "label"]])}
    return {
        part: _join(rows.merge(labels, on="clip_id"), predictions, clips.classes)
        for part, labels in parts.items()
        if len(labels)
    }


def scored_targets(
    predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame
) -> dict[str, dict[str, pd.DataFrame]]:
    """By part, as `scored_clips`, and target: the clips whose number is known and was predicted.

    Returns:
        Columns `clip_id, group, actual, predicted, low, high`; a part or target without such clips is left out.

    Raises:
        MerError: a clip has no prediction, or one that is no number.
    """
    _check_clips(predictions)
    labeled = clips.rows[clips.rows["split"] == "labeled"]
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for part, labels in (("out_of_fold", labeled), ("test", test_labels)):
        for name in targets_of(labels):
            if f"t_{name}" not in predictions:
                continue
            known = labels.loc[labels[TARGET + name].notna(), ["clip_id", TARGET + name]]
            rows = clips.rows[["clip_id", "group"]].merge(known, on="clip_id")
            if len(rows):
                parts.setdefault(part, {})[name] = _join_target(rows, predictions, name)
    return parts


def _join_target(rows: pd.DataFrame, predictions: pd.DataFrame, name: str) -> pd.DataFrame:
    theirs = {f"t_{name}": "predicted", f"t_{name}_low": "low", f"t_{name}_high": "high"}
    if lacking := [column for column in theirs if column not in predictions]:
        raise MerError(f"predictions: no column '{lacking[0]}'; were they made by an earlier version?")
    own = predictions[["clip_id", *theirs]].rename(columns=theirs)
    joined = rows.rename(columns={TARGET + name: "actual"}).merge(own, on="clip_id", how="left")
    amiss = ~np.isfinite(joined["predicted"].to_numpy(float)) | joined[["low", "high"]].isna().any(axis=1).to_numpy()
    if amiss.any():
        clip = joined["clip_id"].iloc[int(amiss.argmax())]
        raise MerError(f"predictions: no number of target '{name}' for clip '{clip}', nor for {amiss.sum() - 1} others")
    return joined


def _known(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["label"].notna()]


def _join(labels: pd.DataFrame, predictions: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    probabilities = [f"p_{name}" for name in classes]
    columns = ["clip_id", "predicted", *probabilities]
    joined = labels.rename(columns={"label": "actual"}).merge(predictions[columns], on="clip_id", how="left")
    lost = joined.loc[joined["predicted"].isna(), "clip_id"]
    if len(lost):
        raise MerError(f"predictions: no prediction for clip '{lost.iloc[0]}', nor for {len(lost) - 1} others")
    own = joined["predicted"].map({name: place for place, name in enumerate(classes)}).to_numpy(np.int64)
    joined["confidence"] = joined[probabilities].to_numpy(float)[np.arange(len(joined)), own]
    return joined[["clip_id", "group", "actual", "predicted", "confidence", *probabilities]]


def _check(predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    for column in ("predicted", *(f"p_{name}" for name in classes)):
        if column not in predictions:
            raise MerError(f"predictions: no column '{column}'; were they made for another corpus?")
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(float)
    if not np.isfinite(probabilities).all():
        row = int((~np.isfinite(probabilities)).any(axis=1).argmax())
        raise MerError(f"predictions: clip '{predictions['clip_id'].iloc[row]}' has probabilities that are no numbers")
    for name in predictions["predicted"].unique():
        if name not in classes:
            raise MerError(f"predictions: '{name}' is none of {', '.join(classes)}")


def _check_clips(predictions: pd.DataFrame) -> None:
    if "clip_id" not in predictions:
        raise MerError("predictions: no column 'clip_id'; were they made for another corpus?")
    repeated = predictions.loc[predictions["clip_id"].duplicated(), "clip_id"]
    if len(repeated):
        raise MerError(f"predictions: clip '{repeated.iloc[0]}' is there twice")
