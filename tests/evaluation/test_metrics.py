"""Scores equal scikit-learn's, one matrix or a stack of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from mer.evaluation.metrics import accuracy, macro_f1, score, weighted_f1

CLASSES = ("neutral", "angry", "happy", "sad")


def draw(seed: int, clips: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions; 'sad' is never a label, and in odd draws never predicted either."""
    rng = np.random.default_rng(seed)
    labels = np.array(CLASSES)[rng.integers(3, size=clips)]
    guesses = np.array(CLASSES)[rng.integers(3 if seed % 2 else 4, size=clips)]
    return labels, np.where(rng.random(clips) < 0.6, labels, guesses)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_scikit_learns(seed):
    labels, predicted = draw(seed)
    scores = score(labels, predicted, CLASSES)
    options = {"zero_division": 0.0}
    assert scores.weighted_f1 == pytest.approx(f1_score(labels, predicted, average="weighted", **options))
    assert scores.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", **options))
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert scores.clips == 80


def test_classes_are_scored_in_corpus_order():
    per_class = score(
        ["angry", "angry", "neutral", "neutral"], ["angry", "neutral", "neutral", "neutral"], CLASSES
    ).per_class
    assert list(per_class) == list(CLASSES)
    assert (per_class["angry"].precision, per_class["angry"].recall) == (1.0, 0.5)
    assert per_class["angry"].f1 == pytest.approx(2 / 3)
    assert [rates.support for rates in per_class.values()] == [2, 2, 0, 0]
    assert per_class["sad"].f1 == 0.0


@pytest.mark.parametrize("metric", [weighted_f1, macro_f1, accuracy])
def test_a_stack_of_matrices_is_scored_one_by_one(metric):
    stack = np.stack([confusion_matrix(*draw(seed), labels=CLASSES) for seed in range(4)]).reshape(2, 2, 4, 4)
    one_by_one = [[metric(matrix) for matrix in row] for row in stack]
    np.testing.assert_allclose(metric(stack), one_by_one)
