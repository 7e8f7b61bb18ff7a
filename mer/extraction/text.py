"""A view by a text encoder: features of every clip that has a transcript."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from mer.encoders.base import Encoder
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.contents import read_contents, read_fitted
from mer.extraction.features import EncoderWorker, View, for_device, write_features
from mer.extraction.per_clip import Content, Done, Place
from mer.params import ComputeParams, TextParams

BATCH_CLIPS = 64
FITTED = "encoder"
"""Folder beside the features that holds the encoder, where it was fitted on the corpus."""


def extract_text(name: str, texts: Mapping[str, str], params: TextParams, compute: ComputeParams, place: Place) -> Done:
    """Write the text features of all clips; see `mer.extraction.features.write_features`.

    Args:
        texts: transcript of every clip; empty where there is none. An encoder is fitted on those of the labeled and
            unlabeled splits.

    Raises:
        MerError: `encoder` is no text encoder.
    """
    load: Callable[[], Encoder[str]]
    out = place.data / "features" / name
    if params.encoder == "tfidf":
        fitted = out.with_name(f"{name}.{FITTED}")
        TfidfTextEncoder.fit([texts[clip_id] for clip_id in read_fitted(place.data)], params).save(fitted)
        load = partial(TfidfTextEncoder.load, fitted)
    else:
        fitted = None
        load = partial(load_text_encoder, params)

    done = encode_texts(name, texts, load, params, compute, place)
    if fitted is not None:
        shutil.move(fitted, out / FITTED)
    return done


def encode_texts(
    name: str,
    texts: Mapping[str, str],
    load: Callable[[], Encoder[str]],
    params: TextParams,
    compute: ComputeParams,
    place: Place,
) -> Done:
    """As `extract_text`, by an encoder that is there already."""

    def contents(clip_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((clip_id, texts[clip_id]) for clip_id in clip_ids)

    if params.encoder == "tfidf":  # here: other processes take longer to start than most corpora to encode
        compute = compute.model_copy(update={"engine": "local", "workers": 1})
    worker: EncoderWorker[str, str] = EncoderWorker(load, str)
    return write_features(
        View(name, params, load()),
        Content(read_contents(place.data, "text"), contents),
        worker,
        for_device(compute, params.device),
        place,
        batch_size=BATCH_CLIPS,
    )
