"""Scores of predicted numbers, all read off seven sums over the clips.

As a confusion matrix does for classes, the sums let a bootstrap score thousands of resamples at once: the functions
take any number of leading dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SUMS = 7
"""n, x, y, x^2, y^2, xy and |x - y|: x what is actual, y what is predicted, both less the mean of the actual ones."""


def moments(actual: ArrayLike, predicted: ArrayLike) -> Array:
    """What each clip adds to the sums: two arrays [N] -> [N, SUMS]."""
    x, y = np.asarray(actual, np.float64), np.asarray(predicted, np.float64)
    centre = x.mean() if len(x) else 0.0  # or squares of a scale far from zero would cancel
    x, y = x - centre, y - centre
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, np.abs(x - y)], axis=-1)


def mean_absolute_error(sums: ArrayLike) -> Array:
    """Mean of |x - y|; sums [..., SUMS] -> [...]."""
    s = np.asarray(sums, np.float64)
    return np.asarray(s[..., 6] / s[..., 0])


def mean_squared_error(sums: ArrayLike) -> Array:
    """Mean of (x - y)^2; sums [..., SUMS] -> [...]."""
    s = np.asarray(sums, np.float64)
    return np.asarray(np.maximum(s[..., 3] - 2 * s[..., 5] + s[..., 4], 0) / s[..., 0])


def pearson(sums: ArrayLike) -> Array:
    """Pearson's correlation; 0 where one side is constant, which tells nothing of the other. [..., SUMS] -> [...]."""
    variance_x, variance_y, covariance, _ = _spread(sums)
    return _ratio(covariance, np.sqrt(variance_x * variance_y)).clip(-1, 1)


def concordance(sums: ArrayLike) -> Array:
    """Lin's concordance correlation coefficient (Biometrics 1989): 2 cov / (var x + var y + (mean x - mean y)^2).

    Of variances over n, as the emotion challenges compute it; 0 where one side is constant. [..., SUMS] -> [...].
    """
    variance_x, variance_y, covariance, gap = _spread(sums)
    return _ratio(2 * covariance, variance_x + variance_y + gap**2)


METRICS: dict[str, Callable[[ArrayLike], Array]] = {
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
    "pearson": pearson,
    "ccc": concordance,
}
"""By the name that metrics/evaluate.json gives them."""


def _spread(sums: ArrayLike) -> tuple[Array, Array, Array, Array]:
    """Variances of x and y, their covariance and the gap of their means; exact zeros where a side is constant."""
    s = np.asarray(sums, np.float64)
    mean_x, mean_y, square_x, square_y, product = (s[..., i] / s[..., 0] for i in range(1, 6))
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    variance_x = np.where(variance_x > ROUNDING * square_x, variance_x, 0)
    variance_y = np.where(variance_y > ROUNDING * square_y, variance_y, 0)
    both = (variance_x > 0) & (variance_y > 0)
    return variance_x, variance_y, np.where(both, product - mean_x * mean_y, 0), mean_x - mean_y


ROUNDING = 1e-13
"""A variance that is a smaller share of the mean square is a rounding error."""


def _ratio(top: Array, bottom: Array) -> Array:
    return np.asarray(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), 0.0))
