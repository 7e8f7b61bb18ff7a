"""Features of new files, made as training made them: the same decoding, recogniser, cropper and encoders, checked by
their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.compute.worker import attempt
from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import Transcript, Word, about_left_out, merge_transcripts
from mer.encoders.base import Encoder, Features, absent
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import FaceCrops, from_record, to_record
from mer.encoders.face.load import load_face_encoder
from mer.encoders.text.load import load_text_encoder
from mer.errors import ClipError, MachineError, MerError, NotANumberError
from mer.extraction.views import in_view
from mer.media import encode
from mer.media.record import MediaRecord
from mer.params import AudioParams, EncoderParams, FaceParams, ImportParams, Params
from mer.provenance import Provenance

IMPORTED = "imported, not made here"
SOURCES = {"corpus": "given", "asr": "asr", "none": "none"}


@dataclass(frozen=True)
class Raw:
    """A decoded file: `audio` are FLAC bytes, None without sound; `crops` a row of face crops (JPEGs), None where no
    face is looked for; `transcript` what is known to be said, empty where nothing is."""

    audio: bytes | None
    crops: Mapping[str, Any] | None
    seconds: float
    transcript: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extracted:
    """Features of one file by view, and what they were made of."""

    features: Mapping[str, Features]
    transcript: str
    source: str
    words: tuple[Word, ...]
    seconds: float
    faces: FaceCrops | None = None
    notes: tuple[str, ...] = ()
    transient: bool = field(default=False)
    """Whether the machine, or a limit, is to blame for a view or a text that is lacking: another run may do better."""

    @property
    def absent(self) -> dict[str, str]:
        """Why a view is lacking."""
        return {name: of.note for name, of in self.features.items() if not of.ok}

    @property
    def shortened(self) -> tuple[str, ...]:
        """Which part of the file a view was made of, where it is not the whole."""
        return tuple(f"{name}: {of.note}" for name, of in self.features.items() if of.ok and of.note)


def raw_of(record: MediaRecord, cropper: FaceCropper | None, transcript: str = "") -> Raw:
    """What the encoders see of a decoded file."""
    crops = None if cropper is None else to_record(cropper.crop(record.images(), record.timestamps))
    notes = tuple(f"{note.error}: {note.message}" for note in record.notes)
    return Raw(record.audio, crops, record.duration, transcript, notes)


class Extractor:
    """The recogniser and the encoders of a bundle, held against what the bundle says of them.

    `missing` are the widths of views that were imported: nothing here can make them of a new file, so that they are
    absent.

    Raises:
        MerError: one is not there, or is not the one that the bundle was trained with; the line names it.
    """

    def __init__(self, made: Provenance, missing: Mapping[str, int]) -> None:
        self.params = made.params
        self.missing = missing
        self.encoders = load_encoders(made.params, made.folder)
        for name, encoder in self.encoders.items():
            made.check(name, encoder)
        modalities = {made.params.views[name].modality for name in self.encoders}
        if "face" in modalities:
            made.check("face_crops", FaceCropper(made.params.faces))
        self.transcriber = load_transcriber(made.params.transcribe) if "text" in modalities else None
        if self.transcriber is not None:
            made.check("transcripts", self.transcriber)

    def __call__(self, batch: Sequence[Raw]) -> list[Extracted]:
        """Features of each file; what a file gets does not depend on the batch."""
        waveforms = [np.zeros(0, np.float32) if raw.audio is None else encode.waveform(raw.audio) for raw in batch]
        heard = self._hear(batch, waveforms)
        known = [None if isinstance(one, ClipError) else one for one in heard]
        texts = merge_transcripts([raw.transcript for raw in batch], known)
        faces = [_crops(raw) for raw in batch]
        items: dict[str, list[Any]] = {
            "audio": waveforms,
            "face": [np.zeros((0, 16, 16, 3), np.uint8) if of is None else of.crops for of in faces],
            "text": [of.text for of in texts],
        }
        views = self.params.views
        found = {name: _encoded(encoder, items[views[name].modality]) for name, encoder in self.encoders.items()}
        found |= {name: [(absent(width, IMPORTED), False)] * len(batch) for name, width in self.missing.items()}
        return [
            Extracted(
                {name: found[name][i][0] for name in views},
                texts[i].text,
                SOURCES[texts[i].source],
                texts[i].words,
                raw.seconds,
                faces[i],
                (*raw.notes, *_told(heard[i])),
                _again(heard[i]) or any(of[i][1] for of in found.values()),
            )
            for i, raw in enumerate(batch)
        ]

    def _hear(
        self, batch: Sequence[Raw], waveforms: Sequence[NDArray[np.float32]]
    ) -> list[Transcript | ClipError | None]:
        """What is recognised in each file, or why nothing could be; None where its transcript is known, or where there
        is nothing to hear. What has the same sound, as the faces of a clip have, is recognised once."""
        heard: list[Transcript | ClipError | None] = [None] * len(batch)
        places: dict[bytes, list[int]] = {}
        for i, raw in enumerate(batch):
            if raw.audio is not None and len(waveforms[i]) and not raw.transcript.strip():
                places.setdefault(raw.audio, []).append(i)
        if self.transcriber is None or not places:
            return heard
        sounds = [waveforms[same[0]] for same in places.values()]
        for same, one in zip(places.values(), attempt(self.transcriber.transcribe, sounds), strict=True):
            for i in same:
                heard[i] = one
        return heard


def _told(heard: Transcript | ClipError | None) -> tuple[str, ...]:
    if isinstance(heard, Transcript):
        return tuple(f"transcribe: {line}" for _, line in about_left_out(heard.left_out))
    return () if heard is None else (f"transcribe: {heard}",)


def _again(found: object) -> bool:
    """Whether the machine is to blame for what is lacking, or a limit was met: another run may do better."""
    return isinstance(found, ClipError) and (isinstance(found, MachineError) or found.transient)


def _crops(raw: Raw) -> FaceCrops | None:
    return None if raw.crops is None else from_record(raw.crops)  # through JPEG, as in training


def _encoded(encoder: Encoder[Any], items: Sequence[Any]) -> list[tuple[Features, bool]]:
    """Features of each item, and whether the machine is to blame for those that are lacking."""
    found = []
    for one in attempt(encoder.encode, items):
        if not isinstance(one, ClipError) and not np.isfinite(one.embedding).all():
            one = NotANumberError("the encoder gives values that are not finite numbers")
        if isinstance(one, ClipError):
            found.append((absent(encoder.dimensions, str(one)), _again(one)))
        else:
            found.append((one, False))
    return found


def load_encoders(params: Params, folder: Path) -> dict[str, Encoder[Any]]:
    """The encoders of all views that have one; a bundle's `folder` holds those that were fitted on the corpus."""
    encoders = {}
    for name, view in params.views.items():
        try:
            if not isinstance(view, ImportParams):
                encoders[name] = _load_encoder(view, folder / name)
        except MerError as error:
            told = in_view(str(error), name)
            raise MerError(f"{told}; where it lies elsewhere now: `mer predict --weights {name}=FOLDER`") from None
    return encoders


def _load_encoder(view: EncoderParams, fitted: Path) -> Encoder[Any]:
    if isinstance(view, AudioParams):
        from mer.encoders.speech.features import SpeechFeatures

        return SpeechFeatures(view)
    if isinstance(view, FaceParams):
        return load_face_encoder(view)
    if view.encoder != "tfidf":
        return load_text_encoder(view)
    from mer.encoders.text.tfidf import TfidfTextEncoder  # here, because it brings scikit-learn

    return TfidfTextEncoder.load(fitted)
