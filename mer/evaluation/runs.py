"""The predictions of another run: a file, or what DVC keeps of a commit or an experiment."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from mer.errors import MerError

PREDICTIONS = "data/predictions.parquet"


def read_predictions(run: str) -> pd.DataFrame:
    """Predictions table of a run, named by its file, a git revision or the name of an experiment.

    Raises:
        MerError: there is no such file or run, or DVC's cache no longer has its predictions.
    """
    if Path(run).is_file():
        return pd.read_parquet(run)
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        return pd.read_parquet(io.BytesIO(dvc.api.read(PREDICTIONS, rev=run, mode="rb")))
    except (DvcException, OSError) as error:
        raise MerError(f"'{run}' is neither a predictions file nor a run with {PREDICTIONS}: {error}") from None
