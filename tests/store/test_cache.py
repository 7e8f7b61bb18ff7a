"""The shard cache: nothing finished is lost, nothing is computed twice, nothing broken is believed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mer.errors import ClipError
from mer.store import journal, shards
from mer.store.cache import Failure, ShardCache
from mer.store.shards import CorruptShardError, MissingRowsError

SCHEMA = pa.schema(
    [pa.field("audio", pa.binary()), pa.field("vector", pa.list_(pa.float32())), pa.field("n", pa.int32())]
)


class SlowError(ClipError):
    error = "slow"
    transient = True


class BrokenError(ClipError):
    error = "broken"


def key(number: int) -> str:
    return f"{number:064x}"


def record(number: int) -> dict[str, Any]:
    vector = np.arange(number, number + 3, dtype=np.float32)
    return {"audio": bytes([number % 256]) * 50_000, "vector": vector, "n": number}


def add(cache: ShardCache, *numbers: int) -> None:
    with cache.writer() as writer:
        for number in numbers:
            writer.add(key(number), record(number))


def keys(*numbers: int) -> list[str]:
    return [key(number) for number in numbers]


def shard_files(root: Path) -> list[Path]:
    return sorted((root / "things").glob("*.parquet"))


@pytest.fixture
def cache(tmp_path: Path) -> ShardCache:
    return ShardCache(tmp_path, "things", SCHEMA)


def test_rows_come_back_whole_and_in_the_order_asked(cache: ShardCache) -> None:
    add(cache, *range(0, 100, 2))
    add(cache, *range(1, 100, 2))
    order = np.random.default_rng(0).permutation(100)
    rows = list(cache.read(keys(*order)))
    assert [row["n"] for row in rows] == list(order)
    for row in rows:
        assert row["key"] == key(row["n"])
        assert row["audio"] == record(row["n"])["audio"]
        np.testing.assert_array_equal(row["vector"], record(row["n"])["vector"])


def test_a_key_may_be_read_twice(cache: ShardCache) -> None:
    add(cache, 1, 2)
    assert [row["n"] for row in cache.read(keys(2, 1, 2, 2))] == [2, 1, 2, 2]


def test_columns_can_be_read_alone(cache: ShardCache) -> None:
    add(cache, 1)
    assert list(cache.read_columns(keys(1), ["n"])) == [{"n": 1}]


def test_missing_names_each_unknown_key_once(cache: ShardCache) -> None:
    add(cache, 1, 3)
    assert cache.missing(keys(4, 1, 2, 4, 3)) == keys(4, 2)
    with pytest.raises(MissingRowsError, match=key(2)):
        list(cache.read(keys(1, 2)))


def test_another_process_sees_what_was_written(tmp_path: Path, cache: ShardCache) -> None:
    other = ShardCache(tmp_path, "things", SCHEMA)
    add(cache, 1)
    assert other.missing(keys(1, 2)) == keys(2)
    assert [row["n"] for row in other.read(keys(1))] == [1]


def test_two_writers_of_the_same_key_do_no_harm(tmp_path: Path, cache: ShardCache) -> None:
    with cache.writer() as one, ShardCache(tmp_path, "things", SCHEMA).writer() as two:
        one.add(key(1), record(1))
        two.add(key(1), record(1))
        two.add(key(2), record(2))
    assert cache.missing(keys(1, 2)) == []
    assert [row["n"] for row in cache.read(keys(1, 2))] == [1, 2]


def test_lasting_failures_are_remembered_and_passing_ones_are_not(cache: ShardCache) -> None:
    with cache.writer() as writer:
        writer.fail(key(1), BrokenError("no good"))
        writer.fail(key(2), SlowError("took too long"))
    assert cache.missing(keys(1, 2)) == keys(2)
    assert cache.failures(keys(1, 2)) == {key(1): Failure("broken", "no good")}


def test_a_result_outweighs_a_failure(cache: ShardCache) -> None:
    with cache.writer() as writer:
        writer.fail(key(1), BrokenError("no good"))
    add(cache, 1)
    assert cache.failures(keys(1)) == {}


def test_an_error_in_the_run_seals_what_was_added(cache: ShardCache) -> None:
    def interrupted() -> None:
        with cache.writer() as writer:
            writer.add(key(1), record(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.missing(keys(1)) == []
    assert not list(cache.results.folder.glob("*.journal"))


def test_large_journals_become_shards_on_the_way(cache: ShardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mer.store.cache.SEAL_BYTES", 200_000)
    add(cache, *range(20))
    assert len(cache.results.paths) == 5
    assert cache.missing(keys(*range(20))) == []


def _write_and_die(root: Path) -> None:
    writer = ShardCache(root, "things", SCHEMA).writer().__enter__()
    for number in range(10):
        writer.add(key(number), record(number))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_loses_nothing_that_it_added(
    tmp_path: Path, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # so that the new process finds this module
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert cache.missing(keys(*range(11))) == keys(10)
    assert [row["n"] for row in cache.read(keys(*range(10)))] == list(range(10))
    assert not list(cache.results.folder.glob("*.journal"))


@pytest.mark.parametrize("cut", [1, 5, 40, 25_000, 50_100])
def test_a_torn_journal_gives_its_whole_rows(tmp_path: Path, cache: ShardCache, cut: int) -> None:
    pen = journal.Journal(tmp_path, cache.results.schema)
    for number in range(3):
        pen.append({**record(number), "key": key(number)})
    pen.close(remove=False)
    pen.path.write_bytes(pen.path.read_bytes()[:-cut])
    whole = [batch.to_pylist()[0]["n"] for batch in journal.read(pen.path)]
    assert whole == [0, 1]


def test_a_flipped_bit_in_a_journal_ends_it(tmp_path: Path, cache: ShardCache) -> None:
    pen = journal.Journal(tmp_path, cache.results.schema)
    for number in range(3):
        pen.append({**record(number), "key": key(number)})
    pen.close(remove=False)
    data = bytearray(pen.path.read_bytes())
    data[len(data) // 2] ^= 1
    pen.path.write_bytes(data)
    assert [batch.to_pylist()[0]["n"] for batch in journal.read(pen.path)] == [0]


def test_a_journal_in_use_is_left_alone(tmp_path: Path, cache: ShardCache) -> None:
    with cache.writer() as writer:
        writer.add(key(1), record(1))
        other = ShardCache(tmp_path, "things", SCHEMA)
        assert other.missing(keys(1)) == keys(1)
        assert list(other.results.folder.glob("*.journal"))
    assert other.missing(keys(1)) == []


def test_rows_of_another_schema_are_passed_over(tmp_path: Path, cache: ShardCache) -> None:
    add(cache, 1)
    older = ShardCache(tmp_path, "things", SCHEMA.remove(0))
    assert older.missing(keys(1)) == keys(1)
    pen = journal.Journal(cache.results.folder, cache.results.schema)
    pen.append({**record(2), "key": key(2)})
    pen.close(remove=False)
    assert older.missing(keys(2)) == keys(2)
    assert cache.missing(keys(1, 2)) == []


def _flip_in_data(path: Path, pattern: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(pattern) + 10] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found_on_reading_and_its_shard_set_aside(
    tmp_path: Path, cache: ShardCache, caplog: pytest.LogCaptureFixture
) -> None:
    add(cache, 1, 2)
    add(cache, 3)
    bad = next(path for path in shard_files(tmp_path) if record(1)["audio"] in path.read_bytes())
    _flip_in_data(bad, record(1)["audio"])
    with caplog.at_level(logging.WARNING), pytest.raises(CorruptShardError):
        list(cache.read(keys(1, 2, 3)))
    assert "corrupt" in caplog.text
    assert cache.missing(keys(1, 2, 3)) == keys(1, 2)
    assert bad.with_suffix(".corrupt").exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-200], lambda data: b"", lambda data: b"x" * len(data)])
def test_a_shard_that_does_not_open_is_set_aside(tmp_path: Path, cache: ShardCache, damage: Any) -> None:
    add(cache, 1)
    (path,) = shard_files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert ShardCache(tmp_path, "things", SCHEMA).missing(keys(1)) == keys(1)


def test_a_shard_removed_by_another_process_is_missing_not_an_error(tmp_path: Path, cache: ShardCache) -> None:
    add(cache, 1)
    shard_files(tmp_path)[0].unlink()
    with pytest.raises(MissingRowsError):
        list(cache.read(keys(1)))
    assert cache.missing(keys(1)) == keys(1)


def test_a_shard_that_is_not_finished_is_not_seen(
    tmp_path: Path, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> int:
        raise CorruptShardError("the disk lied")

    monkeypatch.setattr(shards, "validate", fail)
    with pytest.raises(CorruptShardError):
        cache.results.seal(iter([pa.RecordBatch.from_pylist([{**record(1), "key": key(1)}], cache.results.schema)]))
    assert list((tmp_path / "things").glob("*.parquet")) == []
    assert list((tmp_path / "things").glob(".*.tmp")) == []
