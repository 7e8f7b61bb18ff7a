"""The extract_text stage: text features of every clip that has a transcript."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mer.clips import ClipTable
from mer.encoders.base import Encoder
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.features import Content, EncoderWorker, for_device, write_features
from mer.params import ComputeParams, TextParams
from mer.store.fill import FillReport
from mer.store.keys import digest

BATCH_CLIPS = 64
FITTED = "encoder"
"""Folder beside the features that holds the encoder, where it was fitted on the corpus."""


def extract_text(
    clips: ClipTable, texts: dict[str, str], params: TextParams, compute: ComputeParams, out: Path
) -> FillReport:
    """Write the text features of `clips` to the folder `out`; see `mer.extraction.features.write_features`.

    Args:
        texts: transcript of every clip; empty where there is none.

    Raises:
        MerError: `text.encoder` is no text encoder.
    """
    load: Callable[[], Encoder[str]]
    if params.encoder == "tfidf":
        fitted = out.with_name(f"{out.name}.{FITTED}")
        TfidfTextEncoder.fit(fitting_texts(clips, texts), params).save(fitted)
        load = partial(TfidfTextEncoder.load, fitted)
    else:
        fitted = None
        load = partial(load_text_encoder, params)

    def contents(clip_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((clip_id, texts[clip_id]) for clip_id in clip_ids)

    digests = {clip_id: digest(texts[clip_id]) if texts[clip_id].strip() else None for clip_id in clips.rows["clip_id"]}
    worker: EncoderWorker[str, str] = EncoderWorker(load, str)
    report = write_features(
        "text",
        load(),
        Content(digests, contents),
        worker,
        for_device(compute, params.device),
        out,
        batch_size=BATCH_CLIPS,
        with_frames=params.frames,
    )
    if fitted is not None:
        shutil.move(fitted, out / FITTED)
    return report


def fitting_texts(clips: ClipTable, texts: dict[str, str]) -> list[str]:
    """The texts that a text encoder may be fitted on: those of the labeled and unlabeled splits, never of test."""
    rows = clips.rows
    return [texts[clip_id] for clip_id in rows["clip_id"][rows["split"] != "test"]]
