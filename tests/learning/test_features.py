"""Joining the clip table with utterance tables."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from mer.clips import ClipTable
from mer.errors import MerError
from mer.learning.features import build_feature_set


@dataclass(frozen=True)
class Table:
    clip_ids: tuple[str, ...]
    embeddings: np.ndarray
    ok: np.ndarray


IDS = ("a", "b", "c")
CLIPS = ClipTable(
    pd.DataFrame(
        {
            "clip_id": IDS,
            "split": ["labeled", "test", "unlabeled"],
            "label": ["sad", "happy", "happy"],
            "group": ["x", None, "x"],
            "fold": pd.array([2, 1, None], dtype="Int32"),
        }
    ),
    classes=("happy", "sad"),
)


def table(width, ids=IDS):
    return Table(ids, np.zeros((len(ids), width), np.float32), np.array([True] * len(ids)))


def test_modalities_come_in_their_order():
    features = build_feature_set(CLIPS, {"text": table(3), "audio": table(2)})
    assert features.modalities == ("audio", "text")
    assert features.features["text"].shape == (3, 3)
    assert list(features.groups) == ["x", None, "x"]


def test_labels_of_other_splits_stay_out():
    features = build_feature_set(CLIPS, {"audio": table(2)})
    assert features.labels.tolist() == [1, -1, -1]
    assert features.folds.tolist() == [2, 1, -1]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (table(2, ("a", "c", "b")), "audio features: row 1 is clip 'c' where the clip table has 'b'"),
        (table(2, ("a",)), "audio features: 1 rows for 3 clips; run extract@audio again"),
        (replace(table(2), embeddings=np.array([[0, 0], [0, np.inf], [0, 0]])), "clip 'b' has infinite values"),
    ],
)
def test_rows_that_disagree_are_named(broken, message):
    with pytest.raises(MerError, match=message):
        build_feature_set(CLIPS, {"audio": broken})
