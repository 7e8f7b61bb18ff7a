"""A trained bundle on new clips: decode, extract and vote, just as in training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mer.encoders.base import Encoder, Features
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import from_record, to_record
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech_features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.errors import ClipError, MerError
from mer.media.record import MediaRecord
from mer.media.sandbox import decode_safely
from mer.params import Params, parse_params
from mer.self_training.bundle import Bundle, load_bundle

EXTRACTION = ("decode", "audio", "face", "text")
"""Sections of the params that decide the features, kept in the bundle."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a file.

    `probabilities` maps every class to its probability, `modalities` every modality to whether the clip has it. Where
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

    Raises:
        MerError: the bundle is missing or broken, or an encoder is not the one that it was trained with.
    """

    def __init__(self, folder: str | Path) -> None:
        self.bundle: Bundle = load_bundle(folder)
        self.params: Params = parse_params(self.bundle.extra["extraction"], source=f"{folder}/bundle.json")
        self.encoders = load_encoders(self.params, Path(folder) / "text", self.bundle.model.modalities)
        self.cropper = FaceCropper(self.params.face)
        for name, encoder in self.encoders.items():
            if encoder.fingerprint != self.bundle.extra["fingerprints"][name]:
                raise MerError(f"{folder}: the {name} encoder is not the one that the bundle was trained with")

    def predict(self, path: str | Path, transcript: str = "") -> Prediction:
        """Predict one video or audio file; a file that does not decode gives a `Prediction` with an error."""
        try:
            features = self._extract(decode_safely(Path(path), self.params.decode), transcript)
        except ClipError as error:
            return Prediction(str(path), None, {}, {}, str(error))
        present = {name: of.ok for name, of in features.items()}
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
        items: dict[str, Any] = {"audio": record.waveform(), "text": transcript}
        if "face" in self.encoders:
            faces = self.cropper.crop(record.images(), record.timestamps)
            items["face"] = from_record(to_record(faces)).crops  # through JPEG, as in training
        return {name: encoder.encode([items[name]])[0] for name, encoder in self.encoders.items()}


def load_encoders(params: Params, fitted_text: Path, modalities: tuple[str, ...]) -> dict[str, Encoder[Any]]:
    """The encoders of the modalities asked for; `fitted_text` holds the text encoder where the corpus made it."""
    loaders: dict[str, Callable[[], Encoder[Any]]] = {
        "audio": lambda: SpeechFeatures(params.audio),
        "face": lambda: load_face_encoder(params.face),
        "text": lambda: (
            TfidfTextEncoder.load(fitted_text) if params.text.encoder == "tfidf" else load_text_encoder(params.text)
        ),
    }
    return {name: loaders[name]() for name in modalities}


def save_bundle(folder: str | Path, bundle: Bundle, params: Params, features: str | Path = "data/features") -> None:
    """Save a bundle with all that `Predictor` needs: extraction params, fingerprints, the fitted text encoder."""
    folder, fitted = Path(folder), Path(features) / "text" / "encoder"
    shutil.rmtree(folder, ignore_errors=True)
    encoders = load_encoders(params, fitted, bundle.model.modalities)
    extra = {
        "extraction": {name: getattr(params, name).model_dump(mode="json") for name in EXTRACTION},
        "fingerprints": {name: encoder.fingerprint for name, encoder in encoders.items()},
    }
    replace(bundle, extra=extra).save(folder)
    if params.text.encoder == "tfidf" and "text" in encoders:
        shutil.copytree(fitted, folder / "text")
