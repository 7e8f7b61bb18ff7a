"""MMSA's and MMSA-FET's files: splits of padded arrays, aligned and not, of numpy and of PyTorch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mer.errors import MerError
from mer.imports import ImportedError, open_source

N, T = 4, 6
LENGTHS = [6, 3, 1, 0]


def split(name: str, *, lengths: bool = True, front: bool = False) -> dict[str, Any]:
    """A split as MMSA has it: frames of ones, padded with zeros."""
    rng = np.random.default_rng(len(name))

    def padded(width: int) -> np.ndarray:
        values = np.zeros((N, T, width), np.float32)
        for row, length in enumerate(LENGTHS):
            frames = slice(T - length, T) if front else slice(0, length)
            values[row, frames] = rng.normal(size=(length, width)) + 3
        return values

    held = {
        "id": np.array([f"{name}video$_${row}" for row in range(N)]),
        "raw_text": np.array(["one", "two", "three", ""]),
        "audio": padded(5),
        "vision": padded(2),
        "text": rng.normal(size=(N, T, 8)),
        "text_bert": np.ones((N, 3, T)),
        "regression_labels": np.array([1.0, -1.0, 0.0, 2.5], np.float32),
        "classification_labels": np.array([2, 0, 1, 2]),
        "annotations": ["Positive", "Negative", "Neutral", "Positive"],
    }
    if lengths:
        held |= {"audio_lengths": LENGTHS, "vision_lengths": np.array(LENGTHS)}
    return held


def write(path: Path, change: Any = None, **options: Any) -> Path:
    content = {name: split(name, **options) for name in ("train", "valid", "test")}
    if change is not None:
        change(content)
    path.write_bytes(pickle.dumps(content, 4))
    return path


def refused(what: str, read: Any) -> None:
    with pytest.raises(MerError, match=what) as raised:
        read()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("front", [True, False])
def test_clips_come_without_their_padding(tmp_path: Path, lengths: bool, front: bool) -> None:
    path = write(tmp_path / "a.pkl", lengths=lengths, front=front)
    source = open_source(path, name="audio")
    assert len(source.clip_ids) == 3 * N
    assert source.clip_ids[0] == "trainvideo$_$0"
    read = [values for _, values in source.read_many(source.clip_ids)]
    assert [0 if values is None else len(values) for values in read] == LENGTHS * 3
    expected = split("valid", front=front)["audio"][1]
    found = source.read("validvideo$_$1")
    assert found is not None
    assert np.array_equal(found, expected[-3:] if front else expected[:3])
    assert source.width() == 5
    assert "3 clips have no value but zero" in source.notes()[0]


@pytest.mark.parametrize(("name", "width"), [("audio", 5), ("vision", 2), ("video", 2), ("face", 2), ("text", 8)])
def test_a_view_is_chosen_by_name(tmp_path: Path, name: str, width: int) -> None:
    assert open_source(write(tmp_path / "a.pkl"), name=name).width() == width


def test_without_a_name_what_is_there_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl")
    refused("which features. Found: audio, vision, text", lambda: open_source(path))
    refused("no features 'text_bert' in it; Found: audio, vision, text", lambda: open_source(path, name="text_bert"))


def test_tensors_of_pytorch_give_the_same(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        for part in content.values():
            for key in ("audio", "vision", "text", "text_bert"):
                part[key] = torch.from_numpy(part[key])

    one, other = write(tmp_path / "a.pkl"), write(tmp_path / "b.pkl", change)
    torch.save(
        pickle.loads(other.read_bytes()) and {"train": {"id": ["a"], "audio": torch.ones(1, 2, 3)}}, tmp_path / "c.pkl"
    )
    for name in ("audio", "vision", "text"):
        a, b = open_source(one, name=name), open_source(other, name=name)
        assert [a.digest(clip) for clip in a.clip_ids] == [b.digest(clip) for clip in b.clip_ids]
    found = open_source(tmp_path / "c.pkl").read("a")
    assert found is not None
    assert found.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_lists_give_the_same_as_arrays(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        for part in content.values():
            part["audio"], part["id"] = part["audio"].tolist(), part["id"].tolist()

    a = open_source(write(tmp_path / "a.pkl"), name="audio")
    b = open_source(write(tmp_path / "b.pkl", change), name="audio")
    assert [a.digest(clip) for clip in a.clip_ids] == [b.digest(clip) for clip in b.clip_ids]


def test_columns_of_minus_infinity_become_zero_and_are_counted(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        content["train"]["audio"][:2, :, 4] = -np.inf
        content["test"]["audio"][0, 0, 0] = np.nan

    source = open_source(write(tmp_path / "a.pkl", change), name="audio")
    read = dict(source.read_many(source.clip_ids))
    assert all(values is None or np.isfinite(values).all() for values in read.values())
    found = read["trainvideo$_$0"]
    assert found is not None
    assert not found[:, 4].any()
    line = next(line for line in source.notes() if "no finite" in line)
    assert "'audio': " in line
    assert "10 values are no finite numbers (NaN, inf), in 3 of 12 clips" in line
    assert "columns 0, 4; set to zero, as MMSA does" in line


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c["train"].pop("id"), "'id' is missing in 'train'"),
        (lambda c: c["valid"].pop("audio"), "'audio' is missing in 'valid'"),
        (lambda c: c["test"].update(id=c["test"]["id"][:2]), "'test'/'audio': 4 rows, and 'id' has 2"),
        (lambda c: c["test"].update(id=c["train"]["id"]), "clip 'trainvideo._.0' is there twice"),
        (lambda c: c["test"].update(audio=np.array(["x"] * N)), r"'test'/'audio' has shape \[4\]"),
        (lambda c: c["test"].update(audio_lengths=[1]), "'test'/'audio_lengths': 1 rows"),
        (lambda c: c["test"].update(audio=3), "'test'/'audio': a int where an array is expected"),
        (lambda c: c["test"].update(audio=[[1.0], [1.0, 2.0], [1.0], [1.0]]), "'test'/'audio': "),
        (lambda c: [c.pop(name) for name in list(c)], "no splits in it"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, change: Any, what: str) -> None:
    path = write(tmp_path / "a.pkl", change)
    refused(rf"a\.pkl: .*{what}|a\.pkl: {what}", lambda: open_source(path, name="audio"))


@pytest.mark.parametrize(
    ("length", "what"),
    [(7, "says 7 frames, and there are 6"), (2, "says 2 frames, and 6 are not zero"), (-1, "says -1")],
)
def test_another_number_of_frames_than_its_length_is_the_clips_fault(tmp_path: Path, length: int, what: str) -> None:
    source = open_source(
        write(tmp_path / "a.pkl", lambda c: c["train"].update(audio_lengths=[length, 3, 1, 0])), name="audio"
    )
    with pytest.raises(ImportedError, match=rf"clip 'trainvideo\$_\$0': 'audio_lengths' {what}"):
        source.read("trainvideo$_$0")
    assert source.read("trainvideo$_$1") is not None


def test_splits_of_other_widths_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", lambda c: c["test"].update(audio=np.ones((N, T, 9))))
    refused("clip 'testvideo._.0' has 9 columns, where 8 of 12 clips have 5", open_source(path, name="audio").width)


def test_one_split_is_enough(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        content.pop("valid")
        content.pop("test")

    assert len(open_source(write(tmp_path / "a.pkl", change), name="text").clip_ids) == N
