"""The clip table survives a round trip, and its rules are enforced in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mer import clips
from mer.clips import ClipTable, check, read_clips, read_labels, read_test_labels, write_labels, write_test_labels
from mer.clips.folds import assign_folds
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
    with pytest.raises(MerError, match=r"clips.parquet: (not a clip table|no such file)") as raised:
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
    with pytest.raises(MerError, match=r"labels.parquet: (not a table of test labels|no such file)"):
        read_test_labels(tmp_path / "labels.parquet")


MORE = {
    "corpus_fold": ["1", None, None],
    "target_valence": [0.5, np.nan, np.nan],
    "soft_neutral": [0.25, np.nan, np.nan],
    "soft_angry": [0.75, np.nan, np.nan],
}
PARTS = {
    "start": [0.0, 1.5, None],
    "end": [1.5, 2.0, None],
    "crop": ["left", None, None],
    "sound": [None, "b.m4a", None],
    "sound_sha256": [None, "22", None],
}


def test_labels_carry_the_folds_targets_and_soft_labels_of_a_corpus_that_has_them(tmp_path, rows):
    write_labels(tmp_path / "labels.parquet", ClipTable(rows.assign(**MORE), CLASSES))
    table = read_labels(tmp_path / "labels.parquet")
    assert table.targets == ("valence",)
    expected = rows[["clip_id", "split", "label", "group"]].assign(**MORE)
    pd.testing.assert_frame_equal(table.rows, expected.astype({"corpus_fold": "str"}))


def test_parts_of_files_survive_a_round_trip(tmp_path, rows):
    clips.write_clips(tmp_path / "clips.parquet", rows.assign(**PARTS))
    found = read_clips(tmp_path / "clips.parquet")
    pd.testing.assert_frame_equal(
        found, rows[["clip_id", "path", "sha256"]].assign(**PARTS).astype(found.dtypes.to_dict())
    )


def test_tables_of_a_corpus_of_whole_files_are_the_same_bytes_as_before(tmp_path, rows):
    empty = dict.fromkeys(PARTS)
    clips.write_clips(tmp_path / "plain.parquet", rows)
    clips.write_clips(tmp_path / "empty.parquet", rows.assign(**empty))
    assert (tmp_path / "plain.parquet").read_bytes() == (tmp_path / "empty.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "plain.parquet").names == ["clip_id", "path", "sha256"]


def test_test_labels_carry_targets_and_need_no_label_then(tmp_path):
    labels = pd.DataFrame({"clip_id": ["c", "d"], "label": ["angry", None], "target_valence": [0.5, -1.0]})
    labels = labels.astype({"clip_id": "str", "label": "str"})
    write_test_labels(tmp_path / "labels.parquet", labels)
    pd.testing.assert_frame_equal(read_test_labels(tmp_path / "labels.parquet"), labels)


def test_a_labeled_clip_needs_a_label_or_a_target(rows):
    bare = rows.assign(label=None)
    check(bare.assign(target_valence=[0.5, np.nan, np.nan]), CLASSES, source="corpus")
    with pytest.raises(MerError, match="clip 'a' is in the labeled split but has no label nor target"):
        check(bare.assign(target_valence=np.nan), CLASSES, source="corpus")


def labeled(folds):
    ids = [f"c{number}" for number in range(len(folds))]
    rows = pd.DataFrame({"clip_id": ids, "split": "labeled", "label": "angry", "group": None, "corpus_fold": folds})
    return rows.astype({"corpus_fold": "str"})


def test_the_corpus_own_folds_are_kept_in_the_order_of_their_numbers():
    assert assign_folds(labeled(["fold_10", "fold_2", "fold_1", "fold_2"]), 5, 0).tolist() == [2, 1, 0, 1]


def test_folds_that_are_partial_are_refused():
    with pytest.raises(MerError, match="1 of 4 labeled clips are in none, the first is 'c2'"):
        assign_folds(labeled(["1", "2", None, "3"]), 5, 0)


def test_folds_are_dealt_where_the_corpus_has_too_few_of_its_own():
    assert sorted(assign_folds(labeled(["1", "2", "1"]), 3, 0)) == [0, 1, 2]
