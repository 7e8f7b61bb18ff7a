"""The transcribe stage: one text a clip, and a column that says where it came from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mer.clips import ClipTable
from mer.errors import MerError

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("transcript", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)


def transcribe_corpus(clips: ClipTable) -> pd.DataFrame:
    """A row of `SCHEMA` a clip, in order: the corpus' own text (`source` corpus), else an empty one (`none`)."""
    texts = clips.rows["transcript"].fillna("").str.strip()
    source = texts.map(lambda text: "corpus" if text else "none")
    return pd.DataFrame({"clip_id": clips.rows["clip_id"], "transcript": texts, "source": source})


def write_transcripts(path: str | Path, transcripts: pd.DataFrame) -> None:
    """Write what `transcribe_corpus` gives to Parquet."""
    pq.write_table(pa.Table.from_pandas(transcripts, schema=SCHEMA, preserve_index=False), path)


def read_transcripts(path: str | Path) -> dict[str, str]:
    """Transcript of every clip; empty where there is none.

    Raises:
        MerError: the file is missing or is not a table of transcripts.
    """
    try:
        table = pq.read_table(path, columns=["clip_id", "transcript"])
    except (OSError, pa.ArrowException) as error:
        raise MerError(f"{path}: not a table of transcripts: {error}") from None
    return dict(zip(table["clip_id"].to_pylist(), table["transcript"].to_pylist(), strict=True))
