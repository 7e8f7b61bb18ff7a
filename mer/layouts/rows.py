"""Read a CSV file into rows that remember their line, so that a message can name it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mer.errors import MerError
from mer.layouts.files import normalise
from mer.layouts.text import lines_of, read_text
from mer.running.foreign import said

DELIMITERS = (",", ";", "\t")
"""The first that the header has parts its cells: spreadsheets of countries with decimal commas write semicolons."""


@dataclass(frozen=True)
class Row:
    """One row of a CSV file: its cells by column, and where it stands. `folded` has the columns without capitals."""

    source: str
    line: int
    cells: Mapping[str, str]
    folded: Mapping[str, str] = field(default_factory=dict)
    decimal: str = "."

    def __getitem__(self, column: str) -> str:
        """The cell without surrounding blanks; empty where the file lacks the column."""
        found = self.cells.get(column)
        return self.cells.get(self.folded.get(column.casefold(), column), "") if found is None else found

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.source} line {self.line}"

    def error(self, message: str) -> MerError:
        """A `MerError` that names the file and the line."""
        return MerError(f"{self.where}: {said(ValueError(message))}")

    def number(self, column: str) -> float | None:
        """The number in a column; None where the cell is empty.

        Raises:
            MerError: it is none, or not finite.
        """
        text = self[column]
        if not text:
            return None
        try:
            value = float(text.replace(self.decimal, "."))
        except ValueError:
            raise self.error(f"{column} '{text}' is not a number") from None
        if not math.isfinite(value):
            raise self.error(f"{column} '{text}' is not a number; leave the cell empty where it is unknown")
        return value


@dataclass(frozen=True)
class Rows:
    """The rows of a CSV file and the columns it has."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def has(self, column: str) -> bool:
        """Whether the file has a column, capitals aside."""
        return column in self.columns or sum(name.casefold() == column.casefold() for name in self.columns) == 1

    def require(self, *columns: str) -> None:
        """Raise `MerError` naming the first of the columns that the file lacks."""
        for column in columns:
            if not self.has(column):
                raise MerError(f"{self.source}: no column '{column}' (found: {', '.join(self.columns)})")

    def by(self, *columns: str) -> dict[str, Row]:
        """Rows keyed by a column, or by several joined with '/'.

        Raises:
            MerError: a column is missing, or a cell in it is empty or repeats an earlier one.
        """
        self.require(*columns)
        keyed: dict[str, Row] = {}
        for row in self.rows:
            for column in columns:
                if not row[column]:
                    raise row.error(f"empty '{column}'")
            key = "/".join(row[column] for column in columns)
            if (first := keyed.setdefault(key, row)) is not row:
                raise row.error(f"duplicate {'/'.join(columns)} '{key}' (first in line {first.line})")
        return keyed


def read_rows(path: Path, *, rename: Mapping[str, str] | None = None, encoding: str = "utf-8") -> Rows:
    """Read a CSV file with any line ends; blank lines, and empty cells after the last column, are passed over.

    Cells are parted by commas, or by semicolons or tabs where the header has no comma.

    Args:
        rename: our name of a column -> its name in the file.
        encoding: of a file without a byte order mark.

    Raises:
        MerError: the file is missing or in another encoding, its header repeats a column or lacks a renamed one,
            or a row is longer or shorter than the header.
    """
    lines, decimal = _lines(path, read_text(path, encoding))
    if not lines:
        raise MerError(f"{path}: empty, a header is needed")
    header = lines[0][1]
    column_at = _columns(path, header, rename or {})
    folded = _folded(column_at)
    rows = []
    for line, cells in lines[1:]:
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        named = {name: cells[at] for name, at in column_at.items() if at < len(cells)}
        row = Row(str(path), line, named, folded, decimal)
        if len(cells) != len(header):
            raise row.error(f"{len(cells)} cells where the header has {len(header)}")
        rows.append(row)
    return Rows(str(path), tuple(column_at), tuple(rows))


def _lines(path: Path, text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Each record with the number of the line it starts in (a quoted cell may span several), and the decimal mark."""
    lines = []
    start = 1
    delimiter, text = _delimiter(text)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        for cells in reader:
            if any("\0" in cell for cell in cells):
                raise MerError(
                    f"{path} line {start}: a NUL byte in it; is it a text file? UTF-16 without a mark is read with "
                    "corpus.encoding: utf-16-le"
                )
            if any(cell.strip() for cell in cells):
                lines.append((start, [normalise(cell.strip()) for cell in cells]))
            start = reader.line_num + 1
    except csv.Error as error:
        raise MerError(f"{path} line {start}: not valid CSV: {error}") from None
    return lines, "." if delimiter == "," else ","


def _delimiter(text: str) -> tuple[str, str]:
    """What parts the cells, and the text with a blank line where a spreadsheet says so itself (`sep=;`)."""
    said = re.match(r"sep=([,;\t])(?=\r|\n)", text)
    if said:
        return said[1], text[said.end() :]
    header = next((line for line in lines_of(text[: 2**16]) if line.strip()), "")
    return next((mark for mark in DELIMITERS if mark in header), ","), text


def _columns(path: Path, header: Sequence[str], rename: Mapping[str, str]) -> dict[str, int]:
    column_at: dict[str, int] = {}
    for at, name in enumerate(header):
        if name and column_at.setdefault(name, at) != at:
            raise MerError(f"{path}: the header has column '{name}' twice")
    folded = _folded(column_at)
    renamed = {}
    for ours, theirs in rename.items():
        found = theirs if theirs in column_at else folded.get(theirs.casefold())
        if found is None:
            raise MerError(f"corpus.columns.{ours}: {path} has no column '{theirs}' (found: {', '.join(header)})")
        renamed[ours] = column_at[found]
    return column_at | renamed


def _folded(columns: Mapping[str, int]) -> dict[str, str]:
    """Columns without capitals -> as they are; those that only capitals tell apart are left out."""
    names = [name.casefold() for name in columns]
    return {fold: name for fold, name in zip(names, columns, strict=True) if names.count(fold) == 1}
