"""The quarantine table: every clip that a stage could not use, or could use in part only, and why.

Each stage writes its part into one folder; together they are one table (`pd.read_parquet("data/quarantine")`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError

NULLABLE = ("sha256",)
SCHEMA = pa.schema(
    [
        pa.field(name, pa.string(), nullable=name in NULLABLE)
        for name in ("clip_id", "stage", "kind", "error", "message", "path", "sha256")
    ]
)
"""`kind` is `failed` where the clip has no result, `partial` where it has one that lacks something."""


def write_quarantine(path: str | Path, rows: Iterable[Mapping[str, str | None]]) -> None:
    """Write rows with the columns of `SCHEMA`; no rows give an empty table. `sha256` is null for unreadable files."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    printable = [{name: _printable(row.get(name)) for name in SCHEMA.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(printable, schema=SCHEMA), path)


def read_quarantine(folder: str | Path) -> pd.DataFrame:
    """The rows of all stages, in the order of the stages' names.

    Raises:
        MerError: a part is no quarantine table.
    """
    parts = []
    for path in sorted(Path(folder).glob("*.parquet")):
        try:
            parts.append(pq.read_table(path).select(SCHEMA.names).cast(SCHEMA))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise MerError(f"{path}: not a quarantine table: {error}") from None
    return pa.concat_tables([SCHEMA.empty_table(), *parts]).to_pandas()


def _printable(text: str | None) -> str | None:
    """Names that are not valid Unicode on disk come as lone surrogates, which Parquet cannot hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
