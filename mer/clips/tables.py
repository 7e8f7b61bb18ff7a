"""The tables that ingest writes: rows in corpus order, one a clip, the same for every corpus layout.

Each stage reads the tables that it needs and no others. What decides a stage's result is then what its dependencies
say: media hang on `clips` alone, the text on `corpus_text`, the fitting of a text encoder and pretraining on `splits`
(and, where features are standardised within groups, `groups`), and labels and folds on nobody but self-training and
evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError

SPLITS = ("labeled", "unlabeled", "test")
CROPS = ("left", "right")
"""Halves of the picture that a clip can be cut to."""

ID = pa.field("clip_id", pa.string(), nullable=False)
SPLIT = pa.field("split", pa.string(), nullable=False)
CLIPS = pa.schema([ID, pa.field("path", pa.string(), nullable=False), pa.field("sha256", pa.string())])
"""`path` is relative to `corpus.root`; `sha256` is that of the file, null where it could not be read."""
PARTS = (
    (pa.field("start", pa.float64()), pa.field("end", pa.float64())),
    (pa.field("crop", pa.string()),),
    (pa.field("sound", pa.string()), pa.field("sound_sha256", pa.string())),
)
"""Columns of the clip table where a clip is less, or more, than one file; a corpus of whole files lacks them.

Those of one row come together. `start` and `end` in seconds from the file's beginning, for several clips in one file
(null: from its beginning, to its end); `crop` is one of `CROPS`, for two people side by side; `sound` is the path of
the file with the sound, where the video's own is not to be taken, and `sound_sha256` its digest.
"""
TEXTS = pa.schema([ID, pa.field("transcript", pa.string())])
"""The corpus' own transcripts; null where it has none."""
SPLIT_OF = pa.schema([ID, SPLIT])
GROUPS = pa.schema([ID, pa.field("group", pa.string())])
LABELS = pa.schema([ID, SPLIT, pa.field("label", pa.string()), pa.field("group", pa.string())])
"""`label` is set for the labeled split only. The order of the classes is in the metadata.

Where the corpus has them there are more columns, set for the labeled split only: `corpus_fold`, the fold's name in the
corpus' own split; `target_<name>`, float64, a number to be predicted (valence, say), null where it is unknown; and
`soft_<class>`, float64, of each class: a distribution over the classes, of which `label` is the largest; null in all
of them where a clip has none.
"""
CORPUS_FOLD = "corpus_fold"
TARGET, SOFT = "target_", "soft_"
"""What the names of columns of targets and soft labels begin with."""
TEST_LABELS = pa.schema([ID, pa.field("label", pa.string(), nullable=False)])
"""Beside them the columns of targets and soft labels, as in the table of labels; `label` may then be null."""
FOLDS = pa.schema([ID, pa.field("fold", pa.int32(), nullable=False)])
"""A row for each clip of the labeled split, and for the other clips of its groups."""
TRANSDUCTIVE = "transductive_clips"
"""In the `attrs` of a table of predictions, and of metrics: how many test clips self-training learned from, if any."""


LONGEST_CLASS = 200
"""Characters."""


@dataclass(frozen=True)
class ClipTable:
    """Clips in corpus order and the class order of their labels: what training and evaluation look at.

    `rows` has `clip_id, split, label, group`; where they were asked for, `fold`, `path` and `transcript`; and where the
    corpus has them `corpus_fold`, `target_<name>` and `soft_<class>` (see `LABELS`). `label` and these are set for
    the labeled split only, `fold` for the other clips of its groups, too. Labels of the test split live in a table of
    their own, which only evaluation reads.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that the corpus has, in the table's order: columns `target_<name>`."""
        return targets_of(self.rows)


def targets_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Names of the targets in a table of labels, or of test labels."""
    return tuple(name.removeprefix(TARGET) for name in rows.columns if str(name).startswith(TARGET))


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
    numbers = rows[[name for name in rows.columns if str(name).startswith(TARGET)]]
    bare = rows[(rows["split"] == "labeled") & rows["label"].isna() & numbers.isna().all(axis=1)]
    if len(bare):
        known_by = "label nor target" if numbers.shape[1] else "label"
        raise MerError(f"{source}: clip '{bare['clip_id'].iloc[0]}' is in the labeled split but has no {known_by}")


def write_clips(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, path, sha256`, and of `PARTS` what any clip has."""
    names = [name for name in rows.columns if rows[name].notna().any()]
    parts = [field for part in PARTS if any(field.name in names for field in part) for field in part]
    _write(path, rows, pa.schema([*CLIPS, *parts]))


def read_clips(path: str | Path) -> pd.DataFrame:
    """Read what `write_clips` wrote.

    Raises:
        MerError: the file is missing or is another table. So do the other readers here.
    """
    return _read(path, CLIPS, "a clip table", more=PARTS).to_pandas()


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
    """Write `clip_id, split, label, group` and what `LABELS` says of more; the class order goes into the metadata."""
    fold = [pa.field(CORPUS_FOLD, pa.string())] if CORPUS_FOLD in table.rows else []
    schema = pa.schema([*LABELS, *fold, *_numbers(table.rows.columns)])
    _write(path, table.rows, schema, classes=json.dumps(list(table.classes), ensure_ascii=False))


def read_labels(path: str | Path) -> ClipTable:
    """Labels of the labeled split; the clip table's `rows` have neither folds nor paths."""
    arrow = _read(path, LABELS, "a table of labels", more=((pa.field(CORPUS_FOLD, pa.string()),),), numbers=True)
    try:
        classes = tuple(json.loads((arrow.schema.metadata or {})[b"classes"]))
    except (KeyError, ValueError):
        raise MerError(f"{path}: not a table of labels: it does not name the classes") from None
    return ClipTable(arrow.to_pandas(), classes)


def write_test_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write the labels of the test split (`clip_id, label`, targets, soft labels; no rows where they are unknown)."""
    numbers = _numbers(labels.columns)
    label = TEST_LABELS.field("label").with_nullable(bool(numbers))
    _write(path, labels, pa.schema([ID, label, *numbers]))


def read_test_labels(path: str | Path) -> pd.DataFrame:
    """Read what `write_test_labels` wrote."""
    return _read(path, TEST_LABELS, "a table of test labels", numbers=True).to_pandas()


def write_folds(path: str | Path, rows: pd.DataFrame) -> None:
    """Write `clip_id, fold`."""
    _write(path, rows, FOLDS)


def read_folds(path: str | Path) -> pd.DataFrame:
    """Columns `clip_id, fold`: the labeled split, and the other clips of its groups."""
    return _read(path, FOLDS, "a table of folds").to_pandas()


def _write(path: str | Path, rows: pd.DataFrame, schema: pa.Schema, **about: str) -> None:
    arrow = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(about or None), path)


def _numbers(columns: Iterable[str]) -> list[pa.Field]:
    """Of these columns the targets and soft labels."""
    return [pa.field(name, pa.float64()) for name in columns if str(name).startswith((TARGET, SOFT))]


def _read(
    path: str | Path,
    schema: pa.Schema,
    what: str,
    *,
    more: Sequence[Sequence[pa.Field]] = (),
    numbers: bool = False,
) -> pa.Table:
    """Columns of `schema`, and the rows of `more` (and targets and soft labels, with `numbers`) that the file has.

    Whatever else it has is passed over: a later version may write more.
    """
    try:
        table = pq.read_table(path)
        have = set(table.column_names)
        found = [field for part in more if have.issuperset(one.name for one in part) for field in part]
        wanted = pa.schema([*schema, *found, *(_numbers(table.column_names) if numbers else [])])
        if numbers and "label" in wanted.names:
            at = wanted.get_field_index("label")
            wanted = wanted.set(at, wanted.field(at).with_nullable(True))
        return table.select(wanted.names).cast(wanted.with_metadata(table.schema.metadata))
    except FileNotFoundError:
        raise MerError(f"{path}: no such file; `dvc repro` makes it") from None
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise MerError(f"{path}: not {what}: {' '.join(str(error).split())}") from None
