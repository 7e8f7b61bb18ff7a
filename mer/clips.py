"""The clip table: one row a clip, the same for every corpus layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError

SPLITS = ("labeled", "unlabeled", "test")

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("group", pa.string()),
        pa.field("transcript", pa.string()),
        pa.field("fold", pa.int32()),
    ]
)

TEST_LABELS = pa.schema(
    [pa.field("clip_id", pa.string(), nullable=False), pa.field("label", pa.string(), nullable=False)]
)


@dataclass(frozen=True)
class ClipTable:
    """Clips in corpus order and the class order of their labels.

    `rows` has the columns of `SCHEMA`; `path` is relative to `corpus.root`, `label` and `fold` are set for
    the labeled split only. Labels of the test split live in a table of their own, which only evaluation reads.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]


def check(rows: pd.DataFrame, classes: Sequence[str], *, source: str) -> None:
    """Raise `MerError` naming the first row of `rows` that breaks the clip table's rules."""
    if rows.empty:
        raise MerError(f"{source}: no clips found")
    repeated = rows["clip_id"][rows["clip_id"].duplicated()]
    if len(repeated):
        raise MerError(f"{source}: duplicate clip_id '{repeated.iloc[0]}'")
    for clip_id, split in zip(rows["clip_id"], rows["split"], strict=True):
        if split not in SPLITS:
            raise MerError(f"{source}: clip '{clip_id}': split '{split}' is none of {', '.join(SPLITS)}")
    known = rows[rows["label"].notna()]
    for clip_id, label in zip(known["clip_id"], known["label"], strict=True):
        if label not in classes:
            raise MerError(f"{source}: clip '{clip_id}': label '{label}' is none of {', '.join(classes)}")
    bare = rows[(rows["split"] == "labeled") & rows["label"].isna()]
    if len(bare):
        raise MerError(f"{source}: clip '{bare['clip_id'].iloc[0]}' is in the labeled split but has no label")


def write_clips(path: str | Path, table: ClipTable) -> None:
    """Write a clip table to Parquet; the class order travels in the file's metadata."""
    schema = SCHEMA.with_metadata({"classes": json.dumps(list(table.classes), ensure_ascii=False)})
    arrow = pa.Table.from_pandas(table.rows[SCHEMA.names], schema=SCHEMA, preserve_index=False)
    pq.write_table(arrow.cast(schema), path)


def read_clips(path: str | Path) -> ClipTable:
    """Read what `write_clips` wrote.

    Raises:
        MerError: the file is missing or is not a clip table.
    """
    try:
        arrow = pq.read_table(path)
        classes = tuple(json.loads((arrow.schema.metadata or {})[b"classes"]))
        rows = arrow.select(SCHEMA.names).to_pandas()
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise MerError(f"{path}: not a clip table: {error}") from None
    return ClipTable(rows, classes)


def write_test_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write the labels of the test split (`clip_id, label`; no rows where they are unknown) to Parquet."""
    pq.write_table(pa.Table.from_pandas(labels[TEST_LABELS.names], schema=TEST_LABELS, preserve_index=False), path)


def read_test_labels(path: str | Path) -> pd.DataFrame:
    """Read what `write_test_labels` wrote.

    Raises:
        MerError: the file is missing or is not a table of test labels.
    """
    try:
        return pq.read_table(path, columns=TEST_LABELS.names).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise MerError(f"{path}: not a table of test labels: {error}") from None
