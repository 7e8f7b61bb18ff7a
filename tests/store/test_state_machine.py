"""Any sequence of writing, reading, dying, merging, pruning, checking and breaking leaves what a dict would hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mer.errors import ClipError
from mer.store import shards, upkeep
from mer.store.cache import CacheWriter, Failure, ShardCache
from mer.store.shards import CorruptShardError

SCHEMA = pa.schema([pa.field("audio", pa.binary()), pa.field("n", pa.int64())])
NUMBERS = st.integers(0, 30)


def key(number: int) -> str:
    return f"{number:064x}"


def row(number: int) -> dict[str, Any]:
    return {"audio": bytes([number]) * number * 50, "n": number}


class CacheAgainstADict(RuleBasedStateMachine):
    """`rows` and `failures` are what must be found; `open` what writers added and did not seal yet."""

    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.caches = [self._open() for _ in range(2)]
        self.rows: dict[str, dict[str, Any]] = {}
        self.failures: set[str] = set()
        self.open: dict[CacheWriter, tuple[dict[str, Any], set[str]]] = {}

    def _open(self) -> ShardCache:
        return ShardCache(self.root, "things", SCHEMA)

    @rule(target=writers, which=st.integers(0, 1))
    def begin(self, which: int) -> CacheWriter:
        writer = self.caches[which].writer().__enter__()
        self.open[writer] = ({}, set())
        return writer

    @rule(writer=writers, number=NUMBERS)
    def add(self, writer: CacheWriter, number: int) -> None:
        writer.add(key(number), row(number))
        self.open[writer][0][key(number)] = row(number)

    @rule(writer=writers, number=NUMBERS)
    def fail(self, writer: CacheWriter, number: int) -> None:
        writer.fail(key(number), ClipError("no good"))
        self.open[writer][1].add(key(number))

    @rule(writer=consumes(writers))
    def finish(self, writer: CacheWriter) -> None:
        writer.__exit__()
        self._sealed(writer)

    @rule(writer=consumes(writers), torn=st.integers(0, 3))
    def die(self, writer: CacheWriter, torn: int) -> None:
        """As kill -9 leaves it: journals without a lock, perhaps with half a frame at the end."""
        for appender in (writer._results, writer._failures):
            if appender.journal is not None:
                with open(appender.journal.path, "ab") as file:
                    file.write(b"\7" * torn * 9)
                appender.journal.close(remove=False)
        self._sealed(writer)

    def _sealed(self, writer: CacheWriter) -> None:
        rows, failures = self.open.pop(writer)
        self.rows |= rows
        self.failures |= failures

    @rule()
    def compact(self) -> None:
        list(upkeep.compact(self.root))

    @rule()
    def prune_what_is_old(self) -> None:
        list(upkeep.prune(self.root, days=1))

    @rule()
    def verify(self) -> None:
        assert all(fault is None for _, fault in upkeep.verify(self.root))

    @rule(data=st.data())
    def prune_one_shard(self, data: st.DataObject) -> None:
        """Its rows go, unless another shard has them, too."""
        cache = self._open()
        if cache.results.paths:
            path = data.draw(st.sampled_from(cache.results.paths))
            self._expect_to_lose(path, cache.results.paths)
            os.utime(path, (0, 0))
            list(upkeep.prune(self.root, days=1))
            assert not path.exists()

    @rule(data=st.data(), which=st.integers(0, 1), read_first=st.booleans())
    def break_one_shard(self, data: st.DataObject, which: int, read_first: bool) -> None:
        """Its rows are missed, by reading or by verification, and none is wrong."""
        cache = self._open()
        if not cache.results.paths:
            return
        path = data.draw(st.sampled_from(cache.results.paths))
        written = sorted(self.rows)
        self._expect_to_lose(path, cache.results.paths)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        if read_first:
            try:
                for found in self.caches[which].read(written):
                    assert found == {"key": found["key"], **row(found["n"])}
            except CorruptShardError:
                assert not path.exists()
        assert sum(fault is not None for _, fault in upkeep.verify(self.root)) <= 1
        assert not path.exists()

    def _expect_to_lose(self, path: Path, paths: Sequence[Path]) -> None:
        keys = {one: set(shards.open_shard(one).read(["key"])["key"].to_pylist()) for one in paths}
        for lost in keys.pop(path).difference(*keys.values()):
            self.rows.pop(lost, None)

    @invariant()
    def everything_is_found(self) -> None:
        for cache in self.caches:
            assert cache.known() >= self.rows.keys() | self.failures
            assert cache.results.keys() == self.rows.keys()
            keys = sorted(self.rows, reverse=True)
            assert list(cache.read(keys)) == [{"key": one, **self.rows[one]} for one in keys]
            failed = cache.failures([key(number) for number in range(31)])
            assert all(failure == Failure("clip_error", "no good") for failure in failed.values())
            assert self.failures - self.rows.keys() <= failed.keys()

    def teardown(self) -> None:
        for writer in list(self.open):
            writer.__exit__()
        shutil.rmtree(self.root)


TestCacheAgainstADict = CacheAgainstADict.TestCase
TestCacheAgainstADict.settings = settings(
    max_examples=int(os.environ.get("MER_STATE_MACHINES", "15")), stateful_step_count=30, deadline=None
)
