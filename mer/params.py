"""Typed view of `params.yaml`: one frozen model a section, sections named after what they steer.

An unknown key, a missing key's default and a value out of range are all decided here, so no other
module checks a parameter. Sections hold plain values only; nothing here reads data or loads a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    asr: str | None = None
    """Whisper's folder (Hugging Face's or CTranslate2's) for clips without a transcript; None leaves them empty."""
    language: str | None = None
    """What is spoken, such as `zh`; None lets the model find out, clip by clip."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_windows: Count = 8
    """Windows of 30 seconds in a batch."""


class AdaptAudioParams(Section):
    model: str = "sample/hubert"
    """HuBERT to start from: a Hugging Face folder or a fairseq `.pt`."""
    layer: int | None = None
    """Block whose frames are clustered into units: 0 is the first, -1 the last; None takes the middle one."""
    units: Annotated[int, Field(ge=2, le=32767)] = 100
    fit_frames: Count = 300_000
    """Frames that the units are fitted on, about."""
    epochs: Count = 5
    learning_rate: Positive = 1e-4
    batch_seconds: Positive = 60.0
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


class AudioParams(Section):
    model: str = "sample/hubert"
    """Hugging Face folder or fairseq `.pt` of a speech encoder."""
    layers: Annotated[tuple[int, ...], Field(min_length=1)] = (-4, -3, -2, -1)
    """Transformer blocks whose outputs are summed: 0 is the first, -1 the last."""
    pooling: Literal["mean", "mean_std"] = "mean"
    window_seconds: Annotated[float, Field(ge=1.0)] = 30.0
    """A longer clip is encoded in windows of this length and stitched."""
    overlap_seconds: Annotated[float, Field(ge=0.0)] = 1.0
    """What neighbouring windows share."""
    frames: bool = False
    """Also write per-frame features to frames.safetensors."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_seconds: Positive = 60.0
    """Audio seconds encoded at once; what a clip gets does not depend on it."""

    @model_validator(mode="after")
    def _overlap_is_shorter(self) -> AudioParams:
        if self.overlap_seconds >= self.window_seconds:
            raise ValueError(f"overlap_seconds must be below window_seconds ({self.window_seconds})")
        return self


class OnnxParams(Section):
    """What an ONNX face model does not say of itself; None reads it from the file."""

    size: Count | None = None
    """Side of its square input in pixels."""
    mean: tuple[float, float, float] | None = None
    deviation: tuple[float, float, float] | None = None
    """Pixels in 0..1 less `mean` over `deviation`; 0 and 1 where the file does not say either."""
    channels: Literal["rgb", "bgr"] = "rgb"
    output: str | None = None
    """Which of its outputs is the embedding."""


class FaceParams(Section):
    detector: Literal["haar", "yunet"] = "haar"
    detector_model: str | None = None
    """YuNet's ONNX file."""
    detector_sha256: str | None = None
    """Expected SHA-256 of that file; None accepts any."""
    smallest: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Smallest face looked for, as a share of the frame's longer side; half of it costs four times as much."""
    on_missing: Literal["mask", "whole_frame"] = "mask"
    crop_size: Annotated[int, Field(ge=16)] = 112
    encoder: str = "hog"
    """`hog`, a Hugging Face vision folder or an ONNX file."""
    onnx: OnnxParams = OnnxParams()
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
    """Shortest and longest character n-gram of TF-IDF."""
    vocabulary: Count = 50_000
    """Most frequent n-grams that TF-IDF keeps."""
    seed: int = 0
    layers: Annotated[tuple[int, ...], Field(min_length=1)] = (-4, -3, -2, -1)
    """Transformer blocks whose outputs are summed; negative counts from the last."""
    frames: bool = False
    """Also write features of each token to frames.safetensors; not for `tfidf`."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "sharded"] = "auto"
    """`sharded` deals the blocks of a large model over all devices; needs the package accelerate."""
    batch_tokens: Count = 8192
    """Tokens in a batch at most, padding counted."""
    trust_remote_code: bool = False
    """Run model code that the folder brings along; read it first."""


class ModelParams(Section):
    kind: Literal["mrccl", "logistic", "attention", "tfn", "lmf", "mult"] = "mrccl"
    """MR-CCL, or a baseline under the same protocol; only `mrccl` is pretrained."""
    modalities: tuple[Literal["audio", "face", "text"], ...] = ("audio", "face", "text")
    """Which modalities the model sees; one alone is allowed."""
    normalise: Literal["corpus", "group"] = "corpus"
    """Standardise features over all clips, or within each group (speaker) where groups are known; no labels used."""
    components: Annotated[int, Field(ge=0)] = 256
    """Wider features are rotated to this many principal components, fitted on all clips; 0 keeps every column."""
    width: Count = 128
    """Width of the encoders and of the classifiers' hidden layer."""
    blocks: Annotated[int, Field(ge=0)] = 1
    """Transformer blocks in each modality encoder."""
    heads: Count = 4
    """Attention heads; must divide `width`."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of the encoded features hidden from the classifiers in training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model trains; `auto` takes a GPU where there is one."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelParams:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities must name at least one, each once")
        return self


class PretrainParams(Section):
    epochs: Annotated[int, Field(ge=0)] = 30
    """Passes over all clips; 0 leaves the encoders random."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Clips contrasted with each other; the held-out clips are ranked among each other."""
    learning_rate: Positive = 1e-3
    """AdamW's, falling to zero along a half cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    objective: Literal["nt_xent", "supcon", "sigmoid"] = "nt_xent"
    """NT-Xent, SupCon with the clip as its class, or SigLIP's pairwise loss. None of them uses a label."""
    temperature: Positive = 0.5
    """Initial temperature; every term learns its own."""
    inter_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the inter-modal terms."""
    noise_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Weight of the mean of the noise terms."""
    noise: Literal["gaussian", "impulse"] = "gaussian"
    """What the noisy copies are mixed with."""
    schedule: Literal["linear", "scaled_linear", "squared_cosine", "sigmoid"] = "linear"
    """How beta grows over the noise steps."""
    noise_steps: Count = 100
    """Steps of the schedule; each clip's step is drawn anew every time."""
    beta_start: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.001
    """Noise variance added at the first step."""
    beta_end: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Noise variance added at the last step."""
    labeled_out: bool = False
    """Hold out the labeled clips where at least half of the clips are not labeled: their encodings are then what those
    of new speakers will be. Worth a try where speakers are few and new ones come."""
    held_out: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Otherwise, the share of the clips held out to measure cross-modal retrieval; 0 holds out none and never stops."""
    patience: Count = 10
    """Epochs without better retrieval on the held-out clips before the best weights are taken."""
    seed: int = 0
    """Seed of the initial weights, the order of the clips, the noise and the held-out share."""


class SelfTrainParams(Section):
    rounds: Annotated[int, Field(ge=0)] = 1
    """How often teachers are trained again with their pseudo-labels; 0 uses none. Stops when growth stops."""
    seeds: Count = 2
    """Members trained on each training set, from other initial weights, batches and dropout."""
    steps: Count = 300
    """Optimiser steps of every member: the same for few labels as for many."""
    batch_size: Count = 32
    """Clips a step and member."""
    learning_rate: Positive = 1e-3
    """AdamW's for classifiers, falling to zero along a half cosine."""
    encoder_learning_rate: Annotated[float, Field(ge=0.0)] = 0.0
    """AdamW's for a copy of the pretrained encoders in each member; 0 freezes them, and all members share them."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    oversampling: Fraction = 1.0
    """Exponent: 1 repeats clips until every class is as large as the largest, 0 repeats none."""
    logit_adjustment: Annotated[float, Field(ge=0.0)] = 0.0
    """Strength of logit adjustment, the alternative to oversampling: 1 is the published one, 0 is off."""
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Chance that a modality is hidden from a training clip; one always stays."""
    mixup: Annotated[float, Field(ge=0.0)] = 0.0
    """Both parameters of the Beta distribution that mixes features and labels of two clips; 0 is off."""
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay of an average of each member's weights, which then replaces them; 0 is off."""
    thresholds: Literal["published", "precision", "soft"] = "precision"
    """Fixed thresholds; per class the lowest that reaches `precision` out of fold; or every clip, softly weighted."""
    threshold: Fraction = 0.99
    """A pseudo-label needs this calibrated probability (`published`)."""
    low_threshold: Fraction = 0.85
    """The same for `low_classes`."""
    low_classes: tuple[str, ...] = ("worried", "surprise")
    """Classes that take `low_threshold`."""
    precision: Fraction = 0.9
    """Target share of right pseudo-labels per class (`precision`)."""
    quota: Fraction = 0.0
    """At most this share of the unlabeled clips, shared out by the classes' expected sizes; 0 sets no limit."""
    pseudo_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """At most this share of what a member is shown are pseudo-labels."""
    prior: Literal["labeled", "em", "bbse"] = "labeled"
    """Expected class sizes among the unlabeled clips: as among the labeled ones, or estimated; see the rounds table."""
    voting: Literal["published", "equal", "learned", "stacking"] = "learned"
    """Weights of the audio, face, text and fused classifiers: 0.7, 0.4, 0.3, 0.7; equal; learned out of fold; or a
    regression on their out-of-fold log-probabilities."""
    seed: int = 0
    """Seed of every member's initial weights, batches and dropout."""


class EvaluateParams(Section):
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    seed: int = 0


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
