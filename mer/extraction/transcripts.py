"""The transcribe stage: one text a clip, and a column that says where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import SCHEMA as RECOGNISED
from mer.encoders.asr.transcript import Transcript, about_left_out, from_record, merge_transcripts, to_record
from mer.errors import ClipError
from mer.extraction.contents import write_contents
from mer.extraction.features import for_device
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.settings import deciding
from mer.extraction.transcript_table import write_transcripts
from mer.media import encode
from mer.params import ComputeParams, TranscribeParams
from mer.store.keys import digest
from mer.store.manifest import Made

NAME = "transcripts"
STAGE = "transcribe"
NO_RECOGNISER = "none"
"""Fingerprint where the corpus' own text is all there is."""
BATCH_CLIPS = 16


@dataclass(frozen=True)
class TranscribeWorker:
    """Loads the recogniser, once a process, and turns FLAC bytes into rows of transcripts."""

    params: TranscribeParams

    def setup(self) -> Callable[[Sequence[bytes]], list[dict[str, Any] | ClipError]]:
        transcriber = load_transcriber(self.params)
        assert transcriber is not None
        return lambda batch: [to_record(text) for text in transcriber.transcribe(list(map(encode.waveform, batch)))]


def transcribe_corpus(
    texts: Mapping[str, str | None],
    media: Media,
    params: TranscribeParams,
    compute: ComputeParams,
    place: Place,
    test: Set[str] = frozenset(),
) -> Done:
    """Write `transcripts.parquet`, a row of `SCHEMA` a clip: the corpus' own text, else what ASR hears, else nothing;
    and what the views of text are made from.

    Args:
        texts: the corpus' own transcript of every clip, None or empty where it has none.
        test: clips of the test split, on whose text no encoder is fitted.

    Raises:
        MerError: `transcribe.asr` is no recogniser.
    """
    transcriber = load_transcriber(params)
    fingerprint = NO_RECOGNISER if transcriber is None else transcriber.fingerprint
    made = Made(STAGE, fingerprint, params.asr or NO_RECOGNISER, deciding(params))
    limits = Limits(STAGE, params.max_failed, params.max_lost)
    step: Step[bytes] = Step(
        NAME,
        RECOGNISED,
        made,
        TranscribeWorker(params),
        limits,
        BATCH_CLIPS,
        noted=("left_out",),
        notes=lambda row: about_left_out(row["left_out"]),
    )
    wanting = {clip_id for clip_id, text in texts.items() if not (text or "").strip()} if transcriber else set()
    digests = {clip_id: of if clip_id in wanting else None for clip_id, of in media.digests("audio_sha256").items()}

    def write(done: Done) -> Done:
        rows = zip(done.keys, done.rows(), strict=True)
        heard: dict[str, Transcript] = {clip_id: from_record(row) for clip_id, row in rows if row is not None}
        chosen = merge_transcripts(list(texts.values()), [heard.get(clip_id) for clip_id in texts])
        write_transcripts(place.data / "transcripts.parquet", list(texts), chosen)
        of = {clip_id: one.text for clip_id, one in zip(texts, chosen, strict=True)}
        digests = {clip_id: digest(text) if text.strip() else None for clip_id, text in of.items()}
        write_contents(place.data, "text", digests, [clip_id not in test for clip_id in of])
        sources = Counter(of.source for of in chosen)
        print("text: " + ", ".join(f"{sources[name]} {name}" for name in ("corpus", "asr", "none")), flush=True)
        return done

    return run_per_clip(step, Content(digests, media.audio), for_device(compute, params.device), place, write)
