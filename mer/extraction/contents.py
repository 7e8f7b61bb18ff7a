"""What the views of a modality are made from: a digest a clip, so that a view is made again only where that changed.

`data/contents/audio.parquet` has the digest of each clip's sound, `face.parquet` the key of its crops, `text.parquet`
that of its text and whether an encoder may be fitted on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.params import Modality

SCHEMA = pa.schema([pa.field("clip_id", pa.string(), nullable=False), pa.field("digest", pa.string())])
FITTED = pa.field("fitted", pa.bool_(), nullable=False)


def contents_path(data: Path, modality: Modality) -> Path:
    return data / "contents" / f"{modality}.parquet"


def write_contents(
    data: Path, modality: Modality, digests: Mapping[str, str | None], fitted: Sequence[bool] | None = None
) -> None:
    """Write a row a clip: its digest, null where it has nothing in this modality; of text, what may be `fitted` on."""
    path = contents_path(data, modality)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"clip_id": list(digests), "digest": list(digests.values())}
    if fitted is None:
        table = pa.Table.from_pydict(columns, schema=SCHEMA)
    else:
        table = pa.Table.from_pydict({**columns, "fitted": list(fitted)}, schema=SCHEMA.append(FITTED))
    pq.write_table(table, path)


def read_contents(data: Path, modality: Modality) -> dict[str, str | None]:
    """Digest by clip, in corpus order.

    Raises:
        MerError: the file is missing or is another table.
    """
    return _columns(contents_path(data, modality), SCHEMA)


def read_fitted(data: Path) -> list[str]:
    """The clips whose text an encoder may be fitted on: those of the labeled and unlabeled splits."""
    found = _columns(contents_path(data, "text"), pa.schema([SCHEMA.field("clip_id"), FITTED]))
    return [clip_id for clip_id, fitted in found.items() if fitted]


def _columns(path: Path, schema: pa.Schema) -> dict[str, str | None]:
    try:
        table = pq.read_table(path).select(schema.names).cast(schema)
    except FileNotFoundError:
        raise MerError(f"{path}: no such file; `dvc repro` makes it") from None
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise MerError(f"{path}: not a table of contents: {' '.join(str(error).split())}") from None
    keys, values = (table.column(name).to_pylist() for name in schema.names)
    return dict(zip(keys, values, strict=True))
