"""A database in audformat (audEERING): a header and tables beside the media, read through the package of that name.

db.yaml (or header.yaml)     the header: tables, columns, splits
db.<table>.csv or .parquet   file, or file, start and end; a pickled copy of a table is never opened
<file>                       as the tables name it

The classes are in the column `emotion` (or `label`) of the tables that have it; where such tables belong to a split,
train and dev are labeled and test is test. Columns `speaker` and `transcription` (or `transcript`, `text`) of any table
give group and transcript, and a column of its name each target. Install `mer[audformat]`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mer.errors import MerError
from mer.layouts import emodb
from mer.layouts.base import Clip, Corpus, make_corpus
from mer.layouts.files import media_files, normalise, stem, stem_path
from mer.layouts.labels import Naming
from mer.layouts.notes import Notes
from mer.layouts.segments import overlapping
from mer.layouts.text import read_text
from mer.params import CorpusParams
from mer.running.foreign import foreign

HEADERS = ("db.yaml", "header.yaml")
LABELS, SPEAKERS, TEXTS = ("emotion", "label"), ("speaker",), ("transcription", "transcript", "text")
SPLITS = {"train": "labeled", "dev": "labeled", "test": "test"}
Key = tuple[str, float | None, float | None]
"""File, start and end."""


def read(params: CorpusParams, prefer: str) -> Corpus:
    """Read a database; there is one transcript a clip, so `prefer` has nothing to choose from.

    Raises:
        MerError: the package is missing, or the header, a table or a column.
    """
    root = Path(params.root)
    notes = Notes()
    header = find_header(root)
    if header is None:
        raise MerError(f"{root}: no {' or '.join(HEADERS)} with tables in it")
    tables = _tables(header)
    labels = list(_values(tables, LABELS, first=True))
    if not labels:
        columns = sorted({column for table in tables.values() for column in table["frame"].columns})
        raise MerError(f"{header}: no table has a column {' or '.join(LABELS)} (found: {', '.join(columns)})")
    speakers, texts = (dict(_by_key(_values(tables, names))) for names in (SPEAKERS, TEXTS))
    numbers = {name: dict(_by_key(_values(tables, (name,)))) for name in params.targets}
    files = {normalise(path): path for path in media_files(root, recursive=True)}
    clips = list(_clips(header, labels, files, notes))
    for clip in clips:
        key = (clip["path"], clip.get("start"), clip.get("end"))
        clip["group"] = _speaker(header, clip["path"], _find(speakers, key))
        clip["transcript"] = _text(_find(texts, key))
        clip["targets"] = {name: _number(_find(values, key), clip, name) for name, values in numbers.items()}
    for path in sorted(set(files.values()) - {clip["path"] for clip in clips}):
        notes.add("extra", path)
    for first, clip in overlapping(clips):
        notes.add("overlapping", f"{clip['clip_id']} with {first['clip_id']}")
    return make_corpus(clips, params, Naming(_classes(labels)), notes)


def find_header(root: Path) -> Path | None:
    """The header of the database in a folder; None where there is none."""
    for path in (root / name for name in HEADERS):
        if path.is_file() and isinstance(values := _yaml(path), dict) and (values.get("tables") or len(values) == 1):
            return path
    return None


def _yaml(path: Path) -> Any:
    # Not by audformat: its loader builds any Python object that the file names.
    with foreign(str(path)):
        return yaml.safe_load(read_text(path))


def _tables(header: Path) -> dict[str, dict[str, Any]]:
    """Each table's rows and split."""
    try:
        import audformat
    except ImportError:
        raise MerError("corpus.layout audformat needs the package audformat: pip install 'mer[audformat]'") from None
    with foreign(str(header)):
        database = audformat.Database.load_header_from_yaml(_yaml(header))
        order = [*database.misc_tables, *database.tables]  # schemes of the latter may name rows of the former
        for name in order:
            _load(database[name], header.with_name(f"{header.stem}.{name}"))
        return {
            name: {"frame": database[name].df, "split": _split_type(database, database[name])}
            for name in database.tables
        }


def _load(table: Any, path: Path) -> None:
    """Read a table's own file. Out of reach of the pickle that audformat puts beside it, and would rather open."""
    kinds = [ending for ending in (".parquet", ".csv") if Path(f"{path}{ending}").is_file()]
    if not kinds:
        pickled = "; its pickle is not opened" if Path(f"{path}.pkl").is_file() else ""
        raise MerError(f"{path}.csv: no such file, nor .parquet{pickled}: save the table as CSV")
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, path.name)
        os.symlink(Path(f"{path}{kinds[0]}").resolve(), f"{link}{kinds[0]}")
        with foreign(f"{path}{kinds[0]}"):
            table.load(str(link))


def _split_type(database: Any, table: Any) -> str | None:
    split = database.splits.get(table.split_id) if table.split_id else None
    kind = split.type if split is not None else table.split_id
    return kind if kind in SPLITS else None


def _values(
    tables: Mapping[str, Mapping[str, Any]], names: Iterable[str], *, first: bool = False
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Table's name, table and column, for each table that has a column of one of these names.

    Args:
        first: of the earliest of these names that any table has, alone.
    """
    for wanted in names:
        found = False
        for name, table in tables.items():
            for column in table["frame"].columns:
                if str(column).casefold() == wanted.casefold():
                    found = True
                    yield name, table, table["frame"][column]
        if found and first:
            return


def _by_key(found: Iterable[tuple[str, Mapping[str, Any], Any]]) -> Iterator[tuple[Key, Any]]:
    for _, _, column in found:
        for index, value in column.items():
            if not pd.isna(value):
                yield _key(index), value


def _key(index: Any) -> Key:
    """File, start and end of a row; None where the whole file is meant."""
    if not isinstance(index, tuple):
        return normalise(str(index)), None, None
    times: list[float | None] = [None if pd.isna(time) else time.total_seconds() for time in index[1:3]]
    start, end = times
    return normalise(str(index[0])), (start or None) if end is None else start, end


def _find(values: Mapping[Key, Any], key: Key) -> Any:
    """The value of a segment, or else of its file."""
    return values.get(key, values.get((key[0], None, None)))


def _clips(
    header: Path, labels: Iterable[tuple[str, Mapping[str, Any], Any]], files: Mapping[str, str], notes: Notes
) -> Iterator[Clip]:
    """A clip for each file or segment that has a label; its split is that of the table that has one."""
    found: dict[Key, Clip] = {}
    for name, table, column in labels:
        for index, value in column.items():
            if pd.isna(value):
                continue
            key = _key(index)
            where = f"{header.with_name(f'{header.stem}.{name}')}: {key[0]}"
            if (key[2] or float("inf")) <= (key[1] or 0.0):
                raise MerError(f"{where}: the segment ends at {key[2]:g} s, where it starts at {key[1] or 0:g} s")
            clip = found.setdefault(key, {"path": key[0], "split": "labeled", "label": str(value), "where": where})
            if clip["label"] != str(value):
                raise MerError(f"{where}: '{value}' here, '{clip['label']}' in {clip['where']}")
            if table["split"]:
                clip["split"] = SPLITS[table["split"]]
    stems = [stem(path) for path in dict.fromkeys(path for path, _, _ in found)]
    repeated = {name for name in stems if stems.count(name) > 1} if len(set(stems)) < len(stems) else set()
    for (path, start, end), clip in sorted(found.items(), key=lambda one: (one[0][0], one[0][1] or 0.0)):
        name = stem_path(path) if stem(path) in repeated else stem(path)
        times = "" if start is None and end is None else f"_{start or 0:.3f}-{'' if end is None else f'{end:.3f}'}"
        if path not in files:
            notes.add("missing", path)
            continue
        yield {**clip, "clip_id": name + times, "path": files[path], "start": start, "end": end}


def _classes(labels: Iterable[tuple[str, Mapping[str, Any], Any]]) -> tuple[str, ...] | None:
    """What the header allows as a label, of that what occurs; None where it allows anything."""
    columns = [column for _, _, column in labels]
    allowed = [list(column.cat.categories) for column in columns if isinstance(column.dtype, pd.CategoricalDtype)]
    if len(allowed) < len(columns):
        return None
    used = {str(value) for column in columns for value in column.dropna()}
    return tuple(name for name in dict.fromkeys(str(name) for of in allowed for name in of) if name in used)


def _speaker(header: Path, path: str, value: Any) -> str | None:
    """Who speaks. EmoDB's names say so with the zero that a number has lost."""
    by_name = emodb.speaker(stem(path))
    if by_name is not None and value is not None and str(value).lstrip("0") == by_name.lstrip("0"):
        return by_name
    return None if value is None else str(value)


def _text(value: Any) -> str | None:
    return None if value is None else normalise(str(value))


def _number(value: Any, clip: Clip, name: str) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise MerError(f"{clip['where']}: {name} '{value}' is not a number") from None
