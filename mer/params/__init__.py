"""Typed view of `params.yaml`: one frozen model a section, sections named after what they steer.

An unknown key, a missing key's default and a value out of range are all decided here, so no other
module checks a parameter. Sections hold plain values only; nothing here reads data or loads a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mer.errors import MerError
from mer.params.base import Section
from mer.params.corpus import ComputeParams, CorpusParams, DecodeParams
from mer.params.document import read_document
from mer.params.extraction import AdaptAudioParams, AudioParams, FaceParams, OnnxParams, TextParams, TranscribeParams
from mer.params.learning import EvaluateParams, ModelParams, PretrainParams, SelfTrainParams
from mer.params.limits import faults, shown
from mer.params.robustness import RobustnessParams

__all__ = [
    "AdaptAudioParams",
    "AudioParams",
    "ComputeParams",
    "CorpusParams",
    "DecodeParams",
    "EvaluateParams",
    "FaceParams",
    "ModelParams",
    "OnnxParams",
    "Params",
    "PretrainParams",
    "RobustnessParams",
    "Section",
    "SelfTrainParams",
    "TextParams",
    "TranscribeParams",
    "load_params",
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
    audio: AudioParams = AudioParams()
    face: FaceParams = FaceParams()
    text: TextParams = TextParams()
    model: ModelParams = ModelParams()
    pretrain: PretrainParams = PretrainParams()
    self_train: SelfTrainParams = SelfTrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    robustness: RobustnessParams = RobustnessParams()


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a params file.

    Raises:
        MerError: the file is missing or not YAML, or a key is unknown or has a bad value; the line names the key.
    """
    return parse_params(read_document(path), source=str(path))


def parse_params(values: Any, *, source: str = "params") -> Params:
    """Check a nested mapping of values against the sections; see `load_params` for what is raised."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise MerError(f"{source}: " + "; ".join(map(_one_fault, error.errors()[:MOST_FAULTS]))) from None
    beyond = list(faults(params))
    if beyond:
        raise MerError(f"{source}: " + "; ".join(beyond[:MOST_FAULTS]))
    return params


def _one_fault(fault: Any) -> str:
    key = ".".join(str(part)[:80] for part in fault["loc"] if part != "[key]") or "the file"
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if fault["type"] == "model_type":
        return f"'{key}': a mapping of keys is needed (got {shown(fault['input'])})"
    return f"'{key}': {fault['msg'].removeprefix('Value error, ')} (got {shown(fault['input'])})"
