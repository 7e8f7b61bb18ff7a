"""`mer cache`: listing, verifying, pruning and compacting change nothing that a run would notice."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mer.cache_cli import app
from mer.errors import ClipError
from mer.store import shards, upkeep
from mer.store.cache import ShardCache

SCHEMA = pa.schema([pa.field("audio", pa.binary())])
KEYS = [f"{number:064x}" for number in range(6)]


@pytest.fixture
def cache(tmp_path: Path) -> ShardCache:
    """Six rows in three shards, and a failure."""
    cache = ShardCache(tmp_path, "decode", SCHEMA)
    for first in (0, 2, 4):
        with cache.writer() as writer:
            for key in KEYS[first : first + 2]:
                writer.add(key, {"audio": key.encode() * 100})
    with cache.writer() as writer:
        writer.fail("f" * 64, ClipError("no good"))
    return cache


def mer_cache(root: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words, "--root", str(root)])
    return result.exit_code, result.output


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)


def test_list_tells_what_is_there(tmp_path: Path, cache: ShardCache) -> None:
    code, output = mer_cache(tmp_path, "list")
    assert code == 0
    decode, failures = output.splitlines()[1:]
    assert decode.split()[:5] == ["decode", "3", "shards", "6", "rows"]
    assert failures.split()[:5] == ["decode/failures", "1", "shards", "1", "rows"]


def test_list_of_no_cache_is_no_error(tmp_path: Path) -> None:
    assert mer_cache(tmp_path / "none", "list")[0] == 0


def test_verify_sets_a_corrupt_shard_aside(tmp_path: Path, cache: ShardCache) -> None:
    assert mer_cache(tmp_path, "verify") == (0, "0 corrupt shards\n")
    damage(cache.results.paths[0])
    code, output = mer_cache(tmp_path, "verify")
    assert code == 1
    assert str(cache.results.paths[0]) in output
    assert len(cache.missing(KEYS)) == 2
    assert mer_cache(tmp_path, "verify") == (0, "0 corrupt shards\n")


def test_prune_removes_what_was_not_used_for_long(tmp_path: Path, cache: ShardCache) -> None:
    long_ago = time.time() - 100 * 86_400
    for path in cache.results.paths:
        os.utime(path, (long_ago, long_ago))
    list(cache.read(KEYS[:2]))  # reading counts as use
    code, output = mer_cache(tmp_path, "prune", "--days", "90")
    assert (code, output.split(",")[0]) == (0, "removed 2 files")
    assert cache.missing(KEYS) == KEYS[2:]


def test_prune_keeps_the_temporary_files_of_living_writers(tmp_path: Path, cache: ShardCache) -> None:
    new, old = (shards.temporary_path(cache.results.folder) for _ in range(2))
    new.touch()
    old.touch()
    os.utime(old, (0, 0))
    mer_cache(tmp_path, "prune")
    assert new.exists()
    assert not old.exists()


def test_compaction_keeps_every_row_once(tmp_path: Path, cache: ShardCache) -> None:
    with ShardCache(tmp_path, "decode", SCHEMA).writer() as writer:
        writer.add(KEYS[0], {"audio": KEYS[0].encode() * 100})
    before = list(cache.read(KEYS))
    code, output = mer_cache(tmp_path, "compact")
    assert code == 0
    assert "decode: 4 -> 1 shards" in output
    fresh = ShardCache(tmp_path, "decode", SCHEMA)
    assert list(fresh.read(KEYS)) == before
    assert len(fresh.results) == len(KEYS)
    assert fresh.failures(["f" * 64])


def test_compaction_leaves_large_shards_alone(
    tmp_path: Path, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SMALL_BYTES", 10)
    paths = list(cache.results.paths)
    mer_cache(tmp_path, "compact")
    cache.results.refresh()
    assert cache.results.paths == paths


def test_compaction_cuts_at_the_size_of_a_shard(
    tmp_path: Path, cache: ShardCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SEAL_BYTES", 12_000)
    mer_cache(tmp_path, "compact")
    assert len(list(cache.results.folder.glob("*.parquet"))) == 3
    assert cache.missing(KEYS) == []
