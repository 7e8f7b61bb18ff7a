"""Which class is chosen: that with the highest p / share^a, with the exponent that a score expects most of.

Weighted-F1 is not highest where every clip gets its most probable class: rare classes gain more by being named too
often than common ones lose. What it would be is known without a label, as far as probabilities are calibrated: a class'
expected hits are the sum of its probabilities over the clips that are given it (the plug-in rule; Ye et al. 2012,
'Optimizing F-measure: a tale of two approaches'; Lipton et al. 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer.learning.seeds import stream

USUAL = 0.5
"""The exponent where the clips do not tell, and of votes that nobody reads a choice from."""

EXPONENTS = sorted(np.linspace(0, 1, 21).round(2).tolist(), key=lambda exponent: abs(exponent - USUAL))
"""From the most probable class to the one that is likelier than usual, the usual one first: it wins where all are
equal."""

MOST_CLIPS = 5000
"""Clips that the score is expected over: more tell no more."""


def best_exponent(probabilities: NDArray[np.floating], log_shares: NDArray[np.floating]) -> float:
    """The exponent whose choice has the highest expected weighted-F1 over some clips.

    Args:
        probabilities: [n, C], calibrated; n may be 0.
        log_shares: [C], of the classes' shares.

    Example:
        >>> best_exponent(np.array([[0.6, 0.4], [0.9, 0.1], [0.9, 0.1]]), np.log([0.8, 0.2]))
        0.5
    """
    p = np.asarray(probabilities, np.float64)
    scores = [expected_weighted_f1(p, (p * np.exp(-a * log_shares)).argmax(axis=1)) for a in EXPONENTS]
    return EXPONENTS[int(np.argmax(scores))]


def drawn_clips(count: int, seed: int) -> NDArray[np.int64]:
    """Which of some clips the score is expected over, in order: all, or `MOST_CLIPS` of them, drawn."""
    return np.sort(stream(seed, "choice").permutation(count)[:MOST_CLIPS])


def expected_weighted_f1(probabilities: NDArray[np.float64], chosen: NDArray[np.integer]) -> float:
    """Weighted-F1 with the expected numbers of hits and of clips of each class in place of the true ones; 0 of none.

    Args:
        probabilities: [n, C].
        chosen: int [n].
    """
    given = np.eye(probabilities.shape[1])[chosen]
    hits, support = (probabilities * given).sum(axis=0), probabilities.sum(axis=0)
    return float((2 * hits / np.maximum(support + given.sum(axis=0), 1e-9) * support).sum() / max(support.sum(), 1e-9))
