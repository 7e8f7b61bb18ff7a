"""What the API answers: the prediction, and what it was made of."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from mer.pages.waveform import peaks

if TYPE_CHECKING:
    from mer.encoders.asr.transcript import Word
    from mer.prediction.answer import Targets
    from mer.prediction.timeline import Utterance
    from mer.serve.desk import Predicted

CROPS = 8
"""Face crops that are shown, evenly spread over the clip."""
SIDE, FRAME = 112, 320
"""Pixels: of a crop, and a frame's width."""
PEAKS = 400
"""Columns of the waveform."""
LONGEST_NAME = 120

Probability = Annotated[float, Field(ge=0, le=1)]


class Said(BaseModel):
    """A recognised word and when it is said, in seconds."""

    text: str
    start: float
    end: float


class Crop(BaseModel):
    """A face: a JPEG in base64, and when it is seen, in seconds."""

    seconds: float
    jpeg: str


class Pictures(BaseModel):
    """The frame in the middle and faces as the model saw them, JPEGs in base64; `peaks` is the waveform's outline, a
    byte a column in base64: the square root of the loudest sample, full scale 255."""

    frame: str | None = None
    faces: list[Crop] = []
    peaks: str = ""


class Number(BaseModel):
    """A predicted number with its interval; an end is null where the bundle learned from too few clips to bound it."""

    value: float
    low: float | None
    high: float | None


class Part(BaseModel):
    """An utterance: from `start` to `end` seconds, its words, its own targets, and its probabilities smoothed over its
    neighbours; no label where no class could be predicted."""

    start: float
    end: float
    label: str | None
    probabilities: dict[str, Probability]
    targets: dict[str, Number]
    transcript: str
    words: list[Said]


class Took(BaseModel):
    """Seconds."""

    decoding: float
    predicting: float


class Answer(BaseModel):
    """A clip's prediction. `probabilities` are the vote's, `by_modality` those of each modality alone, `experts` those
    of each voter; `modalities` says which the clip has, `absent` why it lacks one. `targets` are the numbers that the
    bundle predicts; one of targets alone gives no label."""

    name: str
    label: str | None
    probabilities: dict[str, Probability]
    targets: dict[str, Number]
    by_modality: dict[str, dict[str, Probability]]
    experts: dict[str, dict[str, Probability]]
    modalities: dict[str, bool]
    absent: dict[str, str]
    transcript: str
    transcript_source: str = Field(description="given, asr or none")
    words: list[Said]
    seconds: float
    notes: list[str] = Field(description="What the file has and its record lacks")
    pictures: Pictures | None
    timeline: list[Part] | None
    took: Took


class Fault(BaseModel):
    """Why there is no prediction: a stable name and a line for people."""

    error: str
    message: str


class About(BaseModel):
    """What this server predicts with, and what it takes."""

    classes: list[str]
    targets: list[str]
    modalities: list[str]
    by_group: bool = Field(description="Whether clips are standardised within their group: give one where it is known")
    listens: bool = Field(description="Whether a recogniser hears what is said where no transcript is given")
    warning: str | None
    megabytes: int
    seconds: float
    version: str


def answer_of(found: Predicted, name: str, *, pictures: bool) -> Answer:
    """The answer to a prediction."""
    of = found.prediction
    return Answer(
        name=name,
        label=of.label,
        probabilities=_rounded(of.probabilities),
        targets=_numbers(of.targets),
        by_modality={modality: _rounded(own) for modality, own in of.by_modality.items()},
        experts={expert: _rounded(own) for expert, own in of.experts.items()},
        modalities=dict(of.modalities),
        absent=dict(of.absent),
        transcript=of.transcript,
        transcript_source=of.source,
        words=_said(of.words),
        seconds=round(of.seconds, 3),
        notes=list(of.notes),
        pictures=_pictures(found) if pictures else None,
        timeline=None if found.utterances is None else [_part(one) for one in found.utterances],
        took=Took(decoding=round(found.decoding, 3), predicting=round(found.predicting, 3)),
    )


def display_name(name: str) -> str:
    """The last part of a file's name, for people only: no path is ever made of it."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]
    return kept if kept.strip(". ") else "clip"


def _part(one: Utterance) -> Part:
    return Part(
        start=round(one.start, 3),
        end=round(one.end, 3),
        label=one.label,
        probabilities=_rounded(one.smoothed or {}),
        targets=_numbers(one.prediction.targets),
        transcript=one.prediction.transcript,
        words=_said(one.words),
    )


def _said(words: Sequence[Word]) -> list[Said]:
    return [Said(text=word.text, start=round(word.start, 3), end=round(word.end, 3)) for word in words]


def _pictures(found: Predicted) -> Pictures:
    faces, frames = found.prediction.faces, found.record.frames
    crops = []
    if faces is not None and len(faces.crops):
        chosen = np.unique(np.linspace(0, len(faces.crops) - 1, min(CROPS, len(faces.crops))).round().astype(int))
        for at in chosen:
            picture = cv2.cvtColor(faces.crops[at], cv2.COLOR_RGB2BGR)
            crops.append(Crop(seconds=round(float(faces.timestamps[at]), 3), jpeg=_jpeg(picture, SIDE)))
    middle = frames[len(frames) // 2] if frames else None
    frame = None
    if middle is not None:
        image = cv2.imdecode(np.frombuffer(middle, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None, "frames of a record are JPEGs of our own"
        frame = _jpeg(np.asarray(image, np.uint8), FRAME)
    return Pictures(
        frame=frame, faces=crops, peaks=base64.b64encode(peaks(found.record.waveform(), PEAKS)).decode("ascii")
    )


def _jpeg(image: NDArray[np.uint8] | cv2.typing.MatLike, width: int) -> str:
    scale = min(1.0, width / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return base64.b64encode(content).decode("ascii")


def _numbers(targets: Targets) -> dict[str, Number]:
    return {name: Number.model_validate(one.as_dict()) for name, one in targets.items()}


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in probabilities.items()}
