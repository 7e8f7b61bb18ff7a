"""Corpora of features alone: MERTools' folders with a label file or a table, and MMSA's pickles."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

from mer.errors import MerError
from mer.layouts.check import look
from mer.params import CorpusParams


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, np.float32))
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def features(*clips: str, view: str = "hubert-UTT") -> dict[str, bytes]:
    return {f"features/{view}/{clip}.npy": npy([1, 2]) for clip in clips}


def rows_by_id(corpus: Any) -> Any:
    rows = corpus.table.rows.set_index("clip_id")
    return rows.astype(object).where(rows.notna(), None)


def refused(what: str, read: Any) -> None:
    with pytest.raises(MerError, match=what) as raised:
        read()
    assert "\n" not in str(raised.value)


TRAIN = {"a": {"emo": "happy", "val": 1.5}, "b": {"emo": "sad", "val": ""}}


def test_clips_of_a_label_file_and_of_folders_of_features(read_files: Any) -> None:
    files = features("a", "b", "c", "t") | features("a", "d", view="clip_FRA")
    files["label-6way.npz"] = npz(train_corpus=TRAIN, test1_corpus={"t": {"emo": "angry"}})
    corpus = read_files(files, layout="mertools")
    rows = rows_by_id(corpus)
    assert list(rows.index) == ["a", "b", "t", "c", "d"]
    assert list(rows["split"]) == ["labeled", "labeled", "test", "unlabeled", "unlabeled"]
    assert list(rows["label"]) == ["happy", "sad", None, None, None]
    assert set(rows["path"]) == {""}
    assert corpus.test_labels.values.tolist() == [["t", "angry"]]
    assert corpus.table.classes == ("neutral", "angry", "happy", "sad", "worried", "surprise")


def test_valence_is_a_target(read_files: Any) -> None:
    files = features("a", "b") | {"label-6way.npz": npz(train_corpus=TRAIN)}
    rows = rows_by_id(read_files(files, layout="mertools", target="valence"))
    assert list(rows["target_valence"]) == [1.5, None]


def test_of_several_test_sets_one_is_chosen(read_files: Any) -> None:
    tests = {f"test{number}_corpus": {f"t{number}": {"emo": "sad"}} for number in (1, 2, 3)}
    files = features("a", "b", "t1", "t2", "t3") | {"label-6way.npz": npz(train_corpus=TRAIN, **tests)}
    assert rows_by_id(read_files(files, layout="mertools"))["split"].to_dict() == {
        "a": "labeled",
        "b": "labeled",
        "t1": "unlabeled",
        "t2": "unlabeled",
        "t3": "test",
    }
    assert rows_by_id(read_files(files, layout="mertools", test="test1"))["split"]["t1"] == "test"


def test_sessions_are_groups_and_folds(read_files: Any) -> None:
    sessions = [{"a": {"emo": 0, "val": 1}}, {"b": {"emo": 1, "val": 2}}]
    files = features("a", "b") | {"label_4way.npz": npz(whole_corpus=sessions)}
    corpus = read_files(files, layout="mertools", label_map={"0": "happy", "1": "angry"})
    rows = rows_by_id(corpus)
    assert list(rows["group"]) == list(rows["corpus_fold"]) == ["1", "2"]
    assert list(rows["label"]) == ["happy", "angry"]


def test_a_table_of_labels_with_columns_of_its_own(read_files: Any) -> None:
    table = "name,participant,enjoyment,discrete\na,P1,3.0,low\nb,P1,4.5,high\nc,P2,,\n"
    files = features("a", "b", "c") | {"labels.csv": table}
    corpus = read_files(files, layout="mertools", columns={"group": "participant"}, target="enjoyment")
    rows = rows_by_id(corpus)
    assert list(rows["label"]) == ["low", "high", None]
    assert list(rows["split"]) == ["labeled", "labeled", "unlabeled"]
    assert list(rows["group"]) == ["P1", "P1", "P2"]
    assert list(rows["target_enjoyment"]) == [3.0, 4.5, None]
    assert corpus.table.classes == ("high", "low")


def test_labels_without_features_are_noted_and_left_out(read_files: Any) -> None:
    corpus = read_files(features("a") | {"labels.csv": "name,discrete\na,sad\nb,happy\n"}, layout="mertools")
    assert list(rows_by_id(corpus).index) == ["a"]
    assert list(corpus.notes.lines()) == ["1 labels without a file: b"]


def test_without_folders_of_features_the_labels_say_what_clips_there_are(read_files: Any) -> None:
    """The features lie elsewhere: in a table, or on another disk."""
    corpus = read_files({"labels.csv": "name,discrete\na,sad\nb,happy\n"}, layout="mertools")
    assert list(rows_by_id(corpus).index) == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, r"corpus\.labels: .*labels\.csv is not there, nor any label\*\.npz in"),
        ({"label-4way.npz": b"", "label-6way.npz": b""}, r"which of label-4way\.npz, label-6way\.npz is it"),
        ({"labels.csv": "name,mood\na,sad\n"}, r"labels\.csv: no column 'label'"),
        ({"labels.csv": "who,discrete\na,sad\n"}, r"labels\.csv: no column 'name'"),
        ({"labels.csv": "name,discrete\na,sad\na,sad\n"}, r"line 3: duplicate name 'a'"),
        ({"labels.csv": "name,discrete,split\na,,labeled\n"}, r"line 2: in the labeled split but without a label"),
        (
            {"labels.csv": "name,discrete\nvideos/a,sad\nvideos/b,sad\n"},
            r"features: none of its 2 clips is one of the corpus' 2: 'a' here, 'videos/a' there; they differ in folders"
            r".* \(in labels\.csv\)",
        ),
        (
            {"label.npz": npz(train_corpus=TRAIN, test1_corpus={"a": {"emo": "sad"}})},
            "clip 'a' is in train_corpus and in test1_corpus",
        ),
        (
            {"label.npz": npz(train_corpus=TRAIN, test1_corpus={}, test2_corpus={})},
            r"corpus\.test: .* has no test3; it has test1, test2",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(read_files: Any, files: Any, what: str) -> None:
    refused(what, lambda: read_files(features("a", "b") | files, layout="mertools"))


def split(name: str, **more: Any) -> dict[str, Any]:
    held = {
        "id": np.array([f"{name}v0$_$1", f"{name}v1$_$1"]),
        "raw_text": np.array(["one", ""]),
        "audio": np.ones((2, 3, 4), np.float32),
        "regression_labels": np.array([1.0, -0.5], np.float32),
        "regression_labels_T": np.array([0.2, np.nan], np.float32),
        "annotations": ["Positive", "Negative"],
    }
    return held | more


def mmsa(**parts: Any) -> dict[str, bytes]:
    return {"unaligned_50.pkl": pickle.dumps(parts)}


def test_mmsas_splits_texts_and_labels(read_files: Any) -> None:
    corpus = read_files(
        mmsa(train=split("a"), valid=split("b"), test=split("c")), layout="mmsa", target=["sentiment", "label_T"]
    )
    rows = rows_by_id(corpus)
    assert list(rows["split"]) == ["labeled"] * 4 + ["test"] * 2
    assert list(rows["label"]) == ["positive", "negative"] * 2 + [None, None]
    assert list(rows["group"])[:2] == ["av0", "av1"]
    assert list(rows["transcript"])[:2] == ["one", None]
    assert rows["target_sentiment"].tolist()[:2] == [1.0, -0.5]
    assert rows["target_label_T"].tolist()[1] is None
    assert set(rows["path"]) == {""}
    assert corpus.test_labels["label"].tolist() == ["positive", "negative"]
    assert corpus.test_labels["target_sentiment"].tolist() == [1.0, -0.5]


def test_without_annotations_the_class_is_its_number_or_the_sign(read_files: Any) -> None:
    numbered = split("a", classification_labels=np.array([2, 0]))
    signed = split("a")
    for part in (numbered, signed):
        part.pop("annotations")
    assert list(rows_by_id(read_files(mmsa(train=numbered), layout="mmsa"))["label"]) == ["2", "0"]
    assert list(rows_by_id(read_files(mmsa(train=signed), layout="mmsa"))["label"]) == ["positive", "negative"]


def test_of_several_pickles_one_is_named(read_files: Any) -> None:
    files = mmsa(train=split("a")) | {"aligned_50.pkl": pickle.dumps({"train": split("z")})}
    refused(
        r"corpus\.labels: which of aligned_50\.pkl, unaligned_50\.pkl is it", lambda: read_files(files, layout="mmsa")
    )
    assert rows_by_id(read_files(files, layout="mmsa", labels="aligned_50.pkl")).index[0] == "zv0$_$1"


def test_a_hostile_pickle_is_no_corpus(read_files: Any) -> None:
    payload = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    refused("asks for 'posix.system'.*refused, nothing was run", lambda: read_files({"a.pkl": payload}, layout="mmsa"))


def test_both_are_recognised(read_files: Any, tmp_path: Any) -> None:
    corpus = read_files(mmsa(train=split("a")), layout="auto")
    assert corpus.notes.about == ["recognised as mmsa by unaligned_50.pkl"]
    (tmp_path / "unaligned_50.pkl").unlink()
    corpus = read_files(features("a", "b") | {"labels.csv": "name,discrete\na,sad\nb,happy\n"}, layout="auto")
    assert corpus.notes.about == ["recognised as mertools by features of hubert-UTT"]


def test_the_screen_says_that_there_are_no_media(read_files: Any, tmp_path: Any) -> None:
    read_files(features("a", "b") | {"labels.csv": "name,discrete\na,sad\nb,happy\n"}, layout="mertools")
    said = look(CorpusParams(root=str(tmp_path), layout="mertools"), prefer="chinese", files=True)
    assert "no media: the corpus has features only" in said
    assert "cannot be read" not in said
    assert "every file" not in said
