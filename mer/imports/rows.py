"""Numbers in CSV files, as openSMILE, OpenFace and spreadsheets write them: commas, semicolons or tabs between."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.names import IDS
from mer.imports.regular import check_regular
from mer.running.foreign import foreign, normalise

NO_FEATURES = {"", "unnamed: 0", "frame", "face_id", "timestamp", "time", "frametime", "start", "end"}
"""Columns that say which row it is, and when: written by OpenFace, openSMILE and pandas."""
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Numbers:
    """A table of numbers: `values` float64 [rows, columns], and the names of its rows where it has any."""

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    lines: tuple[int, ...]


def read_numbers(path: Path) -> NDArray[np.float64]:
    """Float64 [T, D]: the frames of one clip. Columns of `NO_FEATURES` and of names are left out.

    Raises:
        MerError: see `read_table`.
    """
    return read_table(path).values


def read_table(path: Path, id_column: str | None = None) -> Numbers:
    """A table with a header, or of numbers alone.

    Raises:
        MerError: a cell is no number or empty, or a row longer or shorter than the first; the line is named.
    """
    with foreign(str(path)):
        rows = list(_rows(path))
    if not rows:
        raise MerError(f"{path}: empty")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise MerError(f"{path} line {line}: {len(cells)} cells where the first has {width}")
    header = None if all(map(_is_number, rows[0][1])) else [name.strip() for name in rows[0][1]]
    body = rows if header is None else rows[1:]
    names = header or [str(number) for number in range(width)]
    id_at = _id_column(path, names, id_column)
    kept = [at for at, name in enumerate(names) if at != id_at and name.lower() not in (*NO_FEATURES, *IDS)]
    if not kept:
        raise MerError(f"{path}: no columns of numbers (found: {', '.join(names)[:200]})")
    values = np.empty((len(body), len(kept)))
    for number, (line, cells) in enumerate(body):
        try:
            values[number] = [float(cells[at]) for at in kept]
        except ValueError:
            at = next(at for at in kept if not _is_number(cells[at]))
            raise MerError(f"{path} line {line}: '{cells[at][:40]}' in column '{names[at]}' is no number") from None
    ids = () if id_at is None else tuple(normalise(cells[id_at].strip()) for _, cells in body)
    return Numbers(values, tuple(names[at] for at in kept), ids, tuple(line for line, _ in body))


def _id_column(path: Path, names: Sequence[str], wanted: str | None) -> int | None:
    if wanted is not None:
        if wanted not in names:
            raise MerError(f"{path}: no column '{wanted}' (found: {', '.join(names)[:200]})")
        return list(names).index(wanted)
    return next((at for id_name in IDS for at, name in enumerate(names) if name.lower() == id_name), None)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    check_regular(path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
