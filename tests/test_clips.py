"""The clip table survives a round trip, and its rules are enforced in one line."""

from __future__ import annotations

import pandas as pd
import pytest

from mer.clips import SCHEMA, ClipTable, check, read_clips, read_test_labels, write_clips, write_test_labels
from mer.errors import MerError

CLASSES = ("neutral", "angry")


@pytest.fixture
def rows() -> pd.DataFrame:
    clips = [
        ("a", "x/a.mp4", "labeled", "angry", "03", "生气", 0),
        ("b", "x/b.mp4", "unlabeled", None, None, None, None),
        ("c", "x/c.mp4", "test", None, "04", "", None),
    ]
    return pd.DataFrame(clips, columns=SCHEMA.names)


def test_rows_and_class_order_survive_a_round_trip(tmp_path, rows):
    write_clips(tmp_path / "clips.parquet", ClipTable(rows, CLASSES))
    table = read_clips(tmp_path / "clips.parquet")
    pd.testing.assert_frame_equal(table.rows, rows)
    assert table.classes == CLASSES


def test_equal_tables_give_equal_bytes(tmp_path, rows):
    for name in ("one", "two"):
        write_clips(tmp_path / name, ClipTable(rows.copy(), CLASSES))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_that_is_no_clip_table_is_named(tmp_path):
    (tmp_path / "clips.parquet").write_text("clip_id,path")
    with pytest.raises(MerError, match=r"clips.parquet: not a clip table"):
        read_clips(tmp_path / "clips.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_id": ["a", "b", "a"]}, "corpus: duplicate clip_id 'a'"),
        ({"split": ["labeled", "dev", "test"]}, "corpus: clip 'b': split 'dev' is none of labeled, unlabeled, test"),
        ({"label": ["joy", None, None]}, "corpus: clip 'a': label 'joy' is none of neutral, angry"),
        ({"label": [None, None, None]}, "corpus: clip 'a' is in the labeled split but has no label"),
    ],
)
def test_a_broken_rule_is_named(rows, change, message):
    with pytest.raises(MerError, match=message):
        check(rows.assign(**change), CLASSES, source="corpus")


def test_a_corpus_without_clips_is_refused(rows):
    with pytest.raises(MerError, match="corpus: no clips found"):
        check(rows.iloc[:0], CLASSES, source="corpus")


@pytest.mark.parametrize("count", [0, 2])
def test_test_labels_survive_a_round_trip(tmp_path, count):
    labels = pd.DataFrame({"clip_id": ["c", "d"], "label": ["angry", "neutral"]}, dtype="str").iloc[:count]
    write_test_labels(tmp_path / "labels.parquet", labels)
    pd.testing.assert_frame_equal(read_test_labels(tmp_path / "labels.parquet"), labels, check_index_type=False)


@pytest.mark.parametrize("content", [None, "clip_id,label"])
def test_a_file_that_holds_no_test_labels_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "labels.parquet").write_text(content)
    with pytest.raises(MerError, match=r"labels.parquet: not a table of test labels"):
        read_test_labels(tmp_path / "labels.parquet")
