"""Feature tables: what is written comes back, in order, and is what other readers expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from mer.errors import MerError
from mer.store import tables
from mer.store.tables import open_frames, read_utterances, write_frames, write_utterances


def test_utterances_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 4 * 4 * 3)
    values = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    path = tmp_path / "deep" / "utterance.parquet"
    write_utterances(path, ((f"clip {n}", values[n], n, n % 2 == 0) for n in range(10)), dimensions=5)
    table = read_utterances(path)
    assert table.clip_ids == [f"clip {n}" for n in range(10)]
    assert table.embeddings.dtype == np.float32
    np.testing.assert_array_equal(table.embeddings, values)
    assert table.frames.dtype == np.int32
    np.testing.assert_array_equal(table.frames, np.arange(10))
    assert table.ok.dtype == np.bool_
    np.testing.assert_array_equal(table.ok, np.arange(10) % 2 == 0)


def test_a_table_says_how_many_blocks_its_vectors_hold_where_there_are_several(tmp_path: Path) -> None:
    rows = [(str(n), np.full(6, n, np.float32), 1, True) for n in range(3)]
    for blocks in (1, 3):
        write_utterances(tmp_path / f"{blocks}", iter(rows), 6, blocks)
        assert read_utterances(tmp_path / f"{blocks}").blocks == blocks
    write_utterances(tmp_path / "plain", iter(rows), 6)
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "1").read_bytes()
    write_utterances(tmp_path / "odd", iter(rows), 6, 4)  # no four blocks of whole columns
    assert read_utterances(tmp_path / "odd").blocks == 1


def test_no_utterances_still_have_a_width(tmp_path: Path) -> None:
    write_utterances(tmp_path / "u.parquet", iter(()), dimensions=7)
    assert read_utterances(tmp_path / "u.parquet").embeddings.shape == (0, 7)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [(str(n), np.full(3, n, np.float32), 1, True) for n in range(9)]
    for name in "ab":
        write_utterances(tmp_path / name, iter(rows), dimensions=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_frames_are_plain_safetensors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(length, 4)).astype(np.float16) for length in (3, 0, 5, 1)]
    path = tmp_path / "frames.safetensors"
    write_frames(path, iter(arrays), [3, 0, 5, 1], dimensions=4)
    loaded = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(loaded["values"], np.concatenate(arrays))
    np.testing.assert_array_equal(loaded["offsets"], [0, 3, 3, 8, 9])
    assert loaded["values"].dtype == np.float16
    assert loaded["offsets"].dtype == np.int64
    frames = open_frames(path)
    assert len(frames) == 4
    for row, array in enumerate(arrays):
        np.testing.assert_array_equal(frames[row], array)
    assert isinstance(frames.values, np.memmap)


def test_frames_of_no_clips(tmp_path: Path) -> None:
    write_frames(tmp_path / "f", iter(()), [], dimensions=4)
    assert open_frames(tmp_path / "f").values.shape == (0, 4)


def test_frames_of_another_shape_than_announced_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="announced"):
        write_frames(tmp_path / "f", iter([np.zeros((2, 4), np.float16)]), [3], dimensions=4)


@pytest.mark.parametrize("reader", [read_utterances, open_frames])
@pytest.mark.parametrize("content", [None, b"", b"nonsense that is long enough to hold a header"])
def test_files_that_are_no_tables_are_named(tmp_path: Path, reader: object, content: bytes | None) -> None:
    path = tmp_path / "table"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MerError, match=str(path)):
        reader(path)  # type: ignore[operator]
