"""`data/media`: decoded clips in the clip table's order, in a few Parquet files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.media.record import SCHEMA, MediaRecord
from mer.store.shards import open_writer, row_groups

SHARD_BYTES = 256 * 2**20
GROUP_BYTES = 4 * 2**20


def write_media(folder: str | Path, tables: Iterable[pa.Table]) -> None:
    """Write rows of `mer.media.record.SCHEMA` to `folder`, replacing it; the bytes depend on the rows alone."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    groups = _read_ahead(row_groups((batch for table in tables for batch in table.to_batches()), SCHEMA, GROUP_BYTES))
    writer, size, number = None, 0, 0
    try:
        for group in groups:
            if writer is None:
                writer = open_writer(folder / f"{number:05d}.parquet", SCHEMA)
            writer.write_table(group, row_group_size=group.num_rows)
            size += group.nbytes
            if size >= SHARD_BYTES:
                writer.close()
                writer, size, number = None, 0, number + 1
    finally:
        if writer is not None:
            writer.close()


def _read_ahead(groups: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same groups, the next being read while the caller writes one."""
    rest = iter(groups)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, rest, None)
        while (group := following.result()) is not None:
            following = reader.submit(next, rest, None)
            yield group


class MediaFolder:
    """Reads what `write_media` wrote.

    Raises:
        MerError: the folder is not there, or holds something else.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.paths = sorted(self.folder.glob("*.parquet"))
        if not self.folder.is_dir():
            raise MerError(f"{folder}: no such folder; run the decode stage first")
        for path in self.paths:
            if pq.read_schema(path).names != SCHEMA.names:
                raise MerError(f"{path}: not decoded media")

    @property
    def clip_ids(self) -> list[str]:
        """In the clip table's order; clips in quarantine are absent."""
        return list(self.index(["clip_id"])["clip_id"])

    def index(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of all clips, in order: ids, digests, durations."""
        if not self.paths:
            return SCHEMA.empty_table().select(columns).to_pandas()
        return ds.dataset(self.paths, schema=SCHEMA).to_table(columns=list(columns), use_threads=False).to_pandas()

    def iter_records(
        self, clip_ids: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[MediaRecord]:
        """Clips in stored order, one row group in memory at a time; all of them, or those named.

        `columns` says what to fetch; the other fields of a record are empty (None for audio).
        """
        wanted = None if clip_ids is None else pa.array(sorted(set(clip_ids)), pa.string())
        names = ["clip_id", *(name for name in columns or SCHEMA.names if name != "clip_id")]
        for path in self.paths:
            with pq.ParquetFile(path, page_checksum_verification=True) as shard:
                for number in range(shard.num_row_groups):
                    yield from _records(shard, number, names, wanted)


EMPTY: dict[str, Any] = {
    "audio": None,
    "frames": [],
    "timestamps": [],
    "duration": 0.0,
    "width": 0,
    "height": 0,
    "audio_sha256": "",
    "frames_sha256": "",
    "notes": (),
}
assert {field.name for field in fields(MediaRecord)} == {"clip_id", *EMPTY}


def _records(
    shard: pq.ParquetFile, number: int, names: Sequence[str], wanted: pa.Array | None
) -> Iterator[MediaRecord]:
    if wanted is None:
        group = shard.read_row_group(number, columns=list(names), use_threads=False)
    else:
        ids = shard.read_row_group(number, columns=["clip_id"], use_threads=False)["clip_id"]
        chosen = np.flatnonzero(pa.compute.is_in(ids, value_set=wanted).to_numpy())
        if not len(chosen):
            return
        group = shard.read_row_group(number, columns=list(names), use_threads=False).take(pa.array(chosen))
    for row in range(group.num_rows):
        values = {name: group[name][row].as_py() for name in group.column_names}
        yield MediaRecord(**{**EMPTY, **values})
