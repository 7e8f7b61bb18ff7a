"""Transcripts of a corpus: checked text first, and no clip is heard twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mer.encoders.asr.transcript import Transcript, Word
from mer.extraction import transcripts
from mer.extraction.media import Media
from mer.extraction.per_clip import Done
from mer.extraction.transcript_table import read_transcripts
from mer.extraction.transcripts import transcribe_corpus
from mer.media import encode
from mer.params import ComputeParams, TranscribeParams
from tests.extraction.making import make_media


class Counter:
    """Hears how long a clip is."""

    fingerprint = "counter"

    def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        return [Transcript(f"{len(waveform)} samples", (Word("samples", 0.0, 0.5),)) for waveform in batch]


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Media:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    sounds = {f: {"audio": encode.flac(np.full(1000 * n, 0.1, np.float32))} for n, f in ((1, "checked"), (2, "heard"))}
    return make_media(tmp_path, {**sounds, "mute": {}})


TEXTS = {"checked": " 你好 ", "heard": None, "mute": ""}


def transcribe(media: Media, **params: object) -> Done:
    return transcribe_corpus(
        TEXTS, media, TranscribeParams.model_validate(params), ComputeParams(workers=1), media.place
    )


def test_without_a_recogniser_the_corpus_text_is_all_there_is(media: Media, tmp_path: Path) -> None:
    transcribe(media)
    assert read_transcripts(tmp_path / "transcripts.parquet") == {"checked": "你好", "heard": "", "mute": ""}
    assert pq.read_table(tmp_path / "transcripts.parquet")["source"].to_pylist() == ["corpus", "none", "none"]


def test_a_recogniser_hears_only_clips_without_text_and_each_once(
    media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "load_transcriber", lambda params: Counter())
    first = transcribe(media, asr="whisper")
    table = pq.read_table(tmp_path / "transcripts.parquet")
    assert table["transcript"].to_pylist() == ["你好", "2000 samples", ""]
    assert table["source"].to_pylist() == ["corpus", "asr", "none"]
    assert table["words"].to_pylist()[1] == [{"text": "samples", "start": 0.0, "end": 0.5}]
    again = transcribe(media, asr="whisper")
    assert (first.computed, again.computed, again.cached) == (1, 0, 1)


def test_text_that_was_left_out_is_told(
    media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Doubting(Counter):
        def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
            return [Transcript("", left_out=2) for _ in batch]

    monkeypatch.setattr(transcripts, "load_transcriber", lambda params: Doubting())
    assert transcribe(media, asr="whisper").partial == {"made-up text": 1}
    assert "1 made-up text" in capsys.readouterr().out
    (row,) = pq.read_table(tmp_path / "quarantine" / "transcripts.parquet").to_pylist()
    assert (row["clip_id"], row["kind"]) == ("heard", "partial")
    assert "text of 2 windows was left out" in row["message"]
