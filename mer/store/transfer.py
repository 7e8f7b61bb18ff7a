"""What a shard cache holds for a run, moved to another machine; and remembered failures, cleared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.running.machine import explain
from mer.store import shards
from mer.store.cache import FAILURES, ShardCache
from mer.store.locks import removing
from mer.store.manifest import Manifest
from mer.store.shardset import KEY, ShardSet


def export_rows(root: Path, manifest: Manifest, name: str, folder: Path) -> tuple[int, int]:
    """Write the rows of the set `name` that a manifest refers to as shards into `folder/name`.

    Returns:
        How many rows were written, and how many the cache lacks.

    Raises:
        MerError: the machine does not let us write there.
    """
    schemas = {path: pq.read_schema(path) for path in shards.names(root / name)} if (root / name).is_dir() else {}
    wanted = list(dict.fromkeys(key for key in manifest.keys.values() if key is not None))
    written = 0
    left = wanted
    for schema in _distinct(list(schemas.values())):
        ours = ShardSet(root / name, pa.schema([field for field in schema if field.name != KEY.name]))
        here = [key for key, known in zip(left, ours.has(left), strict=True) if known]
        if here:
            ShardSet(folder / name, pa.schema(list(ours.schema)[1:])).seal(_batches(ours, here))
            written += len(here)
            left = [key for key in left if key not in set(here)]
    return written, len(left)


def _batches(rows: ShardSet, keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for table in rows.tables(keys):
        yield from table.to_batches()


def _distinct(schemas: Sequence[pa.Schema]) -> list[pa.Schema]:
    distinct: list[pa.Schema] = []
    for schema in schemas:
        if not any(schema.equals(other) for other in distinct):
            distinct.append(schema)
    return distinct


def import_rows(root: Path, folder: Path) -> Iterator[tuple[str, int, int]]:
    """Take the rows that `export_rows` wrote into the cache, checksums and all: name of a set, rows new, rows known.

    Raises:
        MerError: `folder` holds no sets, or a shard in it is not what was written.
    """
    sets = sorted({path.parent for path in folder.glob("*/*") if shards.NAME.fullmatch(path.name)})
    if not sets:
        raise MerError(f"{folder}: holds nothing that `mer cache export` wrote")
    for place in sets:
        new = known = 0
        for path in shards.names(place):
            if not shards.is_whole(path):
                raise MerError(f"{path}: not what was written; copy it again")
            try:
                fresh, old = _take_in(root, place.name, path)
            except OSError as error:
                raise MerError(explain(error, root)) from None
            new, known = new + fresh, known + old
        yield place.name, new, known


def _take_in(root: Path, name: str, path: Path) -> tuple[int, int]:
    schema = pq.read_schema(path)
    cache = ShardCache(root, name, pa.schema([field for field in schema if field.name != KEY.name]))
    keys = pq.read_table(path, columns=[KEY.name])[KEY.name].to_pylist()
    fresh = set(cache.results_missing(keys))
    if fresh:
        cache.results.seal(_only(path, fresh))
    return len(fresh), len(keys) - len(fresh)


def _only(path: Path, keys: set[str]) -> Iterator[pa.RecordBatch]:
    for batch in shards.iterate(path):
        wanted = pa.array([key in keys for key in batch.column(KEY.name).to_pylist()], pa.bool_())
        yield batch.filter(wanted)


def forget(root: Path, name: str | None = None, error: str | None = None) -> Iterator[tuple[str, int]]:
    """Clear remembered failures, of one set or all, of one kind or all: name of the set, and how many.

    Raises:
        MerError: there is no such set, or the machine does not let us.
    """
    if name is not None and not (root / name).is_dir():
        raise MerError(f"{root}: the cache holds no '{name}'; `mer cache list` names what it holds")
    for folder in sorted(path for path in root.glob("*/failures") if name in (None, path.parent.name)):
        failures = ShardSet(folder, FAILURES)
        keys = sorted(failures.keys())
        rows = list(failures.rows(keys))
        kept = [row for row in rows if error is not None and row["error"] != error]
        if len(kept) < len(rows):
            paths = failures.paths
            if kept:
                failures.seal([pa.RecordBatch.from_pylist(kept, schema=failures.schema)])
            try:
                with removing(folder):
                    for path in paths:
                        path.unlink(missing_ok=True)
            except OSError as fault:
                raise MerError(explain(fault, folder)) from None
        yield folder.parent.name, len(rows) - len(kept)
