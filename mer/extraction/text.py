"""The extract_text stage: text features of every clip that has a transcript."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from mer.encoders.base import Encoder
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.features import EncoderWorker, for_device, write_features
from mer.extraction.per_clip import Content, Done, Limits, Place
from mer.extraction.settings import deciding
from mer.params import ComputeParams, TextParams
from mer.store.keys import digest
from mer.store.manifest import Made

NAME = "text"
BATCH_CLIPS = 64
FITTED = "encoder"
"""Folder beside the features that holds the encoder, where it was fitted on the corpus."""


def extract_text(
    splits: pd.DataFrame, texts: Mapping[str, str], params: TextParams, compute: ComputeParams, place: Place
) -> Done:
    """Write the text features of all clips; see `mer.extraction.features.write_features`.

    Args:
        splits: columns `clip_id, split`: an encoder is fitted on the texts of the labeled and unlabeled splits.
        texts: transcript of every clip; empty where there is none.

    Raises:
        MerError: `text.encoder` is no text encoder.
    """
    load: Callable[[], Encoder[str]]
    out = place.data / "features" / NAME
    if params.encoder == "tfidf":
        fitted = out.with_name(f"{NAME}.{FITTED}")
        TfidfTextEncoder.fit(fitting_texts(splits, texts), params).save(fitted)
        load = partial(TfidfTextEncoder.load, fitted)
    else:
        fitted = None
        load = partial(load_text_encoder, params)

    def contents(clip_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((clip_id, texts[clip_id]) for clip_id in clip_ids)

    digests = {clip_id: digest(texts[clip_id]) if texts[clip_id].strip() else None for clip_id in splits["clip_id"]}
    encoder = load()
    worker: EncoderWorker[str, str] = EncoderWorker(load, str)
    done = write_features(
        NAME,
        Made("extract_text", encoder.fingerprint, params.encoder, deciding(params)),
        encoder.dimensions,
        Content(digests, contents),
        worker,
        Limits("text", params.max_failed, params.max_lost),
        for_device(compute, params.device),
        place,
        batch_size=BATCH_CLIPS,
        with_frames=params.frames,
    )
    if fitted is not None:
        shutil.move(fitted, out / FITTED)
    return done


def fitting_texts(splits: pd.DataFrame, texts: Mapping[str, str]) -> list[str]:
    """The texts that a text encoder may be fitted on: those of the labeled and unlabeled splits, never of test."""
    return [texts[clip_id] for clip_id in splits["clip_id"][splits["split"] != "test"]]
