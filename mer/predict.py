"""A trained bundle on new clips: decode, extract and vote, just as in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer.about import warning
from mer.encoders.asr.load import load_transcriber
from mer.encoders.base import Encoder, Features, absent
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import from_record, to_record
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import ClipError, MerError
from mer.extraction.views import in_view
from mer.media.record import MediaRecord
from mer.media.sandbox import decode_safely
from mer.params import AudioParams, EncoderParams, FaceParams, ImportParams, Params
from mer.provenance import Provenance, read_provenance
from mer.self_training.bundle import Bundle, load_bundle


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a file.

    `probabilities` maps every class to its probability, `modalities` every view to whether the clip has it. Where
    nothing could be predicted, `label` is None and `error` says why.
    """

    path: str
    label: str | None
    probabilities: Mapping[str, float]
    modalities: Mapping[str, bool]
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: probabilities rounded to six digits, `error` only where there is one."""
        values: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
            "modalities": dict(self.modalities),
        }
        return values if self.error is None else values | {"error": self.error}

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.path}: {self.error}"
        likely = sorted(self.probabilities.items(), key=lambda item: -item[1])[:3]
        without = [name for name, present in self.modalities.items() if not present]
        note = f"  (no {', no '.join(without)})" if without else ""
        return f"{self.path}: {self.label}  " + ", ".join(f"{name} {value:.2f}" for name, value in likely) + note


class Predictor:
    """A bundle with its encoders loaded; predicts any number of files.

    `weights` says where encoders lie now, by the names of their views, `detector` and `asr`; without it they are looked
    for where they were in training.

    Raises:
        MerError: the bundle is missing or broken, or an encoder is not there, or not the one that it was trained with.
    """

    def __init__(self, folder: str | Path, weights: Mapping[str, str] | None = None) -> None:
        self.bundle: Bundle = load_bundle(folder)
        self.warning = warning(self.bundle.extra)
        """What to know before believing a prediction, in a line; None where nothing speaks against it."""
        made: Provenance = read_provenance(self.bundle.extra, Path(folder), weights or {})
        self.params: Params = made.params
        views = self.params.views
        self.encoders = load_encoders(self.params, Path(folder))
        for name, encoder in self.encoders.items():
            made.check(name, encoder)
        self.missing = [name for name in views if name not in self.encoders]
        """Views that were imported: nothing here can make them of a new clip."""
        self.cropper = FaceCropper(self.params.faces) if self._encodes("face") else None
        if self.cropper is not None:
            made.check("face_crops", self.cropper)
        self.transcriber = load_transcriber(self.params.transcribe) if self._encodes("text") else None
        if self.transcriber is not None:
            made.check("transcripts", self.transcriber)

    def _encodes(self, modality: str) -> bool:
        return any(self.params.views[name].modality == modality for name in self.encoders)

    def predict(self, path: str | Path, transcript: str = "") -> Prediction:
        """Predict one video or audio file; a file that does not decode gives a `Prediction` with an error.

        Without a transcript, the recogniser of `transcribe.asr` listens, if the bundle was trained with one.
        """
        try:
            features = self._extract(decode_safely(Path(path), self.params.decode), transcript)
        except ClipError as error:
            return Prediction(str(path), None, {}, {}, str(error))
        present = {name: of.ok for name, of in features.items()}
        for name in self.missing:
            features[name] = absent(len(self.bundle.view.standardisers[name].mean), "imported, not made here")
        if not any(present.values()):
            notes = "; ".join(f"{name}: {of.note}" for name, of in features.items())
            return Prediction(str(path), None, {}, present, f"nothing to go by ({notes})")
        [probabilities] = self.bundle.predict(
            {name: of.embedding[None] for name, of in features.items()},
            {name: np.array([of.ok]) for name, of in features.items()},
        )
        by_class = dict(zip(self.bundle.classes, map(float, probabilities), strict=True))
        return Prediction(str(path), max(by_class, key=by_class.__getitem__), by_class, present)

    def _extract(self, record: MediaRecord, transcript: str) -> dict[str, Features]:
        waveform = record.waveform()
        if not transcript.strip() and self.transcriber is not None and len(waveform):
            transcript = self.transcriber.transcribe([waveform])[0].text
        items: dict[str, Any] = {"audio": waveform, "text": transcript}
        if self.cropper is not None:
            faces = self.cropper.crop(record.images(), record.timestamps)
            items["face"] = from_record(to_record(faces)).crops  # through JPEG, as in training
        views = self.params.views
        return {name: encoder.encode([items[views[name].modality]])[0] for name, encoder in self.encoders.items()}


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
        return SpeechFeatures(view)
    if isinstance(view, FaceParams):
        return load_face_encoder(view)
    return TfidfTextEncoder.load(fitted) if view.encoder == "tfidf" else load_text_encoder(view)
