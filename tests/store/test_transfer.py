"""Rows travel from one cache to another whole, those of a run and no others; failures are forgotten when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mer.errors import ClipError, MerError
from mer.store.cache import ShardCache
from mer.store.manifest import Made, Manifest, read_manifest, write_manifest
from mer.store.transfer import export_rows, forget, import_rows

SCHEMA = pa.schema([pa.field("audio", pa.binary())])


class BadError(ClipError):
    error = "bad"


class OddError(ClipError):
    error = "odd"


def key(number: int) -> str:
    return f"{number:064x}"


def record(number: int) -> dict[str, Any]:
    return {"audio": bytes([number]) * 1000}


def filled(root: Path, *numbers: int) -> ShardCache:
    cache = ShardCache(root, "decode", SCHEMA)
    with cache.writer() as writer:
        for number in numbers:
            writer.add(key(number), record(number))
    return cache


def manifest(folder: Path, *numbers: int) -> Manifest:
    rows: dict[str, list[Any]] = {"clip_id": [f"clip {n}" for n in numbers], "key": [key(n) for n in numbers]}
    rows |= {"ok": [True] * len(numbers), "error": [None] * len(numbers), "message": [None] * len(numbers)}
    write_manifest(folder / "manifest.parquet", rows, Made("decode", "f", "av"))
    return read_manifest(folder / "manifest.parquet")


def test_the_rows_of_a_run_travel_and_no_others(tmp_path: Path) -> None:
    filled(tmp_path / "here", 1, 2)
    filled(tmp_path / "here", 3, 4)
    assert export_rows(tmp_path / "here", manifest(tmp_path, 2, 3, 9), "decode", tmp_path / "disk") == (2, 1)
    there = filled(tmp_path / "there", 3)
    assert list(import_rows(tmp_path / "there", tmp_path / "disk")) == [("decode", 1, 1)]
    there.results.refresh()
    assert there.results.keys() == {key(2), key(3)}
    assert [row["audio"] for row in there.read([key(3), key(2)])] == [record(3)["audio"], record(2)["audio"]]
    assert list(import_rows(tmp_path / "there", tmp_path / "disk")) == [("decode", 0, 2)]


def test_a_shard_that_was_damaged_on_its_way_is_named_and_not_taken(tmp_path: Path) -> None:
    filled(tmp_path / "here", 1)
    export_rows(tmp_path / "here", manifest(tmp_path, 1), "decode", tmp_path / "disk")
    (path,) = (tmp_path / "disk/decode").glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(MerError, match=path.name):
        list(import_rows(tmp_path / "there", tmp_path / "disk"))
    assert not (tmp_path / "there/decode").exists()


def test_a_folder_that_holds_no_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerError, match="holds nothing that `mer cache export` wrote"):
        list(import_rows(tmp_path / "there", tmp_path))


def test_failures_are_forgotten_by_set_and_by_kind(tmp_path: Path) -> None:
    for name in ("decode", "audio"):
        with ShardCache(tmp_path, name, SCHEMA).writer() as writer:
            writer.fail(key(1), BadError("no good"))
            writer.fail(key(2), OddError("strange"))
    assert list(forget(tmp_path, "decode", "odd")) == [("decode", 1)]
    assert list(ShardCache(tmp_path, "decode", SCHEMA).failures([key(1), key(2)])) == [key(1)]
    assert list(forget(tmp_path)) == [("audio", 2), ("decode", 1)]
    assert ShardCache(tmp_path, "audio", SCHEMA).missing([key(1), key(2)]) == [key(1), key(2)]
    assert list(forget(tmp_path)) == [("audio", 0), ("decode", 0)]


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerError, match="the cache holds no 'decoed'"):
        list(forget(tmp_path, "decoed"))
