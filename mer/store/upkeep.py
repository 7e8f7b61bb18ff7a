"""Looking after the shard cache: what it holds, whether it is whole, what may go, and merging small shards."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.store import shards
from mer.store.cache import SEAL_BYTES
from mer.store.shards import CorruptShardError
from mer.store.shardset import set_aside

SMALL_BYTES = 64 * 2**20
"""Shards below this size are worth merging."""
LEFTOVER_SECONDS = 24 * 3600.0
"""A temporary file older than this belongs to no living writer."""


@dataclass(frozen=True)
class Usage:
    """One set of shards: its name, what it holds, and when it was last used (seconds since 1970)."""

    name: str
    shards: int
    rows: int
    bytes: int
    corrupt: int
    last_used: float


def shard_sets(root: Path) -> list[Path]:
    """Folders under `root` that hold shards, or shards set aside."""
    if not root.is_dir():
        return []
    return sorted({path.parent for suffix in ("parquet", "corrupt") for path in root.rglob(f"*.{suffix}")})


def usage(root: Path) -> Iterator[Usage]:
    for folder in shard_sets(root):
        paths = _shards(folder)
        rows = sum(_rows(path) for path in paths)
        sizes = [path.stat() for path in paths]
        yield Usage(
            name=str(folder.relative_to(root)),
            shards=len(paths),
            rows=rows,
            bytes=sum(status.st_size for status in sizes),
            corrupt=len(list(folder.glob("*.corrupt"))),
            last_used=max((status.st_mtime for status in sizes), default=0.0),
        )


def verify(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Read every shard, checksums included; a corrupt one is set aside, and comes with the reason."""
    for folder in shard_sets(root):
        for path in _shards(folder):
            try:
                shards.validate(path)
            except CorruptShardError as error:
                set_aside(path, str(error))
                yield path, str(error)
            else:
                yield path, None


def prune(root: Path, days: float) -> Iterator[Path]:
    """Remove shards not used for `days`, shards set aside, and what dead writers left behind."""
    now = time.time()
    for folder in shard_sets(root):
        unused = [path for path in _shards(folder) if now - path.stat().st_mtime >= days * 86_400]
        leftovers = [path for path in folder.glob(".*.tmp") if now - path.stat().st_mtime > LEFTOVER_SECONDS]
        for path in [*unused, *folder.glob("*.corrupt"), *leftovers]:
            yield path
            path.unlink(missing_ok=True)


def compact(root: Path) -> Iterator[tuple[Path, int, int]]:
    """Merge the small shards of each set, dropping repeated rows: yields folder, shards before and after.

    Raises:
        MerError: a shard is corrupt.
    """
    for folder in shard_sets(root):
        with _alone(folder):
            before = _shards(folder)
            try:
                for small in _of_one_schema([path for path in before if path.stat().st_size < SMALL_BYTES]):
                    _merge(folder, small)
            except (OSError, pa.ArrowException) as error:
                raise MerError(f"{folder}: {error}; run `mer cache verify` first") from None
            yield folder, len(before), len(_shards(folder))


def _merge(folder: Path, small: list[Path]) -> None:
    """Write the rows of `small` into as few shards as they fit in, then remove `small`."""
    if len(small) < 2:
        return
    schema = pq.read_schema(small[0])
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in _distinct_rows(small):
        held.append(batch)
        size += batch.nbytes
        if size >= SEAL_BYTES:
            shards.write_shard(shards.new_path(folder), schema, held)
            held, size = [], 0
    if held:
        shards.write_shard(shards.new_path(folder), schema, held)
    for path in small:
        path.unlink()


def _distinct_rows(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    seen: set[str] = set()
    for path in paths:
        with pq.ParquetFile(path, page_checksum_verification=True) as shard:
            for batch in shard.iter_batches():
                keys = batch.column("key").to_pylist()
                fresh = pa.array([key not in seen for key in keys], pa.bool_())
                seen.update(keys)
                yield batch if pc.all(fresh).as_py() else batch.filter(fresh)


def _of_one_schema(paths: list[Path]) -> list[list[Path]]:
    """Shards grouped by schema: another version of mer may have left others."""
    groups: list[tuple[pa.Schema, list[Path]]] = []
    for path in paths:
        schema = pq.read_schema(path)
        for known, members in groups:
            if known.equals(schema):
                members.append(path)
                break
        else:
            groups.append((schema, [path]))
    return [members for _, members in groups]


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"[!.]*{shards.SUFFIX}"))


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One compaction of a set at a time, across processes."""
    with open(folder / ".compact.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
