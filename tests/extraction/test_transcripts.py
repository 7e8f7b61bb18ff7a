"""Transcripts of a corpus: checked text first, and no clip is heard twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mer.clips import ClipTable
from mer.encoders.asr.transcript import Transcript, Word
from mer.extraction import transcripts
from mer.extraction.transcripts import read_transcripts, transcribe_corpus
from mer.media import encode
from mer.media.record import SCHEMA, content
from mer.params import ComputeParams, TranscribeParams
from mer.store.media import MediaFolder, write_media


class Counter:
    """Hears how long a clip is."""

    fingerprint = "counter"

    def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        return [Transcript(f"{len(waveform)} samples", (Word("samples", 0.0, 0.5),)) for waveform in batch]


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MediaFolder:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    rows = []
    for number, clip_id in enumerate(("checked", "heard"), start=1):
        audio = encode.flac(np.full(1000 * number, 0.1, np.float32))
        media = {"audio": audio, "frames": [], "timestamps": [], "duration": 1.0, "width": 0, "height": 0}
        rows.append({"clip_id": clip_id, **content(media)})
    write_media(tmp_path / "media", [pa.Table.from_pylist(rows, schema=SCHEMA)])
    return MediaFolder(tmp_path / "media")


CLIPS = ClipTable(
    pd.DataFrame({"clip_id": ["checked", "heard", "mute"], "transcript": [" 你好 ", None, ""]}), ("a", "b")
)


def transcribe(media: MediaFolder, out: Path, **params: object):
    return transcribe_corpus(CLIPS, media, TranscribeParams.model_validate(params), ComputeParams(workers=1), out)


def test_without_a_recogniser_the_corpus_text_is_all_there_is(media: MediaFolder, tmp_path: Path) -> None:
    transcribe(media, tmp_path / "out.parquet")
    assert read_transcripts(tmp_path / "out.parquet") == {"checked": "你好", "heard": "", "mute": ""}
    assert pq.read_table(tmp_path / "out.parquet")["source"].to_pylist() == ["corpus", "none", "none"]


def test_a_recogniser_hears_only_clips_without_text_and_each_once(
    media: MediaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "load_transcriber", lambda params: Counter())
    first = transcribe(media, tmp_path / "out.parquet", asr="whisper")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["transcript"].to_pylist() == ["你好", "2000 samples", ""]
    assert table["source"].to_pylist() == ["corpus", "asr", "none"]
    assert table["words"].to_pylist()[1] == [{"text": "samples", "start": 0.0, "end": 0.5}]
    again = transcribe(media, tmp_path / "out.parquet", asr="whisper")
    assert (first.done, again.done, again.cached) == (1, 0, 1)
