"""The shard cache: what was computed for a clip, found again by key, whichever run computed it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from mer.errors import ClipError, MerError
from mer.running.machine import explain
from mer.store import journal
from mer.store.location import claim
from mer.store.shardset import ShardSet

SEAL_BYTES = 128 * 2**20
"""A journal that has grown to this size becomes a shard."""
FAILURES = pa.schema([pa.field("error", pa.string()), pa.field("message", pa.string())])


@dataclass(frozen=True)
class Failure:
    """Why a clip has no result: a stable name and a line for people."""

    error: str
    message: str

    @classmethod
    def of(cls, error: ClipError) -> Self:
        return cls(error.error, str(error))


class ShardCache:
    """Results of one kind, `root/name`, in append-only shards; and the clips that failed for good, not tried again.

    A row has the fields of `schema`. A key is a hex digest of everything that decides the row: see `mer.store.keys`.

    Raises:
        MerError: here and in every method: the machine's fault (no space, no permission), with the path and what to do.
    """

    def __init__(self, root: Path, name: str, schema: pa.Schema) -> None:
        claim(root)
        self.results = ShardSet(root / name, schema)
        self.known_failures = ShardSet(root / name / "failures", FAILURES)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """The keys, each once and in order, that have neither a result nor a remembered failure."""
        known = self.known()
        return [key for key in dict.fromkeys(keys) if key not in known]

    def results_missing(self, keys: Sequence[str]) -> list[str]:
        """The keys that have no result, whether or not they are known to fail."""
        self.results.refresh()
        return [key for key, here in zip(keys, self.results.has(keys), strict=True) if not here]

    def known(self) -> set[str]:
        """All keys with a result or a remembered failure."""
        self.results.refresh()
        self.known_failures.refresh()
        return self.results.keys() | self.known_failures.keys()

    def failures(self, keys: Sequence[str]) -> dict[str, Failure]:
        """Remembered failures among the keys."""
        has_result, has_failed = self.results.has(keys), self.known_failures.has(keys)
        failed = [key for key, ok, bad in zip(keys, has_result, has_failed, strict=True) if bad and not ok]
        rows = self.known_failures.rows(list(dict.fromkeys(failed)))
        return {row["key"]: Failure(row["error"], row["message"]) for row in rows}

    def writer(self) -> CacheWriter:
        """A context in which results are added; leaving it, by an error or Ctrl-C too, seals what was added."""
        return CacheWriter(self)

    def read(self, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows, `key` included, in the order of `keys`; see `ShardSet.tables` for what is raised."""
        return self.results.rows(keys)

    def read_columns(self, keys: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Like `read`, without fetching the other columns."""
        return self.results.rows(keys, columns)


class CacheWriter:
    """Adds rows to a `ShardCache`. Each is in a journal, safe from a kill, when `add` returns."""

    def __init__(self, cache: ShardCache) -> None:
        self._results = _Appender(cache.results)
        self._failures = _Appender(cache.known_failures)

    def add(self, key: str, record: dict[str, Any]) -> None:
        self._results.append({**record, "key": key})

    def fail(self, key: str, error: ClipError) -> None:
        """Remember that a clip failed, unless the fault may have been the machine's."""
        if not error.transient:
            failure = Failure.of(error)
            self._failures.append({"key": key, "error": failure.error, "message": failure.message})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self._results.seal()
        finally:
            self._failures.seal()


class _Appender:
    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards
        self.journal: journal.Journal | None = None

    def append(self, row: dict[str, Any]) -> None:
        try:
            if self.journal is None:
                self.journal = journal.Journal(self.shards.folder, self.shards.schema)
            self.journal.append(row)
        except OSError as error:
            raise MerError(explain(error, self.shards.folder)) from None
        if self.journal.size >= SEAL_BYTES:
            self.seal()

    def seal(self) -> None:
        """Make the journal a shard; where that fails (no space), the journal stays, and the next run seals it."""
        if self.journal is None:
            return
        sealed, self.journal = self.journal, None
        try:
            self.shards.seal(journal.read(sealed.path))
        except OSError as error:
            sealed.close(remove=False)
            raise MerError(explain(error, self.shards.folder)) from None
        except BaseException:
            sealed.close(remove=False)
            raise
        sealed.close(remove=True)
        self.shards.refresh()
