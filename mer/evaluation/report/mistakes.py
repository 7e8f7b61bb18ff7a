"""The clips to look at first: what the model got wrong while it was sure."""

from __future__ import annotations

import pandas as pd

from mer.clips import ClipTable
from mer.evaluation.scored import scored_clips

NO_LABELS = pd.DataFrame(columns=["clip_id", "label"])


def confidently_wrong(predictions: pd.DataFrame, clips: ClipTable, count: int = 12) -> pd.DataFrame:
    """The labeled clips with the most confident wrong out-of-fold prediction, the worst first.

    Clips of the test split are left out on purpose: whoever looks at those has begun to tune on them.

    Returns:
        Columns `clip_id, actual, predicted, confidence, transcript` (null where there is none).
    """
    scored = scored_clips(predictions, clips, NO_LABELS)
    rows = scored.get("out_of_fold", pd.DataFrame(columns=["clip_id", "actual", "predicted", "confidence"]))
    wrong = rows[rows["actual"] != rows["predicted"]]
    worst = wrong.sort_values(["confidence", "clip_id"], ascending=[False, True]).head(count)
    transcripts = clips.rows[["clip_id", "transcript"]]
    return worst[["clip_id", "actual", "predicted", "confidence"]].merge(transcripts, on="clip_id", how="left")
