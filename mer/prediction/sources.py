"""Which files to predict: names, folders, patterns, lists in CSV, and standard input."""

from __future__ import annotations

import glob
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mer.errors import MerError
from mer.layouts.files import media_files
from mer.layouts.rows import Row, read_rows
from mer.prediction.source import Source
from mer.running.machine import explain

STDIN = "-"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PATTERN = re.compile(r"[*?\[]")
LIST = ".csv"
FILE = ("file", "path")
"""Names of the column that names a file."""
MOST_STDIN = 2 * 2**30
"""Bytes that are taken from standard input."""
CHUNK = 2**20


@contextmanager
def sources_of(
    names: Sequence[str], groups: str | Path | None = None, group: str | None = None
) -> Iterator[list[Source]]:
    """The files that names stand for, each once, in order.

    A name is that of a file; of a folder, whose media files at any depth are taken; a pattern such as `clips/**/*.mp4`;
    a CSV file with a column `file` (or `path`), and `group` and `transcript` where they are known; or `-` for the bytes
    of a file on standard input, which are kept in a temporary file meanwhile.

    Args:
        groups: a CSV file of the same columns, for files that are named otherwise.
        group: the group of all files that have no other.

    Raises:
        MerError: a name is a URL, a folder without media, a pattern without a match, or a list that is none; or a file
            is given two groups.
    """
    with tempfile.TemporaryDirectory(prefix="mer-") as folder:
        found: dict[str, Source] = {}
        for name in names:
            for source in _named(name, Path(folder)):
                first = found.setdefault(source.path, source)
                if first != source:
                    raise MerError(f"{source.path}: named twice, with another group or transcript")
        sources = list(found.values())
        if groups is not None:
            sources = _with_groups(sources, Path(groups))
        yield [one if one.group is not None or group is None else replace(one, group=group) for one in sources]


def _named(name: str, folder: Path) -> Iterator[Source]:
    if name == STDIN:
        yield Source(STDIN, str(_standard_input(folder)))
    elif URL.match(name):
        raise MerError(f"{name}: a URL; download the file and predict that")
    elif os.path.isdir(name):
        yield from _in_folder(name)
    elif name.lower().endswith(LIST):
        yield from _listed(Path(name))
    elif PATTERN.search(name) and not os.path.lexists(name):
        yield from _matching(name)
    else:
        yield Source(name, name)


def _in_folder(folder: str) -> Iterator[Source]:
    try:
        files = media_files(Path(folder), recursive=True)
    except MerError as error:
        raise MerError(str(error).replace("corpus.root", folder, 1)) from None
    if not files:
        raise MerError(f"{folder}: no media file in this folder, at any depth")
    for file in files:
        path = os.path.join(folder, file)
        yield Source(path, path)


def _matching(pattern: str) -> Iterator[Source]:
    found = sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))
    if not found:
        raise MerError(f"{pattern}: no file matches")
    for path in found:
        yield Source(path, path)


def _listed(file: Path) -> Iterator[Source]:
    """The rows of a list; a relative name is looked for beside the list, then from the working directory."""
    rows = read_rows(file)
    column = _file_column(rows.columns, file)
    if not rows.rows:
        raise MerError(f"{file}: no file in this list")
    for row in rows.rows:
        path = _written(row, column)
        yield Source(path, _located(path, file.parent), row["group"] or None, row["transcript"])


def _file_column(columns: Sequence[str], file: Path) -> str:
    for name in FILE:
        if name in columns:
            return name
    raise MerError(f"{file}: no column 'file' (found: {', '.join(columns)})")


def _written(row: Row, column: str) -> str:
    if not row[column]:
        raise row.error(f"empty '{column}'")
    if URL.match(row[column]):
        raise row.error(f"{row[column]}: a URL; download the file and name that")
    return row[column]


def _located(path: str, beside: Path) -> str:
    there = os.path.join(beside, path)
    return there if os.path.lexists(there) else path


def _with_groups(sources: Sequence[Source], file: Path) -> list[Source]:
    """Groups and transcripts of a list for sources that have none, matched by name or by where a file lies."""
    rows = read_rows(file)
    column = _file_column(rows.columns, file)
    by_place: dict[str, Row] = {}
    for row in rows.rows:
        for place in {_written(row, column), os.path.realpath(_located(_written(row, column), file.parent))}:
            first = by_place.setdefault(place, row)
            if (first["group"], first["transcript"]) != (row["group"], row["transcript"]):
                raise row.error(f"{row[column]}: has another group or transcript in line {first.line}")
    used = set()
    result = []
    for source in sources:
        row_of = _row_of(source, by_place)
        if row_of is None:
            result.append(source)
            continue
        used.add(row_of.line)
        text = source.transcript or row_of["transcript"]
        result.append(replace(source, group=source.group or row_of["group"] or None, transcript=text))
    unused = [row for row in rows.rows if row.line not in used]
    if rows.rows and len(unused) == len(rows.rows):
        raise MerError(f"{file}: names none of the files that are predicted; the first is '{rows.rows[0][column]}'")
    if unused:
        print(f"{file}: {len(unused)} of {len(rows.rows)} rows name no file that is predicted", file=sys.stderr)
    return result


def _row_of(source: Source, by_place: Mapping[str, Row]) -> Row | None:
    return by_place.get(source.path) or by_place.get(os.path.realpath(source.file))


def _standard_input(folder: Path) -> Path:
    if sys.stdin is None or sys.stdin.isatty():
        raise MerError("-: standard input is a terminal; pipe the bytes of a media file in")
    file = folder / "standard-input"
    left = MOST_STDIN
    try:
        with file.open("wb") as out:
            while part := sys.stdin.buffer.read(min(CHUNK, left + 1)):
                left -= len(part)
                if left < 0:
                    raise MerError(f"-: more than {MOST_STDIN // 2**30} GiB on standard input; name a file instead")
                out.write(part)
    except OSError as error:
        raise MerError(f"-: {explain(error)}") from None
    return file
