"""Features of clips that are not the run's own, by the encoders of a bundle: another corpus, or corrupted media.

The way is that of the stages, through the same shard cache; only the tables go to a folder of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from mer.encoders.base import Encoder
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import MerError
from mer.extraction.audio import extract_audio
from mer.extraction.contents import write_contents
from mer.extraction.crops import crop_faces
from mer.extraction.decode import decode_corpus
from mer.extraction.face import extract_face
from mer.extraction.media import Media
from mer.extraction.per_clip import Place
from mer.extraction.text import encode_texts
from mer.extraction.transcript_table import read_transcripts
from mer.extraction.transcripts import transcribe_corpus
from mer.params import AudioParams, FaceParams, ImportParams, Params, TextParams
from mer.provenance import Provenance
from mer.store.manifest import read_manifest
from mer.store.tables import FrameTensors, UtteranceTable, open_frames, read_utterances

Texts = Mapping[str, str | None]


def decoded(clips: pd.DataFrame, root: Path, params: Params, data: Path) -> Media:
    """Decode clips (`clip_id, path, sha256`) below a root, as the bundle's corpus was; tables go to `data`."""
    decode_corpus(clips, root, params.decode, params.compute, data)
    manifest = read_manifest(data / "manifests" / "decode.parquet")
    return Media(manifest, Place(data, clips), root, params.decode, params.compute)


def encoded(
    media: Media, texts: Texts, made: Provenance, views: Sequence[str], folder: Path
) -> dict[str, UtteranceTable]:
    """Features of decoded clips by view, rows in the order of the clips.

    Args:
        media: of the clips; tables go to the folder of its place.
        texts: what is known to be said in each clip.
        made: what the bundle says of its encoders: these are used, and held against it.
        views: those to make.
        folder: of the bundle: it holds the text encoders that the bundle's corpus made.

    Raises:
        MerError: an encoder is missing or is not the bundle's, or a view was imported; or see `run_per_clip`.
    """
    params, place, compute = made.params, media.place, media.compute
    sections = {name: params.views[name] for name in views}
    write_contents(place.data, "audio", media.digests("audio_sha256"))
    if any(isinstance(view, FaceParams) for view in sections.values()):
        crop_faces(media, params.faces, compute)
        made.check("face_crops", read_manifest(place.manifest("face_crops")).made)
    if any(isinstance(view, TextParams) for view in sections.values()):
        transcribe_corpus(texts, media, params.transcribe, compute, place, set())
        made.check("transcripts", read_manifest(place.manifest("transcripts")).made)
    for name, view in sections.items():
        if isinstance(view, ImportParams):
            raise MerError(f"views.{name}: its features were imported, and of these clips there are none")
        if isinstance(view, AudioParams):
            extract_audio(name, media, view, compute)
        elif isinstance(view, FaceParams):
            extract_face(name, media, view, params.faces, compute)
        else:
            texts_of = read_transcripts(place.data / "transcripts.parquet")
            encode_texts(name, texts_of, _text_encoder(view, folder / name), view, compute, place)
        made.check(name, read_manifest(place.manifest(name)).made)
    return {name: read_utterances(place.data / "features" / name / "utterance.parquet") for name in views}


def frames_of(media: Media, views: Iterable[str]) -> dict[str, FrameTensors]:
    """The frames of views that `encoded` made, mapped from the folder of the media's place.

    Raises:
        MerError: a view was extracted without frames.
    """
    return {name: open_frames(media.place.data / "features" / name / "frames.safetensors") for name in views}


def tolerant(params: Params) -> Params:
    """The same params, with any share of clips that do not decode: they are counted, and judged without features.

    The encoders' own sections stay as they are: their fingerprints are held against the bundle's.
    """
    return params.model_copy(update={"decode": params.decode.model_copy(update={"max_failed": 1.0})})


def _text_encoder(params: TextParams, fitted: Path) -> Callable[[], Encoder[str]]:
    if params.encoder == "tfidf":
        return partial(TfidfTextEncoder.load, fitted)
    return partial(load_text_encoder, params)
