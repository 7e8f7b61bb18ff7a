"""Every clip with a label beside what was predicted for it: what a page may show without reading labels itself."""

from __future__ import annotations

import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.scored import PARTS, scored_clips

COLUMNS = dict.fromkeys(("clip_id", "group", "actual", "predicted"), "str") | {"confidence": "float64", "part": "str"}


def evaluated_clips(predictions: pd.DataFrame, clips: ClipTable, test_labels: pd.DataFrame) -> pd.DataFrame:
    """The clips of all parts, one part after another, with their `part`: see `scored_clips` for the other columns. No
    rows of a corpus without classes."""
    parts = scored_clips(predictions, clips, test_labels)
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return pd.concat([parts[part].assign(part=part) for part in PARTS if part in parts], ignore_index=True)


def test_labels_of(evaluated: pd.DataFrame) -> pd.DataFrame:
    """Columns `clip_id, label` of the test clips whose label is known."""
    test = evaluated[evaluated["part"] == "test"]
    return test[["clip_id", "actual"]].rename(columns={"actual": "label"}).reset_index(drop=True)
