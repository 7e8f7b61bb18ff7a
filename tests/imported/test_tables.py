"""Features of all clips in one file: the same arrays come from Parquet, npz, safetensors and CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mer.errors import MerError
from mer.imports import open_source
from mer.store.tables import write_utterances

IDS = ["b", "a", "ü"]
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4) + 1


def refused(what: str, read: Any) -> None:
    with pytest.raises(MerError, match=what) as raised:
        read()
    assert "\n" not in str(raised.value)


def write(path: Path, ids: list[str], values: np.ndarray) -> None:
    """The same [N, D] in whatever form the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"clip_id": ids, "x": list(values)}), path, row_group_size=2)
    elif path.suffix == ".npz":
        np.savez(path, clip_ids=np.array(ids), x=values)
    elif path.suffix == ".safetensors":
        save_file({"x": values}, path, {"clip_ids": json.dumps(ids)})
    else:
        rows = [f"{clip},{','.join(map(str, row))}" for clip, row in zip(ids, values.tolist(), strict=True)]
        path.write_text("\n".join(["clip_id," + ",".join(f"f{n}" for n in range(values.shape[1])), *rows]))


FORMS = [".parquet", ".npz", ".safetensors", ".csv"]


@pytest.mark.parametrize("ending", FORMS)
def test_the_same_vectors_come_from_every_form(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    write(path, IDS, VALUES)
    source = open_source(path)
    assert list(source.clip_ids) == IDS
    assert source.width() == 4
    for clip, expected in zip(IDS, VALUES, strict=True):
        found = source.read(clip)
        assert found is not None
        assert found.dtype == np.float32
        assert found.tolist() == expected.tolist()
    assert [clip for clip, _ in source.read_many(["ü", "a", "b"])] == IDS
    assert "3 clips" in source.describe()


@pytest.mark.parametrize("ending", FORMS)
def test_digests_are_of_the_values_in_whatever_form(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "one.npz", IDS, VALUES)
    write(tmp_path / f"t{ending}", IDS, VALUES)
    one, other = open_source(tmp_path / "one.npz"), open_source(tmp_path / f"t{ending}")
    assert [one.digest(clip) for clip in IDS] == [other.digest(clip) for clip in IDS]
    assert len({one.digest(clip) for clip in IDS}) == 3


@given(
    st.sampled_from(FORMS),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from(["f2", "f4", "f8"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_any_shape_comes_back_the_same(
    tmp_path_factory: Any, ending: str, n: int, d: int, kind: str, seed: int
) -> None:
    path = tmp_path_factory.mktemp("x") / f"t{ending}"
    values = np.random.default_rng(seed).normal(size=(n, d)).astype(kind)
    write(path, [f"clip {number}" for number in range(n)], values)
    found = dict(open_source(path).read_many([f"clip {number}" for number in range(n)]))
    assert np.array_equal(np.stack(list(found.values())), values.astype(np.float32))


@pytest.mark.parametrize("ending", FORMS)
def test_a_clip_that_is_there_twice_is_named(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"t{ending}", ["a", "b", "a"], VALUES)
    refused(r"t\.\w+.*: clip 'a' is there twice", lambda: open_source(tmp_path / f"t{ending}"))


@pytest.mark.parametrize("ending", FORMS)
def test_a_file_cut_short_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    write(path, IDS, VALUES)
    path.write_bytes(path.read_bytes()[:-10] if ending != ".csv" else b"clip_id,f0\na")
    refused(rf"t\{ending}", lambda: open_source(path))


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_an_array_a_clip_is_read(tmp_path: Path, ending: str) -> None:
    arrays = {"a": np.ones((3, 4), np.float32), "b": np.ones((1, 4), np.float16), "c": np.zeros(4, np.float32)}
    path = tmp_path / f"t{ending}"
    np.savez(path, **arrays) if ending == ".npz" else save_file(arrays, path)
    source = open_source(path)
    shapes = {clip: None if found is None else found.shape for clip, found in source.read_many(["a", "b", "c"])}
    assert shapes == {"a": (3, 4), "b": (4,), "c": None}
    assert source.width() == 4
    arrays["d"] = np.ones(7, np.float32)
    np.savez(path, **arrays) if ending == ".npz" else save_file(arrays, path)
    refused("clip 'd' has 7 columns, where 3 of 4 clips have 4", open_source(path).width)


def test_a_compressed_archive_gives_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", clip_ids=np.array(IDS), x=VALUES)
    np.savez_compressed(tmp_path / "b.npz", clip_ids=np.array(IDS), x=np.asfortranarray(VALUES))
    one, other = (open_source(tmp_path / name) for name in ("a.npz", "b.npz"))
    assert [one.digest(clip) for clip in IDS] == [other.digest(clip) for clip in IDS]


def test_frames_come_from_lists_of_lists(tmp_path: Path) -> None:
    frames = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], None]
    kind = pa.list_(pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"name": IDS, "x": pa.array(frames, kind)}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    found = {clip: None if values is None else values.tolist() for clip, values in source.read_many(IDS)}
    assert found == dict(zip(IDS, frames, strict=True))
    assert source.width() == 2


def test_ragged_lists_are_named_by_clip(tmp_path: Path) -> None:
    ragged = pa.array([[1.0, 2.0], [1.0, 2.0], [1.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"name": IDS, "x": ragged}), tmp_path / "t.parquet")
    refused("clip 'ü' has 1 columns, where 2 of 3 clips have 2", open_source(tmp_path / "t.parquet").width)
    ragged = pa.array([[[1.0, 2.0], [1.0]]] * 3, pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table({"name": IDS, "x": ragged}), tmp_path / "t.parquet")
    refused("clip 'a'.*frames of 1 and of 2 columns", lambda: open_source(tmp_path / "t.parquet").read("a"))


def test_a_column_a_feature_is_read(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"file": IDS, "f0": [1.0, 2.0, 3.0], "f1": [4.0, 5.0, 6.0], "label": IDS}), tmp_path / "t.parquet"
    )
    found = open_source(tmp_path / "t.parquet").read("a")
    assert found is not None
    assert found.tolist() == [2.0, 5.0]


def test_our_own_table_is_read_with_its_absent_clips(tmp_path: Path) -> None:
    rows = [("a", VALUES[0], 3, True), ("b", np.zeros(4, np.float32), 0, False)]
    write_utterances(tmp_path / "audio" / "utterance.parquet", rows, 4)
    for path in (tmp_path / "audio", tmp_path / "audio" / "utterance.parquet"):
        source = open_source(path)
        found = dict(source.read_many(["a", "b"]))
        assert found["a"] is not None
        assert found["a"].tolist() == VALUES[0].tolist()
        assert found["b"] is None


@pytest.mark.parametrize("ending", [".parquet", ".npz", ".safetensors"])
def test_of_several_views_one_is_chosen_by_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table({"clip_id": IDS, "x": list(VALUES), "y": list(VALUES[:, :2])}), path)
    elif ending == ".npz":
        np.savez(path, clip_ids=np.array(IDS), x=VALUES, y=VALUES[:, :2], labels=np.arange(3))
    else:
        save_file({"x": VALUES, "y": np.ascontiguousarray(VALUES[:, :2])}, path, {"clip_ids": json.dumps(IDS)})
    assert open_source(path, name="y").width() == 2
    refused("which features. Found: x, y", lambda: open_source(path))
    refused(r"no features 'z' in it \(found: x, y\)", lambda: open_source(path, name="z"))


def test_a_table_without_names_says_which_columns_would_do(tmp_path: Path) -> None:
    pq.write_table(pa.table({"who": IDS, "x": list(VALUES)}), tmp_path / "t.parquet")
    refused("no column names the clips .clip_id, name, .*found: who, x", lambda: open_source(tmp_path / "t.parquet"))
    (tmp_path / "t.csv").write_text("who,x\na,1\n")
    refused("'a' in column 'who' is no number", lambda: open_source(tmp_path / "t.csv"))
    found = open_source(tmp_path / "t.csv", name="who").read("a")
    assert found is not None
    assert found.tolist() == [1.0]


def test_more_names_than_rows_are_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", clip_ids=np.array(IDS), x=VALUES[:2])
    refused(r"'x': shape \[2, 4\] for 3 clips", lambda: open_source(tmp_path / "t.npz"))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}, "cut short|shape is wrong"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}, "cut short|shape is wrong"),
        ({"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}, "shape"),
        ({"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}, "t.safetensors"),
        ({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}, "of dtype F8_E4M3"),
        ([], "t.safetensors"),
    ],
)
def test_a_tensor_file_by_hand_is_refused(tmp_path: Path, entry: Any, what: str) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "t.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    refused(what, lambda: open_source(tmp_path / "t.safetensors"))


@pytest.mark.parametrize("ending", [".parquet", ".npz", ".safetensors", ".csv", ".pkl", ".pt"])
def test_what_has_another_content_than_its_ending_is_refused(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"t{ending}").write_bytes(b"\x00\x01\x02\xff" * 20)
    refused(rf"t\{ending}: ", lambda: open_source(tmp_path / f"t{ending}"))
    (tmp_path / f"u{ending}").write_bytes(b"")
    refused(rf"u\{ending}: empty", lambda: open_source(tmp_path / f"u{ending}"))


def test_an_unknown_ending_lists_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"x")
    refused(
        r"t\.xlsx: no form that is read: a folder, or a file in \.parquet", lambda: open_source(tmp_path / "t.xlsx")
    )
