"""The clip table survives a round trip, and its rules are enforced in one line."""

from __future__ import annotations

import pandas as pd
import pytest

from mer import clips
from mer.clips import ClipTable, check, read_clips, read_labels, read_test_labels, write_labels, write_test_labels
from mer.errors import MerError

CLASSES = ("neutral", "angry")


COLUMNS = ["clip_id", "path", "sha256", "split", "label", "group", "transcript"]


@pytest.fixture
def rows() -> pd.DataFrame:
    clips = [
        ("a", "x/a.mp4", "00ff", "labeled", "angry", "03", "生气"),
        ("b", "x/b.mp4", None, "unlabeled", None, None, None),
        ("c", "x/c.mp4", "11", "test", None, "04", ""),
    ]
    return pd.DataFrame(clips, columns=COLUMNS).astype("str")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("clips", ["clip_id", "path", "sha256"]),
        ("splits", ["clip_id", "split"]),
        ("groups", ["clip_id", "group"]),
    ],
)
def test_a_table_holds_its_columns_and_no_others(tmp_path, rows, name, columns):
    getattr(clips, f"write_{name}")(tmp_path / "table.parquet", rows)
    assert pd.read_parquet(tmp_path / "table.parquet").columns.tolist() == columns
    pd.testing.assert_frame_equal(getattr(clips, f"read_{name}")(tmp_path / "table.parquet"), rows[columns])


def test_labels_carry_the_class_order(tmp_path, rows):
    write_labels(tmp_path / "labels.parquet", ClipTable(rows, CLASSES))
    table = read_labels(tmp_path / "labels.parquet")
    pd.testing.assert_frame_equal(table.rows, rows[["clip_id", "split", "label", "group"]])
    assert table.classes == CLASSES


def test_the_corpus_text_is_known_by_clip(tmp_path, rows):
    clips.write_texts(tmp_path / "text.parquet", rows)
    assert clips.read_texts(tmp_path / "text.parquet") == {"a": "生气", "b": None, "c": ""}


def test_folds_have_a_row_for_each_labeled_clip(tmp_path, rows):
    clips.write_folds(tmp_path / "folds.parquet", rows.iloc[:1].assign(fold=2))
    assert clips.read_folds(tmp_path / "folds.parquet").values.tolist() == [["a", 2]]


def test_a_corrected_label_changes_the_table_of_labels_alone(tmp_path, rows):
    for folder, of in (("before", rows), ("after", rows.assign(label=["neutral", None, None]))):
        (tmp_path / folder).mkdir()
        for name in ("clips", "texts", "splits", "groups"):
            getattr(clips, f"write_{name}")(tmp_path / folder / name, of)
        write_labels(tmp_path / folder / "labels", ClipTable(of, CLASSES))
    changed = {
        path.name
        for path in (tmp_path / "before").iterdir()
        if path.read_bytes() != (tmp_path / "after" / path.name).read_bytes()
    }
    assert changed == {"labels"}


def test_what_a_later_version_writes_beside_our_columns_is_passed_over(tmp_path, rows):
    rows.assign(start=0.0)[["clip_id", "start", "path", "sha256"]].to_parquet(tmp_path / "clips.parquet")
    assert read_clips(tmp_path / "clips.parquet").columns.tolist() == ["clip_id", "path", "sha256"]


@pytest.mark.parametrize("content", [None, "clip_id,path", "another table"])
def test_a_file_that_is_no_clip_table_is_named_in_one_line(tmp_path, rows, content):
    path = tmp_path / "clips.parquet"
    if content == "another table":
        clips.write_splits(path, rows)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(MerError, match=r"clips.parquet: not a clip table") as raised:
        read_clips(path)
    assert "\n" not in str(raised.value)


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
