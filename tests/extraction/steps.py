"""The stage that runs a per-clip step, on one clip or a few."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mer.extraction import transcripts
from mer.extraction.audio import extract_audio
from mer.extraction.contents import write_contents
from mer.extraction.crops import crop_faces
from mer.extraction.decode import decode_corpus
from mer.extraction.face import extract_face
from mer.extraction.media import Media
from mer.extraction.text import extract_text
from mer.extraction.transcripts import transcribe_corpus
from mer.media import encode
from mer.params import AudioParams, ComputeParams, FaceParams, Params, TextParams
from mer.store.keys import digest
from tests.encoders.speech_models import TINY, save
from tests.extraction.making import make_media
from tests.extraction.test_transcripts import Counter
from tests.media.making import write_clip

STEPS = ["decode", "transcripts", "face_crops", "face", "audio", "text"]
ONE = ("one",)


def make_hubert(folder: Path) -> Path:
    import transformers

    save(transformers.HubertModel(transformers.HubertConfig(**TINY)), folder)
    return folder


def media_of(data: Path, clip_ids: tuple[str, ...] = ONE) -> Media:
    """Clips of one grey frame and one second of sound, each at its own pitch and grey."""
    of = {}
    for number, clip_id in enumerate(clip_ids):
        jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90 + 9 * number, np.uint8))[1].tobytes()
        sound = encode.flac(np.sin(np.arange(16_000) / (20 + number)).astype(np.float32) / 2)
        of[clip_id] = {"audio": sound, "frames": [jpeg], "timestamps": [0.0], "width": 160, "height": 120}
    return make_media(data, of)


def stage_of(
    step: str, tmp_path: Path, hubert: Path, monkeypatch: pytest.MonkeyPatch, clip_ids: tuple[str, ...] = ONE
) -> Callable[[], object]:
    """The stage that runs a step."""
    one, data = ComputeParams(workers=1), tmp_path / "data"
    audio = AudioParams(model=str(hubert), layers=(-1,))
    params = Params.model_validate({"transcribe": {"asr": "whisper"}})
    if step == "decode":
        for number, clip_id in enumerate(clip_ids):
            write_clip(tmp_path / f"{clip_id}.mp4", seconds=0.2 + 0.04 * number)
        paths = [f"{clip_id}.mp4" for clip_id in clip_ids]
        clips = pd.DataFrame({"clip_id": list(clip_ids), "path": paths, "sha256": None})
        return lambda: decode_corpus(clips, tmp_path, params.decode, one, data)
    media = media_of(data, clip_ids)
    if step == "transcripts":
        monkeypatch.setattr(transcripts, "load_transcriber", lambda params: Counter())
        return lambda: transcribe_corpus(dict.fromkeys(clip_ids), media, params.transcribe, one, media.place)
    if step == "audio":
        return lambda: extract_audio("audio", media, audio, one)
    if step == "text":
        texts: dict[str, str] = {clip_id: f"你好 {clip_id}" for clip_id in clip_ids}
        digests: dict[str, str | None] = {clip_id: digest(text) for clip_id, text in texts.items()}
        write_contents(data, "text", digests, [True] * len(texts))
        return lambda: extract_text("text", texts, TextParams(), one, media.place)
    if step == "face_crops":
        return lambda: crop_faces(media, params.faces, one)

    def faces() -> object:
        crop_faces(media, params.faces, one)
        return extract_face("face", media, FaceParams(), params.faces, one)

    return faces
