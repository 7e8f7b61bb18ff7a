"""Rows as the bytes of a table, written at once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CRLF = "\r\n"


def csv_bytes(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    """A header and a line a row; `names` are those of a table without rows."""
    columns = _columns(rows) or list(names)
    lines = [csv_line(columns), *(csv_line(row.get(name) for name in columns) for row in rows)]
    return "".join(lines).encode()


def csv_line(cells: Iterable[Any]) -> str:
    """A row of CSV, which may span several lines. A carriage return is quoted as a line feed is: the writer quotes what
    its own line end holds alone, and no reader takes one that is bare."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=CRLF).writerow(cells)
    return file.getvalue().removesuffix(CRLF) + "\n"


def csv_rows(text: str) -> list[list[str]]:
    """The rows that `csv_line` wrote, of cells of any length.

    Raises:
        csv.Error: that is no CSV.
    """
    usual = csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        return list(csv.reader(io.StringIO(text, newline="")))
    finally:
        csv.field_size_limit(usual)


def json_lines(text: str) -> list[str]:
    """The lines of `line_bytes`. `str.splitlines` would part them at U+2028 and others, too, which a line may hold."""
    return text.split("\n")[:-1]


def line_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A line of JSON a row."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Columns of the types that the rows have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    names = _columns(rows)  # pyarrow looks at the first row alone
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), file)
    return file.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of all rows: one of which nothing could be predicted has no probabilities."""
    return list(dict.fromkeys(name for row in rows for name in row))
