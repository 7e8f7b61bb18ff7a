"""The quarantine table: every clip that a stage could not use, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field(name, pa.string(), nullable=name == "sha256")
        for name in ("clip_id", "stage", "error", "message", "path", "sha256")
    ]
)


def write_quarantine(path: str | Path, rows: Iterable[Mapping[str, str | None]]) -> None:
    """Write rows with the columns of `SCHEMA`; no rows give an empty table. `sha256` is null for unreadable files."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    printable = [{name: _printable(row.get(name)) for name in SCHEMA.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(printable, schema=SCHEMA), path)


def _printable(text: str | None) -> str | None:
    """Names that are not valid Unicode on disk come as lone surrogates, which Parquet cannot hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
