"""`data/transcripts.parquet`: one text a clip, and where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from mer.encoders.asr.transcript import SCHEMA as RECOGNISED
from mer.encoders.asr.transcript import Chosen
from mer.errors import MerError

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("transcript", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        RECOGNISED.field("words"),
    ]
)
"""`source` is corpus, asr or none; `words` has the times of recognised words where the model gives them."""


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


def read_words(path: str | Path, clip_ids: Sequence[str]) -> dict[str, list[tuple[str, float, float]]]:
    """Words with their start and end in seconds, of those of the clips asked for whose words' times are known.

    Raises:
        MerError: as `read_transcripts`.
    """
    try:
        table = pq.read_table(path, columns=["clip_id", "words"])
    except (OSError, pa.ArrowException) as error:
        raise MerError(f"{path}: not a table of transcripts: {error}") from None
    known = pa.compute.greater(pa.compute.list_value_length(table["words"]), 0)
    rows = {row["clip_id"]: row["words"] for row in table.filter(known).to_pylist()}
    return {
        clip_id: [(word["text"], word["start"], word["end"]) for word in rows[clip_id]]
        for clip_id in clip_ids
        if clip_id in rows
    }


def write_transcripts(path: str | Path, clip_ids: Sequence[str], chosen: Sequence[Chosen]) -> None:
    """Write a row of `SCHEMA` a clip, in order."""
    rows = [
        {
            "clip_id": clip_id,
            "transcript": of.text,
            "source": of.source,
            "words": [{"text": word.text, "start": word.start, "end": word.end} for word in of.words],
        }
        for clip_id, of in zip(clip_ids, chosen, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
