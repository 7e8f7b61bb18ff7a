"""Tables of predictions that can be gone on with: CSV, JSON lines and Parquet, a row a file.

CSV and JSON lines are written row by row, so that a killed run leaves what it did; a last row that was cut off counts
as not written. Parquet cannot be appended to: its rows wait in a file of JSON lines beside it, `<name>.part`.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from mer.errors import MerError
from mer.prediction.answer import Prediction, rounded, target_columns
from mer.prediction.forms import csv_line, csv_rows, json_lines
from mer.running.machine import explain

CSV, LINES, PARQUET = "csv", "jsonl", "parquet"
ENDINGS = {".csv": CSV, ".jsonl": LINES, ".ndjson": LINES, ".parquet": PARQUET}
PART = ".part"
"""Ends the name of the file in which rows wait for their table."""
NOT_OURS = "not a table that `mer predict` wrote with this bundle; name another --out"


class Columns:
    """The columns of a bundle's tables: `p_<class>`, `t_<target>` with the ends of its interval, whether each view is
    there, and what a row was made of.

    `transient` is true where the machine was at fault, or a limit met: such rows are done again. `bundle` says which
    bundle made the row.
    """

    def __init__(self, classes: Sequence[str], views: Sequence[str], bundle: str, targets: Sequence[str] = ()) -> None:
        self.classes, self.views, self.bundle, self.targets = tuple(classes), tuple(views), bundle, tuple(targets)
        self.names = (
            "path",
            "label",
            *(f"p_{name}" for name in classes),
            *target_columns({}, targets),
            *(f"has_{name}" for name in views),
            *("group", "transcript", "seconds", "error", "transient", "bundle"),
        )

    def row(self, prediction: Prediction) -> dict[str, Any]:
        """One row, None where there is nothing to say."""
        known = rounded(prediction.probabilities)
        row: dict[str, Any] = {"path": prediction.path, "label": prediction.label}
        row |= {f"p_{name}": known.get(name) for name in self.classes}
        row |= target_columns(prediction.targets, self.targets)
        row |= {f"has_{name}": prediction.modalities.get(name) for name in self.views}
        row |= {"group": prediction.group, "transcript": prediction.transcript or None}
        row |= {"seconds": round(prediction.seconds, 3), "error": prediction.error}
        return row | {"transient": prediction.transient, "bundle": self.bundle}


class Table:
    """A table at `path`, taken up where an earlier run left it.

    Raises:
        MerError: the ending names no format, what is there is no table of this bundle, or another run writes it.
    """

    def __init__(self, path: str | Path, columns: Columns) -> None:
        self.path = Path(path)
        self.columns = columns
        kind = ENDINGS.get(self.path.suffix.lower())
        if kind is None:
            raise MerError(f"--out {path}: the ending is none of {', '.join(ENDINGS)}")
        self.kind = kind
        self._growing = self.path if kind != PARQUET else self.path.with_name(self.path.name + PART)
        """The file that grows row by row."""
        self.rows: dict[str, str] = {}
        """The record of each path, as it stands in the growing file."""
        self.groups: dict[str, str | None] = {}
        """The group of each path that an earlier run left."""

    def __enter__(self) -> Self:
        try:
            self._lock = locked(self._growing)
            earlier = self._parquet_rows() if self.kind == PARQUET and self.path.exists() else []
            self.rows = {path: record for path, record in (*earlier, *self._records()) if record}
            self._write_all(self._growing)
        except OSError as error:
            raise MerError(f"--out {explain(error, self.path)}") from None
        except MerError:
            if self._growing != self.path and self._growing.exists() and not self._growing.stat().st_size:
                self._growing.unlink()
            raise
        self._file = self._growing.open("ab")
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
        self._lock.close()

    def add(self, prediction: Prediction) -> None:
        """Write the row of one file; it is on its way to the disk when this returns."""
        record = self._record(prediction)
        self.rows[prediction.path] = record
        self._file.write(record.encode())
        self._file.flush()

    def forget(self, paths: Iterable[str]) -> None:
        """Take rows out, to be written anew."""
        gone = set(paths)
        self.rows = {path: record for path, record in self.rows.items() if path not in gone}
        self._file.close()
        self._write_all(self._growing)
        self._file = self._growing.open("ab")

    def finish(self, order: Iterable[str]) -> None:
        """Put the rows of a run in the order of its files, those of earlier runs behind them."""
        wanted = {path: self.rows[path] for path in order if path in self.rows}
        wanted |= {path: record for path, record in self.rows.items() if path not in wanted}
        moved = list(wanted) != list(self.rows)
        self.rows = wanted
        if self.kind == PARQUET:
            self._write_parquet()
            self._growing.unlink()
        elif moved:
            self._write_all(self._growing)

    def _record(self, prediction: Prediction) -> str:
        if self.kind == CSV:
            return csv_line(["" if value is None else value for value in self.columns.row(prediction).values()])
        values = self.columns.row(prediction) if self.kind == PARQUET else self._nested(prediction)
        return json.dumps(values, ensure_ascii=False) + "\n"

    def _nested(self, prediction: Prediction) -> dict[str, Any]:
        more = {"transient": True} if prediction.transient else {}
        return prediction.as_dict() | more | {"bundle": self.columns.bundle}

    def _write_all(self, path: Path) -> None:
        head = csv_line(self.columns.names) if self.kind == CSV else ""
        new = path.with_name(f"{path.name}.new")
        new.write_bytes("".join([head, *self.rows.values()]).encode())
        lock = locked(new)
        os.replace(new, path)
        self._lock.close()
        self._lock = lock

    def _records(self) -> list[tuple[str, str]]:
        """Paths and records of the growing file; an empty record where a row is to be done again."""
        content = self._growing.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a last row that was cut off counts as not written
        try:
            text = whole.decode()
            return self._csv_records(text) if self.kind == CSV else self._line_records(text)
        except (ValueError, KeyError, TypeError, csv.Error):
            raise MerError(f"--out {self.path}: {NOT_OURS}") from None

    def _csv_records(self, text: str) -> list[tuple[str, str]]:
        rows = csv_rows(text)
        if not rows:
            return []
        names = list(self.columns.names)
        if rows[0] != names:
            raise ValueError("another header")
        if len(rows[-1]) != len(names):  # cut off inside a cell of several lines
            rows.pop()
        found = []
        for row in rows[1:]:
            values = dict(zip(names, row, strict=True))
            self._check(values["bundle"])
            self.groups[values["path"]] = values["group"] or None
            found.append((values["path"], "" if values["transient"] == "True" else csv_line(row)))
        return found

    def _line_records(self, text: str) -> list[tuple[str, str]]:
        found = []
        for line in json_lines(text):
            values = json.loads(line)
            self._check(values["bundle"])
            self.groups[str(values["path"])] = values.get("group")
            found.append((str(values["path"]), "" if values.get("transient") else line + "\n"))
        return found

    def _check(self, bundle: str) -> None:
        if bundle != self.columns.bundle:
            raise ValueError("rows of another bundle")

    def _parquet_rows(self) -> list[tuple[str, str]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(self.path).select(list(self.columns.names)).to_pylist()
            for row in rows:
                self._check(row["bundle"])
                self.groups[row["path"]] = row["group"]
        except (pa.ArrowException, KeyError, ValueError):
            raise MerError(f"--out {self.path}: {NOT_OURS}") from None
        return [(row["path"], "" if row["transient"] else json.dumps(row, ensure_ascii=False) + "\n") for row in rows]

    def _write_parquet(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {
            **{f"p_{name}": pa.float64() for name in self.columns.classes},
            **dict.fromkeys(target_columns({}, self.columns.targets), pa.float64()),
            **{f"has_{name}": pa.bool_() for name in self.columns.views},
            "seconds": pa.float64(),
            "transient": pa.bool_(),
        }
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in self.columns.names])
        new = self.path.with_name(f"{self.path.name}.new")
        pq.write_table(pa.Table.from_pylist([json.loads(row) for row in self.rows.values()], schema=schema), new)
        os.replace(new, self.path)


def locked(path: Path) -> io.BufferedRandom:
    """The file, open, made where it is missing, and nobody else's until it is closed."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise MerError(f"--out {path}: another run writes it") from None
    return file
