"""The transcribe stage: one text a clip, and a column that says where it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mer.clips import ClipTable
from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import SCHEMA as RECOGNISED
from mer.encoders.asr.transcript import Chosen, Transcript, from_record, merge_transcripts, to_record
from mer.errors import ClipError, MerError
from mer.extraction.features import Cached, Content, fill_corpus, for_device, load_audio, media_digests
from mer.media import encode
from mer.params import ComputeParams, TranscribeParams
from mer.store.fill import FillReport, fill_and_use
from mer.store.media import MediaFolder

BATCH_CLIPS = 16
SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("transcript", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        RECOGNISED.field("words"),
    ]
)
"""`source` is corpus, asr or none; `words` has the times of recognised words where the model gives them."""


@dataclass(frozen=True)
class TranscribeWorker:
    """Loads the recogniser, once a process, and turns FLAC bytes into rows of transcripts."""

    params: TranscribeParams

    def setup(self) -> Callable[[Sequence[bytes]], list[dict[str, Any] | ClipError]]:
        transcriber = load_transcriber(self.params)
        assert transcriber is not None
        return lambda batch: [to_record(text) for text in transcriber.transcribe(list(map(encode.waveform, batch)))]


def transcribe_corpus(
    clips: ClipTable, media: MediaFolder, params: TranscribeParams, compute: ComputeParams, out: Path
) -> FillReport:
    """Write a row of `SCHEMA` a clip, in order: the corpus' own text, else what ASR hears, else nothing.

    Raises:
        MerError: `transcribe.asr` is no recogniser.
    """
    own: list[str | None] = [text if isinstance(text, str) else None for text in clips.rows["transcript"]]
    transcriber = load_transcriber(params)
    if transcriber is None:
        _write(out, clips, merge_transcripts(own, [None] * len(own)))
        return FillReport(0, 0, {})
    wanting = [clip_id for clip_id, text in zip(clips.rows["clip_id"], own, strict=True) if not (text or "").strip()]

    def compute_missing() -> Cached:
        heard = media_digests(clips, media, "audio_sha256")
        content = Content({clip_id: heard[clip_id] for clip_id in wanting}, partial(load_audio, media))
        return fill_corpus(
            "transcripts",
            RECOGNISED,
            transcriber.fingerprint,
            content,
            TranscribeWorker(params),
            for_device(compute, params.device),
            batch_size=BATCH_CLIPS,
        )

    def materialise(cached: Cached) -> FillReport:
        rows = zip(cached.keys, cached.rows(), strict=True)
        heard: dict[str, Transcript] = {clip_id: from_record(row) for clip_id, row in rows if row is not None}
        _write(out, clips, merge_transcripts(own, [heard.get(clip_id) for clip_id in clips.rows["clip_id"]]))
        return cached.report

    return fill_and_use(compute_missing, materialise)


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


def _write(path: Path, clips: ClipTable, chosen: Sequence[Chosen]) -> None:
    rows = [
        {
            "clip_id": clip_id,
            "transcript": of.text,
            "source": of.source,
            "words": [{"text": word.text, "start": word.start, "end": word.end} for word in of.words],
        }
        for clip_id, of in zip(clips.rows["clip_id"], chosen, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
