"""MERTools' label files: arrays of objects that hold dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer.errors import MerError
from mer.imports.labels import Label, read_labels


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_labels_come_by_part_and_name(tmp_path: Path, save: Any) -> None:
    train = {
        "a": {"emo": "happy", "val": 1.5},
        "b": {"emo": "sad", "val": np.float64(-2)},
        "c": {"emo": "sad", "val": ""},
    }
    save(tmp_path / "label-6way.npz", train_corpus=train, test1_corpus={"d": {"emo": np.int64(3)}}, test2_corpus={})
    assert read_labels(tmp_path / "label-6way.npz") == {
        "train": {
            "a": Label("happy", {"val": 1.5}),
            "b": Label("sad", {"val": -2.0}),
            "c": Label("sad", {}),
        },
        "test1": {"d": Label("3", {})},
        "test2": {},
    }


def test_sessions_are_told_apart(tmp_path: Path) -> None:
    sessions = [{"a": {"emo": 0, "val": 3.5}}, {"b": {"emo": 2.0, "val": np.array([1.0])}}]
    np.savez(tmp_path / "label_4way.npz", whole_corpus=sessions)
    assert read_labels(tmp_path / "label_4way.npz") == {
        "whole": {"a": Label("0", {"val": 3.5}, "1"), "b": Label("2", {"val": 1.0}, "2")}
    }


def test_numbers_alone_are_labels_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "label.npz", val_corpus={"a": {"val": 0.5}})
    assert read_labels(tmp_path / "label.npz") == {"val": {"a": Label(None, {"val": 0.5})}}


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"train_corpus": {"a": 3}}, "clip 'a': a int where"),
        ({"train_corpus": {"a": {"emo": [1]}}}, "clip 'a': 'emo' is no class"),
        ({"train_corpus": {"a": {"emo": 1.5}}}, "clip 'a': 'emo' is no class"),
        ({"train_corpus": {"a": {"emo": "x", "val": "high"}}}, "clip 'a': 'val' is no number"),
        ({"train_corpus": [{"a": {"emo": "x"}}, {"a": {"emo": "x"}}]}, "clip 'a' is there twice"),
        ({"train_corpus": np.ones(3)}, "no dictionary of labels, but float64"),
        ({"train_corpus": ["x"]}, "no dictionary of labels"),
        ({"labels": {"a": {"emo": "x"}}}, "an array 'labels' is none of MERTools'"),
    ],
)
def test_what_is_no_label_is_named(tmp_path: Path, arrays: Any, what: str) -> None:
    np.savez(tmp_path / "label.npz", **arrays)
    with pytest.raises(MerError, match=what) as raised:
        read_labels(tmp_path / "label.npz")
    assert "\n" not in str(raised.value)


def test_a_shape_that_the_pickle_does_not_have_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "label.npz", train_corpus={"a": {"emo": "x"}})
    data = (tmp_path / "label.npz").read_bytes()
    assert data.count(b"'shape': (), ") == 1
    changed = data.replace(b"'shape': (), ", b"'shape':(9,),")
    (tmp_path / "label.npz").write_bytes(changed)
    with pytest.raises(MerError, match=r"label\.npz"):
        read_labels(tmp_path / "label.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerError, match=r"nowhere\.npz: No such file"):
        read_labels(tmp_path / "nowhere.npz")
