"""Transcripts, face crops, and the encoders of each modality."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mer.params.base import Count, Modality, Positive, Section, StepSection


class TranscribeParams(StepSection):
    prefer: Literal["chinese", "english"] = "chinese"
    """Which of the corpus' own transcripts to use where it has several languages."""
    asr: str | None = None
    """Whisper's folder (Hugging Face's or CTranslate2's) for clips without a transcript; None leaves them empty."""
    language: str | None = None
    """What is spoken, such as `zh`; None lets the model find out, clip by clip."""
    beams: Annotated[int, Field(ge=1, le=32)] = 5
    """Texts followed side by side, as published; 1 is greedy: a little faster, hears a little worse."""
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


class AudioParams(StepSection):
    """A view by a speech encoder."""

    modality: Literal["audio"] = "audio"
    model: str = "sample/hubert"
    """Hugging Face folder or fairseq `.pt` of a speech encoder."""
    layers: Literal["all"] | Annotated[tuple[int, ...], Field(min_length=1)] = (-4, -3, -2, -1)
    """Transformer blocks whose outputs are used: 0 is the first, -1 the last; or `all`."""
    combine: Literal["sum", "concatenate", "weighted"] = "sum"
    """Sum of these blocks, as published; all of them side by side; or each kept, for the model to learn how much of
    which it sums (SUPERB)."""
    pooling: Literal["mean", "mean_std"] = "mean"
    window_seconds: Annotated[float, Field(ge=1.0)] = 30.0
    """A longer clip is encoded in windows of this length and stitched."""
    overlap_seconds: Annotated[float, Field(ge=0.0)] = 1.0
    """What neighbouring windows share."""
    full_window: bool = False
    """For Whisper: pad each clip to the 30 s that it was trained with; else it hears the clip alone, much faster."""
    frames: bool = False
    """Also write per-frame features to frames.safetensors."""
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"
    """Precision of the products; `int8` is for CPUs, and loses more: see docs/speech.md."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_seconds: Positive = 60.0
    """Audio seconds encoded at once; what a clip gets does not depend on it."""

    @model_validator(mode="after")
    def _overlap_is_shorter(self) -> AudioParams:
        if self.overlap_seconds >= self.window_seconds:
            raise ValueError(f"overlap_seconds must be below window_seconds ({self.window_seconds})")
        if self.combine == "weighted" and self.frames:
            raise ValueError("combine weighted keeps vectors of whole clips alone; set frames to false, or take sum")
        return self


class CropParams(StepSection):
    """Crops of the main face, made once for all face views."""

    crops: str | None = None
    """Crops that others made, instead of a detector's: MERTools' folder openface_face."""
    detector: Literal["haar", "yunet", "mediapipe"] = "haar"
    detector_model: str | None = None
    """YuNet's ONNX file, or MediaPipe's TFLite file."""
    detector_sha256: str | None = None
    """Expected SHA-256 of that file; None accepts any."""
    smallest: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Smallest face looked for, as a share of the frame's longer side; half of it costs four times as much."""
    on_missing: Literal["mask", "whole_frame"] = "mask"
    crop_size: Annotated[int, Field(ge=16)] = 112


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


class FaceParams(StepSection):
    """A view by an encoder of face crops."""

    modality: Literal["face"] = "face"
    encoder: str = "hog"
    """`hog`, a Hugging Face vision folder or an ONNX file."""
    onnx: OnnxParams = OnnxParams()
    pooling: Literal["mean", "mean_std"] = "mean_std"
    frames: bool = False
    """Also write features of each crop to frames.safetensors."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_frames: Count = 64


class TextParams(StepSection):
    """A view by a text encoder."""

    modality: Literal["text"] = "text"
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


class ImportParams(StepSection):
    """A view of features that others extracted."""

    modality: Modality
    source: str
    """Folder or file that holds them, absolute or relative to here."""
    array: str | None = None
    """Which of the file's arrays, columns or keys, where it holds several."""
    pooling: Literal["mean", "mean_std"] = "mean_std"
    """How frames become the vector of a clip; vectors of whole clips stay as they are."""
    frames: bool = False
    """Also keep the frames, where the source has them."""
