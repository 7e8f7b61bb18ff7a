"""Folds of the labeled split: stratified by label, and whole groups where groups are known."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mer.errors import MerError

LEAST = 3
"""Folds: one to score, one to decide, one to learn from."""


def assign_folds(rows: pd.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    """Give every labeled clip a fold.

    A group (speaker, source video) is never split over two folds; a clip without a group is a group of its own.
    Classes with fewer clips than folds are spread as far as they go.

    Args:
        rows: clip table rows; `split`, `label` and `group` are read.
        folds: how many.
        seed: of the shuffle.

    Returns:
        int64 [N], -1 for clips that are not labeled.

    Raises:
        MerError: there are fewer labeled clips, or fewer groups, than folds.
    """
    result = np.full(len(rows), -1, np.int64)
    labeled = np.flatnonzero((rows["split"] == "labeled").to_numpy())
    if not len(labeled):
        return result
    if len(labeled) < folds:
        raise MerError(
            f"'corpus.folds': {folds} folds for {len(labeled)} labeled clips; {_advice(len(labeled), 'labeled clips')}"
        )
    labels = rows["label"].to_numpy(dtype=object)[labeled].astype(str)
    known = rows["group"].iloc[labeled]
    splitter: StratifiedGroupKFold | StratifiedKFold
    if known.notna().any():
        groups = known.astype(object).where(known.notna(), rows["clip_id"].iloc[labeled]).to_numpy()
        if len(set(groups)) < folds:
            raise MerError(
                f"'corpus.folds': {folds} folds for {len(set(groups))} groups of labeled clips, and a group is never "
                f"split; {_advice(len(set(groups)), 'groups')}"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    else:
        groups = None
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class rarer than `folds` is allowed
        for fold, (_, held_out) in enumerate(splitter.split(labels, _rare_merged(labels, folds), groups)):
            result[labeled[held_out]] = fold
    return result


def _advice(most: int, of: str) -> str:
    return f"set it to {most} or less" if most >= LEAST else f"at least {LEAST} {of} are needed"


def _rare_merged(labels: NDArray[np.str_], folds: int) -> NDArray[np.str_]:
    """Labels with the classes rarer than `folds` merged, as scikit-learn refuses to stratify when all are rare."""
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.where(counts < folds, "", names)[inverse] if (counts < folds).all() else labels
