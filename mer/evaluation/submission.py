"""The file that the MER challenges ask for."""

from __future__ import annotations

import pandas as pd

from mer.clips import ClipTable
from mer.errors import MerError


def submission(predictions: pd.DataFrame, clips: ClipTable) -> pd.DataFrame:
    """Predicted label of each test clip, or of each unlabeled clip where there is no test split.

    Returns:
        Columns `name, discrete`, in corpus order.

    Raises:
        MerError: a clip has no prediction.
    """
    splits = clips.rows["split"]
    wanted = clips.rows.loc[splits == ("test" if (splits == "test").any() else "unlabeled"), "clip_id"]
    predicted = predictions.set_index("clip_id")["predicted"].reindex(wanted)
    if predicted.isna().any():
        raise MerError(f"predictions: no prediction for clip '{predicted.index[predicted.isna()][0]}'")
    return pd.DataFrame({"name": wanted.to_numpy(), "discrete": predicted.to_numpy()})
