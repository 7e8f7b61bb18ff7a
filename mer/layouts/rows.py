"""Read a CSV file into rows that remember their line, so that a message can name it."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer.errors import MerError
from mer.foreign import said
from mer.layouts.files import normalise


@dataclass(frozen=True)
class Row:
    """One row of a CSV file: its cells by column, and where it stands."""

    source: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell without surrounding blanks; empty where the file lacks the column."""
        return self.cells.get(column, "")

    def error(self, message: str) -> MerError:
        """A `MerError` that names the file and the line."""
        return MerError(f"{self.source} line {self.line}: {said(ValueError(message))}")

    def label(self, column: str, classes: Sequence[str]) -> str:
        """The label in a column, which must be one of the classes."""
        if self[column] not in classes:
            raise self.error(f"label '{self[column]}' is none of {', '.join(classes)}")
        return self[column]


@dataclass(frozen=True)
class Rows:
    """The rows of a CSV file and the columns it has."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def require(self, *columns: str) -> None:
        """Raise `MerError` naming the first of the columns that the file lacks."""
        for column in columns:
            if column not in self.columns:
                raise MerError(f"{self.source}: no column '{column}' (found: {', '.join(self.columns)})")

    def by(self, column: str) -> dict[str, Row]:
        """Rows keyed by a column.

        Raises:
            MerError: the column is missing, or a cell in it is empty or repeats an earlier one.
        """
        self.require(column)
        keyed: dict[str, Row] = {}
        for row in self.rows:
            key = row[column]
            if not key:
                raise row.error(f"empty '{column}'")
            if (first := keyed.setdefault(key, row)) is not row:
                raise row.error(f"duplicate {column} '{key}' (first in line {first.line})")
        return keyed


def read_rows(path: Path, *, rename: Mapping[str, str] | None = None) -> Rows:
    """Read a CSV file in UTF-8, with or without a byte order mark, with any line ends; blank lines are passed over.

    Args:
        rename: our name of a column -> its name in the file.

    Raises:
        MerError: the file is missing or not UTF-8, its header repeats a column or lacks a renamed one,
            or a row is longer or shorter than the header.
    """
    lines = _lines(path)
    if not lines:
        raise MerError(f"{path}: empty, a header is needed")
    header = lines[0][1]
    column_at = _columns(path, header, rename or {})
    rows = []
    for line, cells in lines[1:]:
        row = Row(str(path), line, {name: cells[at] for name, at in column_at.items() if at < len(cells)})
        if len(cells) != len(header):
            raise row.error(f"{len(cells)} cells where the header has {len(header)}")
        rows.append(row)
    return Rows(str(path), tuple(column_at), tuple(rows))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Each record with the number of the line it starts in: a quoted cell may span several."""
    lines = []
    start = 1
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise MerError(f"{path}: not a file of rows")
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if any("\0" in cell for cell in cells):
                    raise MerError(f"{path} line {start}: a NUL byte in it; is it a text file?")
                if any(cell.strip() for cell in cells):
                    lines.append((start, [normalise(cell.strip()) for cell in cells]))
                start = reader.line_num + 1
    except UnicodeDecodeError:
        raise MerError(f"{path}: not UTF-8 (near line {start}); save it as UTF-8") from None
    except csv.Error as error:
        raise MerError(f"{path} line {start}: not valid CSV: {error}") from None
    except (OSError, ValueError) as error:
        raise MerError(f"{path}: {getattr(error, 'strerror', None) or said(error)}") from None
    return lines


def _columns(path: Path, header: Sequence[str], rename: Mapping[str, str]) -> dict[str, int]:
    column_at: dict[str, int] = {}
    for at, name in enumerate(header):
        if name and column_at.setdefault(name, at) != at:
            raise MerError(f"{path}: the header has column '{name}' twice")
    for ours, theirs in rename.items():
        if theirs not in header:
            raise MerError(f"corpus.columns.{ours}: {path} has no column '{theirs}' (found: {', '.join(header)})")
    return column_at | {ours: header.index(theirs) for ours, theirs in rename.items()}
