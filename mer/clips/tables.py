"""The tables that ingest writes: rows in corpus order, one a clip, the same for every corpus layout.

Each stage reads the tables that it needs and no others. What decides a stage's result is then what its dependencies
say: media hang on `clips` alone, the text on `corpus_text`, the fitting of a text encoder and pretraining on `splits`
(and, where features are standardised within groups, `groups`), and labels and folds on nobody but self-training and
evaluation.
"""

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

ID = pa.field("clip_id", pa.string(), nullable=False)
SPLIT = pa.field("split", pa.string(), nullable=False)
CLIPS = pa.schema([ID, pa.field("path", pa.string(), nullable=False), pa.field("sha256", pa.string())])
"""`path` is relative to `corpus.root`; `sha256` is that of the file, null where it could not be read."""
TEXTS = pa.schema([ID, pa.field("transcript", pa.string())])
"""The corpus' own transcripts; null where it has none."""
SPLIT_OF = pa.schema([ID, SPLIT])
GROUPS = pa.schema([ID, pa.field("group", pa.string())])
LABELS = pa.schema([ID, SPLIT, pa.field("label", pa.string()), pa.field("group", pa.string())])
"""`label` is set for the labeled split only. The order of the classes is in the metadata."""
TEST_LABELS = pa.schema([ID, pa.field("label", pa.string(), nullable=False)])
FOLDS = pa.schema([ID, pa.field("fold", pa.int32(), nullable=False)])
"""A row for each clip of the labeled split."""


LONGEST_CLASS = 200
"""Characters."""


@dataclass(frozen=True)
class ClipTable:
    """Clips in corpus order and the class order of their labels: what training and evaluation look at.

    `rows` has `clip_id, split, label, group`; and, where they were asked for, `fold`, `path` and `transcript`. `label`
    and `fold` are set for the labeled split only. Labels of the test split live in a table of their own, which only
    evaluation reads.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]


def check(rows: pd.DataFrame, classes: Sequence[str], *, source: str) -> None:
    """Raise `MerError` naming the first row of `rows` that breaks the rules of clips and labels."""
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
    for name in sorted({*known["label"], *classes}):
        if not name.isprintable() or len(name) > LONGEST_CLASS:
            raise MerError(f"{source}: {name[:LONGEST_CLASS]!r} is no name for a class: too long, or not printable")
    bare = rows[(rows["split"] == "labeled") & rows["label"].isna()]
    if len(bare):
        raise MerError(f"{source}: clip '{bare['clip_id'].iloc[0]}' is in the labeled split but has no label")


def write_clips(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, path, sha256`."""
    _write(path, rows, CLIPS)


def read_clips(path: str | Path) -> pd.DataFrame:
    """Read what `write_clips` wrote.

    Raises:
        MerError: the file is missing or is another table. So do the other readers here.
    """
    return _read(path, CLIPS, "a clip table").to_pandas()


def write_texts(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, transcript`."""
    _write(path, rows, TEXTS)


def read_texts(path: str | Path) -> dict[str, str | None]:
    """The corpus' own transcript of every clip, in corpus order; None where it has none."""
    table = _read(path, TEXTS, "a table of the corpus' text")
    return dict(zip(table["clip_id"].to_pylist(), table["transcript"].to_pylist(), strict=True))


def write_splits(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, split`."""
    _write(path, rows, SPLIT_OF)


def read_splits(path: str | Path) -> pd.DataFrame:
    """Columns `clip_id, split`."""
    return _read(path, SPLIT_OF, "a table of splits").to_pandas()


def write_groups(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, group`."""
    _write(path, rows, GROUPS)


def read_groups(path: str | Path) -> pd.DataFrame:
    """Columns `clip_id, group`; null where the group is unknown."""
    return _read(path, GROUPS, "a table of groups").to_pandas()


def write_labels(path: str | Path, table: ClipTable) -> None:
    """Write `clip_id, split, label, group`; the class order travels in the file's metadata."""
    _write(path, table.rows, LABELS, classes=json.dumps(list(table.classes), ensure_ascii=False))


def read_labels(path: str | Path) -> ClipTable:
    """Labels of the labeled split; the clip table's `rows` have neither folds nor paths."""
    arrow = _read(path, LABELS, "a table of labels")
    try:
        classes = tuple(json.loads((arrow.schema.metadata or {})[b"classes"]))
    except (KeyError, ValueError):
        raise MerError(f"{path}: not a table of labels: it does not name the classes") from None
    return ClipTable(arrow.to_pandas(), classes)


def write_test_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write the labels of the test split (`clip_id, label`; no rows where they are unknown)."""
    _write(path, labels, TEST_LABELS)


def read_test_labels(path: str | Path) -> pd.DataFrame:
    """Read what `write_test_labels` wrote."""
    return _read(path, TEST_LABELS, "a table of test labels").to_pandas()


def write_folds(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, fold`."""
    _write(path, rows, FOLDS)


def read_folds(path: str | Path) -> pd.DataFrame:
    """Columns `clip_id, fold`, a row for each clip of the labeled split."""
    return _read(path, FOLDS, "a table of folds").to_pandas()


def _write(path: str | Path, rows: pd.DataFrame, schema: pa.Schema, **about: str) -> None:
    arrow = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(about or None), path)


def _read(path: str | Path, schema: pa.Schema, what: str) -> pa.Table:
    """Columns of `schema`. Whatever else the file has is passed over: a later version may write more."""
    try:
        table = pq.read_table(path)
        return table.select(schema.names).cast(schema.with_metadata(table.schema.metadata))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise MerError(f"{path}: not {what}: {' '.join(str(error).split())}") from None
