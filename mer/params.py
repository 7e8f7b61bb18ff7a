"""Typed view of `params.yaml`: one frozen model a section, sections named after what they steer.

An unknown key, a missing key's default and a value out of range are all decided here, so no other
module checks a parameter. Sections hold plain values only; nothing here reads data or loads a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mer.errors import MerError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
        raise ValueError("class names must be distinct and not empty")
    return classes


Classes = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]


class Section(BaseModel):
    """A section of params.yaml: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CorpusParams(Section):
    root: str = "sample/corpus"
    layout: Literal["mer2024", "folder"] = "mer2024"
    classes: Classes | None = None
    """Class order; None takes the layout's own (or, for `folder`, the labels found, sorted)."""
    labels: str = "labels.csv"
    """For `folder`: the CSV file with the labels, relative to `root` or absolute."""
    columns: dict[Literal["clip_id", "path", "label", "split", "group", "transcript"], str] = {}
    """For `folder`: our name of a column -> its name in that file, where they differ."""
    folds: Annotated[int, Field(ge=2)] = 5
    seed: int = 0


class ComputeParams(Section):
    """Where the work runs. Never part of a cache key: it must not change a byte of the result."""

    engine: Literal["local", "ray"] = "local"
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes; 0 means one a core."""
    address: str | None = None
    """Ray cluster to join; None starts a local one."""


class DecodeParams(Section):
    frames: Annotated[int, Field(ge=0)] = 8
    """Frames sampled evenly over time from each clip."""
    max_side: Count = 640
    """Frames are scaled down (never up) so that their longer side is at most this many pixels."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 92
    max_seconds: Positive = 600.0
    """A longer clip is quarantined."""
    max_pixels: Count = 4096 * 4096
    timeout_seconds: Positive = 60.0
    """Wall-clock limit for one clip."""
    memory_mb: Count = 4096
    """Address-space limit of a decoding worker."""
    max_failed: Fraction = 0.05
    """The stage fails when a larger share of the clips was quarantined."""


class TranscribeParams(Section):
    prefer: Literal["chinese", "english"] = "chinese"
    """Which of the corpus' own transcripts to use where it has several languages."""


class AudioParams(Section):
    model: str = "sample/hubert"
    """Hugging Face folder or fairseq `.pt` of a speech encoder."""
    layers: tuple[int, ...] = (-4, -3, -2, -1)
    """Transformer blocks whose outputs are summed; negative counts from the last."""
    pooling: Literal["mean", "mean_std"] = "mean"
    window_seconds: Positive = 30.0
    overlap_seconds: Annotated[float, Field(ge=0.0)] = 1.0
    frames: bool = False
    """Also write per-frame features to frames.safetensors."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_seconds: Positive = 60.0
    """Audio seconds in a batch at most."""


class FaceParams(Section):
    detector: Literal["haar", "yunet"] = "haar"
    detector_model: str | None = None
    """YuNet's ONNX file."""
    on_missing: Literal["mask", "whole_frame"] = "mask"
    crop_size: Count = 112
    encoder: str = "hog"
    """`hog`, a Hugging Face vision folder or an ONNX file."""
    pooling: Literal["mean", "mean_std"] = "mean_std"
    frames: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_frames: Count = 64


class TextParams(Section):
    encoder: str = "tfidf"
    """`tfidf` (character n-grams + truncated SVD, fitted on the corpus) or a Hugging Face folder."""
    dimensions: Count = 128
    ngrams: tuple[int, int] = (1, 3)
    seed: int = 0
    layers: tuple[int, ...] = (-4, -3, -2, -1)
    frames: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_tokens: Count = 8192
    trust_remote_code: bool = False


class ModelParams(Section):
    kind: Literal["mrccl"] = "mrccl"


class PretrainParams(Section):
    epochs: Annotated[int, Field(ge=0)] = 30
    seed: int = 0


class SelfTrainParams(Section):
    rounds: Annotated[int, Field(ge=0)] = 3
    seed: int = 0


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    seed: int = 0


class Params(Section):
    corpus: CorpusParams = CorpusParams()
    compute: ComputeParams = ComputeParams()
    decode: DecodeParams = DecodeParams()
    transcribe: TranscribeParams = TranscribeParams()
    audio: AudioParams = AudioParams()
    face: FaceParams = FaceParams()
    text: TextParams = TextParams()
    model: ModelParams = ModelParams()
    pretrain: PretrainParams = PretrainParams()
    self_train: SelfTrainParams = SelfTrainParams()
    evaluate: EvaluateParams = EvaluateParams()


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a params file.

    Raises:
        MerError: the file is missing or not YAML, or a key is unknown or has a bad value; the line names the key.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except OSError as error:
        raise MerError(f"{path}: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise MerError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_params(values, source=str(path))


def parse_params(values: Any, *, source: str = "params") -> Params:
    """Check a nested mapping of values against the sections; see `load_params` for what is raised."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise MerError(f"{source}: " + "; ".join(map(_one_fault, error.errors()))) from None


def _one_fault(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "the file"
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if fault["type"] == "model_type":
        return f"'{key}': a mapping of keys is needed (got {fault['input']!r})"
    return f"'{key}': {fault['msg'].removeprefix('Value error, ')} (got {fault['input']!r})"
