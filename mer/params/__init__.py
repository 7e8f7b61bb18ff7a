"""Typed view of `params.yaml`: one frozen model a section, sections named after what they steer.

An unknown key, a missing key's default and a value out of range are all decided here, so no other
module checks a parameter. Sections hold plain values only; nothing here reads data or loads a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from mer.errors import MerError
from mer.params.base import MODALITIES, Modality, Section
from mer.params.corpus import ComputeParams, CorpusParams, DecodeParams
from mer.params.document import read_document
from mer.params.extraction import (
    AdaptAudioParams,
    AudioParams,
    CropParams,
    FaceParams,
    ImportParams,
    OnnxParams,
    TextParams,
    TranscribeParams,
)
from mer.params.learning import EvaluateParams, ModelParams, PretrainParams, SelfTrainParams
from mer.params.limits import faults
from mer.params.messages import lines_of
from mer.params.robustness import RobustnessParams
from mer.params.views import EncoderParams, ViewParams, Views, default_views, moved, of_modality, origin

__all__ = [
    "MODALITIES",
    "AdaptAudioParams",
    "AudioParams",
    "ComputeParams",
    "CorpusParams",
    "CropParams",
    "DecodeParams",
    "EncoderParams",
    "EvaluateParams",
    "FaceParams",
    "ImportParams",
    "Modality",
    "ModelParams",
    "OnnxParams",
    "Params",
    "PretrainParams",
    "RobustnessParams",
    "Section",
    "SelfTrainParams",
    "TextParams",
    "TranscribeParams",
    "ViewParams",
    "load_params",
    "of_modality",
    "origin",
    "parse_params",
]


MOST_FAULTS = 10
"""Named in one line."""


class Params(Section):
    corpus: CorpusParams = CorpusParams()
    compute: ComputeParams = ComputeParams()
    decode: DecodeParams = DecodeParams()
    transcribe: TranscribeParams = TranscribeParams()
    adapt_audio: AdaptAudioParams = AdaptAudioParams()
    faces: CropParams = CropParams()
    views: Views = Field(default_factory=default_views)
    model: ModelParams = ModelParams()
    pretrain: PretrainParams = PretrainParams()
    self_train: SelfTrainParams = SelfTrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    robustness: RobustnessParams = RobustnessParams()

    @model_validator(mode="after")
    def _modalities_have_views(self) -> Self:
        """Names the modalities that have a view, where the model is told of none."""
        found = tuple(name for name in MODALITIES if of_modality(self.views, name))
        lacking = [name for name in self.model.modalities if name not in found]
        if lacking:
            raise ValueError(
                f"model.modalities: no view has the modality {lacking[0]} (views: "
                f"{', '.join(f'{name} ({view.modality})' for name, view in self.views.items())})"
            )
        if self.model.reads_frames and self.self_train.encoder_learning_rate:
            raise ValueError(
                "self_train.encoder_learning_rate: encoders that read frames stay as pretrained; set it to 0, or "
                "model.frame_tokens to 0"
            )
        model = self.model.model_copy(update={"modalities": self.model.modalities or found})
        object.__setattr__(self, "model", model)
        return self


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a params file.

    Raises:
        MerError: the file is missing or not YAML, or a key is unknown or has a bad value; the line names the key.
    """
    return parse_params(read_document(path), source=str(path))


def parse_params(values: Any, *, source: str = "params") -> Params:
    """Check a nested mapping of values against the sections; see `load_params` for what is raised."""
    if isinstance(values, Mapping) and (told := moved(values)) is not None:
        raise MerError(f"{source}: {told}")
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise MerError(f"{source}: " + "; ".join(islice(lines_of(error), MOST_FAULTS))) from None
    beyond = list(faults(params))
    if beyond:
        raise MerError(f"{source}: " + "; ".join(beyond[:MOST_FAULTS]))
    return params
