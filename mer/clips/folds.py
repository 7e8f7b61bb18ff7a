"""Folds of the labeled split: stratified by label or, without one, by target; whole groups where they are known, with
their clips of other splits."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer.clips.stratified import deal, deal_groups
from mer.clips.tables import CORPUS_FOLD, TARGET
from mer.errors import MerError

LEAST = 3
"""Folds: one to score, one to decide, one to learn from."""

QUANTILES = 5
"""Parts of a target's range that folds hold alike."""


def assign_folds(rows: pd.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    """Give every labeled clip a fold: the corpus' own where it has folds, else one that is dealt here.

    A group (speaker, source video) is never split over two folds; a clip without a group is a group of its own.
    Classes with fewer clips than folds are spread as far as they go. Unlabeled and test clips of a group go where its
    labeled ones are: who is judged on a speaker that it never saw must not have seen the speaker's other clips either.

    Args:
        rows: clip table rows; `split`, `label` and `group` are read, and `corpus_fold` where it is there.
        folds: how many to deal.
        seed: of the shuffle.

    Returns:
        int64 [N], -1 for unlabeled and test clips of no group that has labels.

    Raises:
        MerError: there are fewer labeled clips, or fewer groups, than folds; or see `own_folds`.
    """
    result = np.full(len(rows), -1, np.int64)
    labeled = np.flatnonzero((rows["split"] == "labeled").to_numpy())
    if not len(labeled):
        return result
    if CORPUS_FOLD in rows and (own := own_folds(rows.iloc[labeled])) is not None:
        result[labeled] = own
        return _with_kin(rows, result)
    if len(labeled) < folds:
        raise MerError(
            f"'corpus.folds': {folds} folds for {len(labeled)} labeled clips; {_advice(len(labeled), 'labeled clips')}"
        )
    labels = _rare_merged(_strata(rows.iloc[labeled], folds), folds)
    known = rows["group"].iloc[labeled]
    if known.notna().any():
        groups = known.astype(object).where(known.notna(), rows["clip_id"].iloc[labeled]).to_numpy()
        if len(set(groups)) < folds:
            raise MerError(
                f"'corpus.folds': {folds} folds for {len(set(groups))} groups of labeled clips, and a group is never "
                f"split; {_advice(len(set(groups)), 'groups')}"
            )
        result[labeled] = deal_groups(labels, groups, folds, seed)
    else:
        result[labeled] = deal(labels, folds, seed)
    return _with_kin(rows, result)


def _with_kin(rows: pd.DataFrame, folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Folds of the other clips, too, where all labeled clips of their group are in one."""
    known = rows.assign(fold=folds)[(folds >= 0) & rows["group"].notna().to_numpy()]
    ends = known.groupby("group")["fold"].agg(["min", "max"])
    fold_of = ends["min"][ends["min"] == ends["max"]]
    kin = rows["group"].map(fold_of).fillna(-1).to_numpy(np.int64)
    return np.where((rows["split"] != "labeled").to_numpy(), kin, folds)


def _strata(rows: pd.DataFrame, folds: int) -> NDArray[np.str_]:
    """What folds are to hold alike: a clip's class; where it has none, between which quantiles of its kind its first
    target lies."""
    strata = rows["label"].to_numpy(dtype=object).astype(str)
    for name in (name for name in rows.columns if str(name).startswith(TARGET)):
        values = rows[name].to_numpy(float)
        open_ = rows["label"].isna().to_numpy() & ~np.isnan(values) & ~np.char.startswith(strata, TARGET)
        if open_.any():
            bins = max(1, min(QUANTILES, int(open_.sum()) // folds))
            ends = np.quantile(values[open_], np.arange(1, bins) / bins)
            strata = strata.astype(object)
            strata[open_] = [f"{name} {place}" for place in np.searchsorted(ends, values[open_], side="left")]
            strata = strata.astype(str)
    return strata


def own_folds(rows: pd.DataFrame) -> NDArray[np.int64] | None:
    """Number the corpus' own folds from 0, in the order of their names ('fold 2' comes before 'fold 10').

    None where it has fewer than three, with which nothing can be decided on clips that no model saw.

    Args:
        rows: of the labeled split; `clip_id` and `corpus_fold` are read.

    Raises:
        MerError: a clip has none while others do.
    """
    lacking = rows["clip_id"][rows[CORPUS_FOLD].isna()]
    if len(lacking):
        raise MerError(
            f"the corpus has folds of its own, but {len(lacking)} of {len(rows)} labeled clips are in none, the first "
            f"is '{lacking.iloc[0]}': name a fold for each labeled clip, or for none"
        )
    names = sorted(set(rows[CORPUS_FOLD]), key=_natural)
    if len(names) < LEAST:
        return None
    number = {name: at for at, name in enumerate(names)}
    return rows[CORPUS_FOLD].map(number).to_numpy(np.int64)


def _natural(name: str) -> list[tuple[int, str]]:
    """Order of names with numbers in them: these by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)] + [(0, name)]


def _advice(most: int, of: str) -> str:
    return f"set it to {most} or less" if most >= LEAST else f"at least {LEAST} {of} are needed"


def _rare_merged(labels: NDArray[np.str_], folds: int) -> NDArray[np.str_]:
    """Labels, all taken for one class where every class is rarer than `folds`: there is nothing to stratify."""
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.where(counts < folds, "", names)[inverse] if (counts < folds).all() else labels
