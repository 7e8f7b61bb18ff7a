"""What two processes do to each other at the worst moment: each test puts the second one's step right there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mer.store import journal, shards, shardset, upkeep
from mer.store.cache import ShardCache
from mer.store.shards import MissingRowsError
from mer.store.shardset import set_aside

SCHEMA = pa.schema([pa.field("audio", pa.binary())])
KEYS = [f"{number:064x}" for number in range(4)]


def open_cache(root: Path) -> ShardCache:
    return ShardCache(root, "things", SCHEMA)


def add(root: Path, *keys: str) -> None:
    with open_cache(root).writer() as writer:
        for key in keys:
            writer.add(key, {"audio": key.encode()})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four rows in two shards."""
    add(tmp_path, *KEYS[:2])
    add(tmp_path, *KEYS[2:])
    return tmp_path


def found(root: Path, keys: list[str] = KEYS) -> list[str]:
    return [row["key"] for row in open_cache(root).read(keys)]


def first(step: Callable[[], Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """A function before whose first call a step is taken."""
    taken: list[bool] = []

    def both(*arguments: Any, **named: Any) -> Any:
        if not taken:
            taken.append(True)
            step()
        return then(*arguments, **named)

    return both


@pytest.mark.parametrize("moment", ["create", "fcntl.flock", "os.write", "os.rename"])
def test_no_one_takes_a_journal_whose_writer_has_just_begun(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, other = open_cache(tmp_path), open_cache(tmp_path)
    place: Any = journal
    for part in moment.split(".")[:-1]:
        place = getattr(place, part)
    name = moment.rpartition(".")[2]
    with cache.writer() as writer:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, first(other.results.refresh, getattr(place, name)))
            writer.add(KEYS[0], {"audio": b"1"})
        other.results.refresh()
        writer.add(KEYS[1], {"audio": b"2"})
    assert found(tmp_path, KEYS[:2]) == KEYS[:2]


def test_rows_that_a_compaction_moved_are_still_read(root: Path) -> None:
    cache = open_cache(root)
    rows = cache.read(KEYS)
    seen = [next(rows)["key"]]
    list(upkeep.compact(root))
    assert seen + [row["key"] for row in rows] == KEYS
    list(upkeep.compact(root))
    assert [row["key"] for row in cache.read(KEYS[::-1])] == KEYS[::-1]


def test_no_name_goes_while_a_folder_is_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compaction = threading.Thread(target=lambda: list(upkeep.compact(root)))

    def begin() -> None:
        compaction.start()
        compaction.join(0.5)

    monkeypatch.setattr(shardset, "read_keys", first(begin, shardset.read_keys))
    cache = open_cache(root)
    compaction.join()
    assert len(cache.results) == 4
    assert [row["key"] for row in cache.read(KEYS)] == KEYS


def test_a_compaction_lets_others_read_and_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held for the swap, not for the merging, which may take minutes."""

    def meanwhile() -> None:
        worker = threading.Thread(target=lambda: (found(root), add(root, "f" * 64)))
        worker.start()
        worker.join(10)
        assert not worker.is_alive()

    monkeypatch.setattr(shards, "iterate", first(meanwhile, shards.iterate))
    list(upkeep.compact(root))
    assert found(root, [*KEYS, "f" * 64]) == [*KEYS, "f" * 64]


def test_what_is_pruned_under_a_compaction_is_no_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "iterate", first(lambda: list(upkeep.prune(root, days=0)), shards.iterate))
    assert [(before, after) for _, before, after in upkeep.compact(root)] == [(2, 0), (0, 0)]


def test_what_is_pruned_under_a_reader_is_missing(root: Path) -> None:
    cache = open_cache(root)
    list(upkeep.prune(root, days=0))
    with pytest.raises(MissingRowsError):
        list(cache.read(KEYS))
    assert cache.missing(KEYS) == KEYS


def test_a_shard_used_again_at_the_last_moment_is_not_pruned(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    cache = open_cache(root)
    for path in cache.results.paths:
        os.utime(path, (0, 0))
    monkeypatch.setattr(upkeep, "removing", first(lambda: list(cache.read(KEYS)), upkeep.removing))
    assert list(upkeep.prune(root, days=1)) == []
    assert found(root) == KEYS


def test_a_merged_shard_that_equals_one_of_its_parts_stays(tmp_path: Path) -> None:
    for number in range(8):  # names are checksums: some of these come before their part, some after
        key = f"{number:063x}"
        add(tmp_path / str(number), key + "0", key + "1")
        add(tmp_path / str(number), key + "0")
        list(upkeep.compact(tmp_path / str(number)))
        assert found(tmp_path / str(number), [key + "0", key + "1"]) == [key + "0", key + "1"]


def test_a_whole_shard_cannot_be_set_aside(root: Path) -> None:
    [path, _] = open_cache(root).results.paths
    assert set_aside(path, "someone says so")
    assert found(root) == KEYS


def test_two_runs_that_find_one_broken_shard_are_both_told_and_lose_no_other(root: Path) -> None:
    one, other = open_cache(root), open_cache(root)
    broken = one.results.paths[0]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    for cache in (one, other):
        with pytest.raises(MissingRowsError):
            list(cache.read(KEYS))
    lost = open_cache(root).missing(KEYS)
    add(root, *lost)  # the same rows: the same name again
    assert broken.read_bytes() == whole
    for cache in (one, other):
        assert cache.missing(KEYS) == []
        assert [row["key"] for row in cache.read(KEYS)] == KEYS


def test_merging_is_no_use(root: Path) -> None:
    import os

    for path in open_cache(root).results.paths:
        os.utime(path, (1000, 1000))
    list(upkeep.compact(root))
    [path] = open_cache(root).results.paths
    assert path.stat().st_mtime == 1000
