"""The calibration curve and its error, against a literal loop."""

from __future__ import annotations

import numpy as np
import pytest

from mer.evaluation.calibration import BINS, calibration_bins, expected_calibration_error


def slow_error(confidence, correct):
    total = 0.0
    for number in range(BINS):
        inside = [at for at, value in enumerate(confidence) if number / BINS < value <= (number + 1) / BINS]
        if inside:
            gap = abs(np.mean([correct[at] for at in inside]) - np.mean([confidence[at] for at in inside]))
            total += len(inside) / len(confidence) * gap
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_error_equals_a_literal_loop(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.2, 1.0, 300)
    correct = rng.random(300) < confidence**2
    bins = calibration_bins(confidence, correct)
    assert bins["clips"].sum() == 300
    assert expected_calibration_error(bins) == pytest.approx(slow_error(confidence, correct))


def test_certainty_falls_into_the_last_bin_and_empty_bins_are_left_out():
    bins = calibration_bins(np.array([1.0, 1.0, 0.5]), np.array([True, False, True]))
    assert bins.to_dict("list") == {"confidence": [0.5, 1.0], "accuracy": [1.0, 0.5], "clips": [1, 2]}


def test_predictions_that_are_as_right_as_they_claim_have_no_error():
    bins = calibration_bins(np.full(10, 0.7), np.arange(10) < 7)
    assert expected_calibration_error(bins) == pytest.approx(0.0)
