"""Rounds of teaching: pseudo-labels go on while they help."""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import small_params

from mer.training import teaching
from mer.training.nest import Nest
from mer.training.pseudo_labels import PseudoLabels
from mer.training.teaching import Lesson, teach

NOTHING = np.zeros(0, np.int64)
NEST = Nest(0, (1, 2), NOTHING, NOTHING, NOTHING, NOTHING)


def labels(count):
    return PseudoLabels(*[np.zeros(count)] * 6)


@pytest.mark.parametrize(
    ("scores", "counts", "left", "jury"),
    [
        ([0.5, 0.4], [10, 20], None, 0),
        ([0.5, 0.6, 0.7], [10, 20, 30], 30, 2),
        ([0.5, 0.6, 0.55], [10, 20, 30], 10, 1),
        ([0.5, 0.6], [10, 10], 10, 1),
        ([0.5], [0], None, 0),
    ],
)
def test_rounds_go_on_while_they_help(monkeypatch, scores, counts, left, jury):
    """Worse teachers are dropped with what they learned; no growth ends the rounds."""

    def judge(trial, nest, teachers, before, number):
        learned = before.pseudo if before else None
        return Lesson(number, labels(counts[number]) if counts[number] else learned, learned, scores[number])

    monkeypatch.setattr(teaching, "_judge", judge)
    monkeypatch.setattr(teaching, "train_teachers", lambda *_: {})
    trial = SimpleNamespace(params=small_params(self_train={"rounds": len(scores) - 1}))
    lesson = teach(trial, [NEST])[0]
    assert lesson.jury == jury
    assert (None if lesson.pseudo is None else len(lesson.pseudo)) == left
