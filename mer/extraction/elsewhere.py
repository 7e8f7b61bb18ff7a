"""Features of clips that are not the run's own, by the encoders of a bundle: another corpus, or corrupted media.

The way is that of the stages, through the same shard cache; only the tables go to a folder of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from mer.encoders.base import Encoder
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.audio import extract_audio
from mer.extraction.decode import decode_corpus
from mer.extraction.face import extract_face
from mer.extraction.features import EncoderWorker, for_device, write_features
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Limits, Place
from mer.extraction.settings import deciding
from mer.extraction.text import BATCH_CLIPS, NAME
from mer.extraction.transcript_table import read_transcripts
from mer.extraction.transcripts import transcribe_corpus
from mer.params import Params, TextParams
from mer.provenance import Provenance
from mer.store.keys import digest
from mer.store.manifest import Made, read_manifest
from mer.store.tables import UtteranceTable, read_utterances

Texts = Mapping[str, str | None]


def decoded(clips: pd.DataFrame, root: Path, params: Params, data: Path) -> Media:
    """Decode clips (`clip_id, path, sha256`) below a root, as the bundle's corpus was; tables go to `data`."""
    decode_corpus(clips, root, params.decode, params.compute, data)
    manifest = read_manifest(data / "manifests" / "decode.parquet")
    return Media(manifest, Place(data, clips), root, params.decode, params.compute)


def encoded(
    media: Media, texts: Texts, made: Provenance, modalities: Sequence[str], fitted_text: Path
) -> dict[str, UtteranceTable]:
    """Features of decoded clips by modality, rows in the order of the clips.

    Args:
        media: of the clips; tables go to the folder of its place.
        texts: what is known to be said in each clip.
        made: what the bundle says of its encoders: these are used, and held against it.
        modalities: those that the bundle looks at.
        fitted_text: folder of the text encoder that the bundle's corpus made.

    Raises:
        MerError: an encoder is missing or is not the bundle's; or see `run_per_clip`.
    """
    params, place, compute = made.params, media.place, media.compute
    if "audio" in modalities:
        extract_audio(media, params.audio, compute, place)
    if "face" in modalities:
        extract_face(media, params.face, compute, place)
    if "text" in modalities:
        transcribe_corpus(texts, media, params.transcribe, compute, place)
        _encode_texts(read_transcripts(place.data / "transcripts.parquet"), params, fitted_text, place)
    checked = {"audio": ["audio"], "face": ["face_crops", "face"], "text": ["transcripts", "text"]}
    for name in modalities:
        for step in checked[name]:
            made.check(step, read_manifest(place.manifest(step)).made)
    return {name: read_utterances(place.data / "features" / name / "utterance.parquet") for name in modalities}


def tolerant(params: Params) -> Params:
    """The same params, with any share of clips that do not decode: they are counted, and judged without features.

    The encoders' own sections stay as they are: their fingerprints are held against the bundle's.
    """
    return params.model_copy(update={"decode": params.decode.model_copy(update={"max_failed": 1.0})})


def _encode_texts(texts: Mapping[str, str], params: Params, fitted: Path, place: Place) -> None:
    load = _text_encoder(params.text, fitted)
    encoder = load()

    def contents(clip_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((clip_id, texts[clip_id]) for clip_id in clip_ids)

    worker: EncoderWorker[str, str] = EncoderWorker(load, str)
    write_features(
        NAME,
        Made("extract_text", encoder.fingerprint, params.text.encoder, deciding(params.text)),
        encoder.dimensions,
        Content({clip_id: digest(text) if text.strip() else None for clip_id, text in texts.items()}, contents),
        worker,
        Limits("text", params.text.max_failed, params.text.max_lost),
        for_device(params.compute, params.text.device),
        place,
        batch_size=BATCH_CLIPS,
        with_frames=False,
    )


def _text_encoder(params: TextParams, fitted: Path) -> Callable[[], Encoder[str]]:
    if params.encoder == "tfidf":
        return partial(TfidfTextEncoder.load, fitted)
    return partial(load_text_encoder, params)
