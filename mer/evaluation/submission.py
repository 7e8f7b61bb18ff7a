"""The file that the MER challenges ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mer.clips import ClipTable
from mer.errors import MerError

DIGITS = 6


def submission(predictions: pd.DataFrame, clips: ClipTable) -> pd.DataFrame:
    """Predicted label of each test clip, or of each unlabeled clip where there is no test split.

    Returns:
        Columns `name, discrete`, in corpus order; a corpus without classes has no rows.

    Raises:
        MerError: a clip has no prediction.
    """
    if not clips.classes:
        return pd.DataFrame({"name": [], "discrete": []}, dtype="str")
    splits = clips.rows["split"]
    wanted = clips.rows.loc[splits == ("test" if (splits == "test").any() else "unlabeled"), "clip_id"]
    return submission_of(predictions, list(wanted))


def submission_of(predictions: pd.DataFrame, names: Sequence[str], target: str | None = None) -> pd.DataFrame:
    """Columns `name, discrete` and, where asked for, a target's numbers, of some clips in their order.

    Raises:
        MerError: a clip has no prediction, or the run did not predict the target.
    """
    rows = predictions.set_index("clip_id").reindex(pd.Index(list(names), dtype=object))
    predicted = rows["predicted"]
    if predicted.isna().any():
        raise MerError(f"predictions: no prediction for clip '{predicted.index[predicted.isna()][0]}'")
    table = pd.DataFrame({"name": list(names), "discrete": predicted.to_numpy()})
    if target is None:
        return table
    if f"t_{target}" not in rows:
        raise MerError(f"predictions: no column 't_{target}'; set 'corpus.target' to {target} and run the pipeline")
    return table.assign(**{target: np.round(rows[f"t_{target}"].to_numpy(float), DIGITS)})
