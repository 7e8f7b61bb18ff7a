"""Looking after the shard cache: what it holds, whether it is whole, what may go, and merging small shards.

Only what is provably ours is touched: in a folder that carries our mark (`mer.store.location`), in its sets of shards
(`mer.store.locks`), files under the names that shards and journals have, with a key and the bytes that the name says.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.running.machine import explain
from mer.store import shards
from mer.store.cache import SEAL_BYTES
from mer.store.location import require_cache
from mer.store.locks import compacting, is_set, removing
from mer.store.shards import UnreadableShardError
from mer.store.shardset import KEY, set_aside
from mer.store.sharing import may_remove

SMALL_BYTES = 64 * 2**20
"""Shards below this size are worth merging."""
LEFTOVER_SECONDS = 24 * 3600.0
"""A temporary file older than this belongs to no living writer."""
BROKEN = "its bytes are not those that were written"
ASIDE = re.compile(r"mer-[0-9a-f]{64}\.corrupt")
LEFTOVER = re.compile(r"\.mer-[0-9a-f]{32}(\.journal)?\.tmp")


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
    """The sets of shards in a cache.

    Raises:
        MerError: the folder is not a cache of ours, or cannot be read.
    """
    require_cache(root)
    try:
        upper = [path for path in root.iterdir() if path.is_dir()] if root.exists() else []
        return sorted(path for set_ in upper for path in (set_, set_ / "failures") if is_set(path))
    except OSError as error:
        raise MerError(explain(error, root)) from None


def usage(root: Path) -> Iterator[Usage]:
    for folder in shard_sets(root):
        paths = _shards(folder)
        sizes = [status for path in paths if (status := _status(path))]
        yield Usage(
            name=str(folder.relative_to(root)),
            shards=len(paths),
            rows=sum(_rows(path) for path in paths),
            bytes=sum(status.st_size for status in sizes),
            corrupt=len([path for path in folder.iterdir() if ASIDE.fullmatch(path.name)]),
            last_used=max((status.st_mtime for status in sizes), default=0.0),
        )


@dataclass(frozen=True)
class Fault:
    """Why a shard did not pass: its bytes are wrong, or the machine does not let us read them."""

    message: str
    corrupt: bool


def verify(root: Path) -> Iterator[tuple[Path, Fault | None]]:
    """Hold every shard against its checksum; yields each, with what is wrong with it.

    A corrupt one is set aside; one that the machine does not let us read stays where it is.
    """
    for folder in shard_sets(root):
        for path in _shards(folder):
            try:
                if shards.is_whole(path):
                    yield path, None
                    continue
            except FileNotFoundError:
                continue
            except UnreadableShardError as error:
                yield path, Fault(str(error).removeprefix(f"{path}: "), corrupt=False)
                continue
            if _is_foreign(path):
                continue
            set_aside(path, BROKEN)
            yield path, Fault(f"corrupt: {BROKEN}", corrupt=True)


def prune(root: Path, days: float) -> Iterator[tuple[Path, int]]:
    """Remove shards not used for `days`, shards set aside, and what dead writers left behind: yields path and bytes.

    Files of other users stay where the folder does not let us remove them.
    """
    for folder in shard_sets(root):
        for path in sorted(folder.iterdir()):
            if not may_remove(path):
                continue
            with suppress(FileNotFoundError):
                if shards.NAME.fullmatch(path.name) and not _is_foreign(path):
                    yield from _remove(path, days * 86_400)
                elif ASIDE.fullmatch(path.name):
                    yield from _remove(path, float("-inf"))
                elif LEFTOVER.fullmatch(path.name):
                    yield from _remove(path, LEFTOVER_SECONDS)


def _remove(path: Path, unused_seconds: float) -> Iterator[tuple[Path, int]]:
    """Remove a file that was not used for so long, looked at while nobody else can use it."""
    try:
        with removing(path.parent):
            status = path.stat()
            if time.time() - status.st_mtime < unused_seconds:
                return
            path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise MerError(explain(error, path)) from None
    yield path, status.st_size


def compact(root: Path) -> Iterator[tuple[Path, int, int]]:
    """Merge the small shards of each set, dropping repeated rows: yields folder, shards before and after.

    A corrupt shard is set aside. Shards that the folder does not let this user remove stay as they are.

    Raises:
        MerError: no space, or no permission.
    """
    for folder in shard_sets(root):
        try:
            with compacting(folder):
                before = _shards(folder)
                small = [path for path in before if may_remove(path) and _size(path) < SMALL_BYTES]
                for group in _of_one_schema(small):
                    _merge(folder, *group)
        except OSError as error:
            raise MerError(explain(error, folder)) from None
        yield folder, len(before), len(_shards(folder))


def _merge(folder: Path, schema: pa.Schema, small: Sequence[Path]) -> None:
    """Write the rows of `small` into as few shards as they fit in, then remove those of `small` that were read."""
    if len(small) < 2:
        return
    merged: set[Path] = set()
    read: list[Path] = []
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in _distinct_rows(small, read):
        held.append(batch)
        size += batch.nbytes
        if size >= SEAL_BYTES:
            merged.add(shards.write_shard(folder, schema, held))
            held, size = [], 0
    if held:
        merged.add(shards.write_shard(folder, schema, held))
    used = max((status.st_mtime for path in read if (status := _status(path))), default=time.time())
    for path in merged.difference(small):
        with suppress(OSError):
            os.utime(path, (used, used))  # merging is no use: what nobody reads still goes with the next pruning
    with removing(folder):
        for path in read:
            if path not in merged:
                path.unlink(missing_ok=True)


def _distinct_rows(paths: Sequence[Path], read: list[Path]) -> Iterator[pa.RecordBatch]:
    """Rows of the shards, each key once; `read` takes the shards whose rows were given whole."""
    seen: set[str] = set()
    for path in paths:
        try:
            batches = list(shards.iterate(path))
        except Exception as error:
            try:
                corrupt = shards.after_fault(path, error)
            except FileNotFoundError:  # pruned meanwhile
                continue
            set_aside(path, str(corrupt))
            continue
        read.append(path)
        for batch in batches:
            keys = batch.column("key").to_pylist()
            fresh = pa.array([key not in seen for key in keys], pa.bool_())
            seen.update(keys)
            yield batch if pc.all(fresh).as_py() else batch.filter(fresh)


def _of_one_schema(paths: Sequence[Path]) -> list[tuple[pa.Schema, list[Path]]]:
    """Shards grouped by schema: another version of mer may have left others. What cannot be read stays out."""
    groups: list[tuple[pa.Schema, list[Path]]] = []
    for path in paths:
        try:
            schema = pq.read_schema(path)
        except Exception:
            if (fault := _fault(path)) is not None:
                set_aside(path, fault)
            continue
        if not _has_key(schema):
            continue
        for known, members in groups:
            if known.equals(schema):
                members.append(path)
                break
        else:
            groups.append((schema, [path]))
    return groups


def _fault(path: Path) -> str | None:
    """Why a shard is corrupt; None where it is not, or is gone."""
    try:
        return None if shards.is_whole(path) else BROKEN
    except FileNotFoundError:
        return None


def _is_foreign(path: Path) -> bool:
    """Whether a file under a shard's name is a table that has not our key."""
    try:
        return not _has_key(pq.read_schema(path))
    except Exception:
        return False


def _has_key(schema: pa.Schema) -> bool:
    return len(schema) > 0 and schema.field(0).equals(KEY)


def _shards(folder: Path) -> list[Path]:
    try:
        return shards.names(folder)
    except OSError as error:
        raise MerError(explain(error, folder)) from None


def _status(path: Path) -> os.stat_result | None:
    """None for a file that went meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _size(path: Path) -> float:
    status = _status(path)
    return float("inf") if status is None else status.st_size


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0
