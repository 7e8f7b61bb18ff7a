"""Typed view of sample/params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

PATH = Path("sample/params.yaml")

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Closed to unknown keys. Its own, not `mer.params`': the corpus must not change when the pipeline does."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FaceKnobs(Section):
    agreement: Fraction
    absent: Fraction
    clear: Fraction
    strength: tuple[Fraction, Fraction]
    faint: tuple[Fraction, Fraction]
    resting: Fraction
    unit_dropout: Fraction
    stray: Fraction


class VoiceKnobs(Section):
    agreement: Fraction
    absent: Fraction
    clear: Fraction
    strength: tuple[Fraction, Fraction]
    faint: tuple[Fraction, Fraction]
    noisy: Fraction
    snr_db: tuple[float, float]
    reverberant: Fraction


class TextKnobs(Section):
    agreement: Fraction
    absent: Fraction
    ambiguous: Fraction


class CorpusParams(Section):
    seed: int
    labeled: Count
    unlabeled: Count
    test: Count
    speakers: Annotated[int, Field(ge=1, le=1000)]
    seconds: tuple[Positive, Positive]
    width: Annotated[int, Field(ge=160, multiple_of=2)]
    height: Annotated[int, Field(ge=120, multiple_of=2)]
    fps: Count
    class_counts: dict[str, Count]
    face: FaceKnobs
    voice: VoiceKnobs
    text: TextKnobs


class HubertParams(Section):
    seed: int
    units: Annotated[int, Field(ge=2)]
    channels: Annotated[int, Field(ge=2, multiple_of=2)]
    hidden: Count
    layers: Count
    heads: Count
    epochs: Count
    learning_rate: Positive
    batch_seconds: Positive


class SampleParams(Section):
    corpus: CorpusParams
    hubert: HubertParams


def load_params(path: Path = PATH) -> SampleParams:
    return SampleParams.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
