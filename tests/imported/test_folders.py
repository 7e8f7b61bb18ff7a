"""MERTools' folders of features: every shape that its tools leave, and what is wrong with one, by clip and file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer.errors import MerError
from mer.imports import ImportedError, open_source

D = 5


def folder(tmp_path: Path, name: str, **arrays: Any) -> Path:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    for clip, array in arrays.items():
        np.save(path / f"{clip}.npy", array)
    return path


def refused(what: str, read: Any) -> None:
    with pytest.raises(MerError, match=what) as raised:
        read()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1"])
@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        ("-UTT", (D,), (D,)),
        ("_UTT", (1, D), (D,)),
        ("-UTT", (D, 1), (D,)),
        ("-UTT", (1, 1, D), (D,)),
        ("-UTT", (4, D), (4, D)),
        ("-FRA", (4, D), (4, D)),
        ("_FRA", (D,), (1, D)),
        ("-FRA", (1, D), (1, D)),
        ("-FRA", (4, 1, D), (4, D)),
        ("-FRA", (1, 4, D), (4, D)),
        ("-FRA", (4, 1), (4, 1)),
        ("-fra", (4, D), (4, D)),
        ("", (D,), (D,)),
        ("", (1, D), (D,)),
        ("", (4, D), (4, D)),
        ("-UTT", (), (1,)),
    ],
)
def test_every_shape_that_tools_leave_is_read(tmp_path: Path, dtype: str, kind: str, shape: Any, expected: Any) -> None:
    values = (np.arange(int(np.prod(shape))) + 1).reshape(shape).astype(dtype)
    source = open_source(folder(tmp_path, f"x{kind}", a=values))
    found = source.read("a")
    assert found is not None
    assert found.dtype == np.float32
    assert found.shape == expected
    assert found.ravel().tolist() == values.ravel().tolist()
    assert source.width() == expected[-1]


@given(
    st.sampled_from(["f2", "f4", "f8"]),
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.sampled_from([0, 1, 2]), max_size=2),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_axes_of_one_change_no_value(
    tmp_path_factory: Any, dtype: str, t: int, d: int, axes: Any, fortran: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("x")
    values = np.random.default_rng(t * 7 + d).normal(size=(t, d + 1)).astype(dtype)
    loose = values
    for axis in axes:
        loose = np.expand_dims(loose, axis)
    found = open_source(folder(tmp_path, "x-FRA", a=np.asarray(loose, order="F" if fortran else "C"))).read("a")
    assert found is not None
    assert np.array_equal(found, values.astype(np.float32))


def test_frames_in_files_of_their_own_come_in_natural_order(tmp_path: Path) -> None:
    path = tmp_path / "clip-FRA" / "a"
    path.mkdir(parents=True)
    for number in range(12):
        np.save(path / f"frame_det_{number + 1}.npy", np.full((1, D), number + 1.0))
    source = open_source(path.parent)
    found = source.read("a")
    assert found is not None
    assert found[:, 0].tolist() == list(range(1, 13))
    assert source.width() == D
    np.save(path / "frame_det_3.npy", np.ones(D + 1))
    refused(rf"clip 'a': .*frame_det_3\.npy has shape \[{D + 1}\]", lambda: source.read("a"))


def test_zero_vectors_are_clips_without_the_modality(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.zeros(D), b=np.ones(D), c=np.zeros((1, 1)), d=np.zeros((0, D)))
    (path / "e").mkdir()  # of a clip in which no face was found
    source = open_source(path)
    read = dict(source.read_many(["a", "b", "c", "d", "e"]))
    assert [name for name, values in read.items() if values is None] == ["a", "c", "d", "e"]
    assert source.width() == D
    assert source.notes() == [f"{path}: 4 clips have no value but zero, and count as absent"]


def test_values_that_are_no_numbers_become_zero_and_are_counted(tmp_path: Path) -> None:
    values = np.ones((3, D))
    values[0, 1] = -np.inf
    values[2, 3] = np.nan
    source = open_source(folder(tmp_path, "x-FRA", a=np.ones((2, D)), b=values, c=np.full((1, D), 1e300)))
    read = dict(source.read_many(["a", "b", "c"]))
    assert read["b"] is not None
    assert read["b"][0].tolist() == [1, 0, 1, 1, 1]
    assert read["c"] is None
    [absent, odd] = source.notes()
    assert "1 clips have no value but zero" in absent
    assert "7 values are no finite numbers (NaN, inf), in 2 of 3 clips (the first is 'b')" in odd
    assert "columns 0, 1, 2, 3, 4; set to zero" in odd


def test_a_note_does_not_count_a_clip_twice(tmp_path: Path) -> None:
    source = open_source(folder(tmp_path, "x-UTT", a=np.array([np.nan, 1.0])))
    source.read("a")
    source.read("a")
    assert "1 values are no finite numbers" in source.notes()[0]


def test_one_clip_of_another_width_is_named_with_both(tmp_path: Path) -> None:
    source = open_source(folder(tmp_path, "x-UTT", a=np.ones(D), b=np.ones(D), c=np.ones(9)))
    refused(rf"clip 'c' has 9 columns, where 2 of 3 clips have {D}", source.width)


def test_a_csv_a_clip_is_read_without_its_columns_of_time(tmp_path: Path) -> None:
    path = tmp_path / "openface"
    path.mkdir()
    (path / "a.csv").write_text("frame, timestamp, AU01_r, AU02_r\n1, 0.0, 0.5, 1\n2, 0.04, 0.25, 2\n")
    (path / "b.csv").write_text("frameTime;F0;loudness\r\n0.0;1;2\r\n")
    (path / "c.csv").write_text("1,2\n3,4\n")
    read = dict(open_source(path).read_many(["a", "b", "c"]))
    assert {name: None if v is None else v.tolist() for name, v in read.items()} == {
        "a": [[0.5, 1], [0.25, 2]],
        "b": [1, 2],
        "c": [[1, 2], [3, 4]],
    }
    (path / "a.csv").write_text("frame,AU01_r\n1,0.5\n2,\n")
    refused(r"clip 'a': .*a\.csv line 3: '' in column 'AU01_r' is no number", lambda: open_source(path).read("a"))
    (path / "a.csv").write_text("frame,AU01_r\n1,0.5\n2\n")
    refused(r"line 3: 1 cells where the first has 2", lambda: open_source(path).read("a"))


def test_another_number_of_frames_than_times_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.mkdir()
    np.savez(path / "a.npz", values=np.ones((3, D)), times=np.arange(3))
    np.savez(path / "b.npz", values=np.ones((3, D)), times=np.arange(4))
    source = open_source(path)
    found = source.read("a")
    assert found is not None
    assert found.shape == (3, D)
    refused(r"clip 'b': .*b\.npz: 3 frames in 'values', 4 in 'times'", lambda: source.read("b"))


def test_what_is_wrong_with_a_file_is_the_clips_fault(tmp_path: Path) -> None:
    path = folder(
        tmp_path, "x-UTT", a=np.ones(D), b=np.ones(D), c=np.ones((2, 3, D)), d=np.array(["x"]), f=np.ones(2, "c8")
    )
    whole = (path / "a.npy").read_bytes()
    (path / "a.npy").write_bytes(whole[:-3])
    (path / "b.npy").write_bytes(b"not an array")
    (path / "e.npy").write_bytes(b"")
    (path / "g.npy").write_bytes(whole + b"more")
    (path / "h.npy").write_bytes(whole[:20])
    wrong = {
        "a": r"a\.npy: cut short: 37 bytes of values, its header promises 40",
        "b": "not an array in numpy's format",
        "c": r"has shape \[2, 3, 5\], not \[D\] or \[T, D\]",
        "d": "holds text, not numbers",
        "e": "empty",
        "f": "holds complex numbers",
        "g": "4 bytes after the end",
        "h": "not an array in numpy's format",
    }
    source = open_source(path)
    for clip, what in wrong.items():
        with pytest.raises(ImportedError, match=f"clip '{clip}'.*{what}|{what}.*clip '{clip}'|clip '{clip}' {what}"):
            source.read(clip)


def test_a_header_that_promises_too_much_fills_no_memory(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1024), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    (path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)
    refused("cut short: 64 bytes", lambda: open_source(path).read("a"))


def test_a_clip_may_be_called_as_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "x-FRA"
    (path / "a.npy").mkdir(parents=True)
    np.save(path / "a.npy" / "1.npy", np.ones(D))
    np.save(path / "b.NPY", np.ones(D))
    (path / "b.NPY.npy").rename(path / "b.NPY")
    source = open_source(path)
    assert list(source.clip_ids) == ["a.npy", "b"]
    assert source.width() == D
    assert all(values is not None for _, values in source.read_many(["a.npy", "b"]))
    assert source.digest("a.npy") != source.digest("b")


def test_two_files_of_one_clip_are_named(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D))
    (path / "a.csv").write_text("1,2\n")
    refused(r"a\.csv and .*a\.npy would both be clip 'a'", lambda: open_source(path))
    (path / "a.csv").unlink()
    (path / "a").mkdir()
    refused(r"/a and .*a\.npy would both be clip 'a'", lambda: open_source(path))


def test_names_that_differ_in_the_form_of_letters_are_one_clip(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT")
    np.save(path / "cafe\u0301.npy", np.ones(D))
    assert list(open_source(path).clip_ids) == ["caf\u00e9"]
    np.save(path / "caf\u00e9.npy", np.ones(D))
    refused("would both be clip 'caf\u00e9'", lambda: open_source(path))


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D))
    np.save(tmp_path / "b.npy", np.ones(D))
    (path / "b.npy").symlink_to(tmp_path / "b.npy")
    refused(r"b\.npy: a link that leads out of", lambda: open_source(path))
    (path / "b.npy").unlink()
    (path / "b.npy").symlink_to(path / "a.npy")
    assert list(open_source(path).clip_ids) == ["a", "b"]
    link = tmp_path / "link-UTT"
    link.symlink_to(path)
    assert len(open_source(link).clip_ids) == 2
    (path / "c.npy").symlink_to(path / "nowhere.npy")
    refused("a link that leads nowhere", lambda: open_source(path))


def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D))
    (Path(os.fsdecode(os.fsencode(path) + b"/\xff.npy"))).write_bytes(b"")
    refused("not valid UTF-8; rename the file", lambda: open_source(path))


def test_a_pipe_among_the_features_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D))
    os.mkfifo(path / "b.npy")
    refused(r"b\.npy': a pipe", lambda: open_source(path))


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT")
    refused("no features in it", lambda: open_source(path))
    (path / "readme.txt").write_text("")
    refused("1 other files", lambda: open_source(path))
    refused("no such file or folder", lambda: open_source(tmp_path / "nowhere"))


def test_of_several_folders_one_is_chosen_by_name(tmp_path: Path) -> None:
    folder(tmp_path, "hubert-UTT", a=np.ones(D))
    folder(tmp_path, "hubert-FRA", a=np.ones((2, D)))
    folder(tmp_path, "clip_FRA", a=np.ones((2, D)))
    refused("which features. Found: clip_FRA, hubert-FRA, hubert-UTT", lambda: open_source(tmp_path))
    refused("no features 'hubert' in it .found: hubert-FRA, hubert-UTT", lambda: open_source(tmp_path, name="hubert"))
    for name in ("clip", "clip_FRA", "hubert-FRA"):
        found = open_source(tmp_path, name=name).read("a")
        assert found is not None
        assert found.shape == (2, D)


def test_a_clips_digest_changes_with_its_values_alone(tmp_path: Path) -> None:
    path = folder(tmp_path, "x-UTT", a=np.ones(D), b=np.ones(D), c=np.ones(D) * 2)
    source = open_source(path)
    assert source.digest("a") == source.digest("b") != source.digest("c")
    np.save(path / "a.npy", np.ones(D) * 3)
    assert open_source(path).digest("a") != source.digest("b")


def test_face_crops_are_no_features(tmp_path: Path) -> None:
    path = tmp_path / "openface_face" / "a"
    path.mkdir(parents=True)
    np.save(path / "a.npy", np.ones((2, 112, 112, 3), np.uint8))
    refused("pictures of faces, no features", lambda: open_source(path.parent))
