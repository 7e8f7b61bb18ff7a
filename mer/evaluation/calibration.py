"""Is a prediction of 0.9 right nine times in ten?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 15


def calibration_bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> pd.DataFrame:
    """Mean confidence, accuracy and number of clips of each bin that is not empty.

    Args:
        confidence: probability of the predicted class, [N].
        correct: whether the prediction is right, [N].

    The bins are `BINS` intervals of equal width over (0, 1], closed on the right, as in Guo et al., 'On Calibration of
    Modern Neural Networks', ICML 2017.
    """
    at = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    clips = np.bincount(at, minlength=BINS)
    filled = clips > 0
    means = {
        name: np.bincount(at, weights=values, minlength=BINS)[filled] / clips[filled]
        for name, values in (("confidence", confidence), ("accuracy", correct.astype(np.float64)))
    }
    return pd.DataFrame({**means, "clips": clips[filled]})


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Mean gap between confidence and accuracy over the bins, weighted by their clips (Guo et al. 2017, equation 3)."""
    gap = (bins["confidence"] - bins["accuracy"]).abs()
    return float((gap * bins["clips"]).sum() / bins["clips"].sum())
