"""Features of every clip: the per-clip step of an encoder, then its utterance table and frame tensors."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from mer.encoders.base import Encoder, Features
from mer.errors import ClipError, NotANumberError
from mer.extraction.per_clip import Content, Done, Limits, Place, Step, run_per_clip
from mer.extraction.settings import deciding
from mer.params import ComputeParams, EncoderParams, origin
from mer.store.manifest import Made
from mer.store.tables import write_frames, write_utterances

Raw = TypeVar("Raw")
Item = TypeVar("Item")

FEATURES = pa.schema(
    [
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("ok", pa.bool_(), nullable=False),
        pa.field("values", pa.binary()),
        pa.field("note", pa.string(), nullable=False),
    ]
)
"""A cached row: `values` holds float16 [frames, D] in C order, null where frame features were not asked for."""


@dataclass(frozen=True)
class EncoderWorker(Generic[Raw, Item]):
    """Loads the encoder, once a process, and turns batches of raw content into cache rows."""

    load: Callable[[], Encoder[Item]]
    unpack: Callable[[Raw], Item]

    def setup(self) -> Callable[[Sequence[Raw]], list[dict[str, Any] | ClipError]]:
        encoder = self.load()
        return lambda batch: [_to_row(features) for features in encoder.encode([self.unpack(raw) for raw in batch])]


@dataclass(frozen=True)
class View:
    """A view by an encoder: its name, its section of the params, and the encoder that they name."""

    name: str
    params: EncoderParams
    encoder: Encoder[Any]

    @property
    def made(self) -> Made:
        """Who makes the features; the name of the view decides nothing."""
        compatible = getattr(self.encoder, "compatible", "")
        own = deciding(self.params)
        return Made(f"extract@{self.name}", self.encoder.fingerprint, origin(self.params), own, compatible)


def write_features(
    view: View,
    content: Content[Raw],
    worker: EncoderWorker[Raw, Any],
    compute: ComputeParams,
    place: Place,
    *,
    batch_size: int,
) -> Done:
    """Write `utterance.parquet`, and `frames.safetensors` where asked, a row a clip, to `features/<view>`.

    Rows are cached by modality: views of the same encoder share them, whatever their names.

    Raises:
        MerError: see `mer.extraction.per_clip.run_per_clip`.
    """
    name, params, dimensions = view.name, view.params, view.encoder.dimensions
    out, blocks = place.data / "features" / name, getattr(view.encoder, "blocks", 1)

    def materialise(done: Done) -> Done:
        shutil.rmtree(out, ignore_errors=True)
        masked: Counter[str] = Counter()
        write_utterances(out / "utterance.parquet", _utterances(done, dimensions, masked), dimensions, blocks)
        if params.frames:
            _write_frames(out / "frames.safetensors", done)
        if masked:
            reasons = ", ".join(f"{count} {note or 'empty'}" for note, count in masked.most_common())
            print(f"{name}: masked in {masked.total()} clips ({reasons})", flush=True)
        return done

    limits = Limits(f"views.{name}", params.max_failed, params.max_lost)
    step: Step[Raw] = Step(
        name,
        FEATURES,
        view.made,
        worker,
        limits,
        batch_size,
        noted=("ok", "note"),
        notes=_shortened,
        shelf=params.modality,
    )
    return run_per_clip(step, content, compute, place, materialise)


def for_device(compute: ComputeParams, device: str) -> ComputeParams:
    """One worker where the encoder runs on this machine's GPU: several would only load the same weights again."""
    if compute.engine == "local" and device != "cpu" and torch.cuda.is_available():
        return compute.model_copy(update={"workers": 1})
    return compute


def _to_row(features: Features) -> dict[str, Any] | ClipError:
    if not np.isfinite(features.embedding).all():
        return NotANumberError("the encoder gives values that are not finite numbers")
    values = None if features.values is None else np.ascontiguousarray(features.values, "<f2").tobytes()
    return {
        "embedding": features.embedding,
        "frames": features.frames,
        "ok": features.ok,
        "values": values,
        "note": features.note,
    }


def _shortened(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Features that were made of a part of the clip; those that are absent are counted as masked."""
    if row["ok"] and row["note"]:
        yield "shortened", row["note"]


def _utterances(
    done: Done, dimensions: int, masked: Counter[str]
) -> Iterator[tuple[str, NDArray[np.float32], int, bool]]:
    """Rows of the utterance table; counts, by reason, those whose modality proved absent."""
    nothing = np.zeros(dimensions, np.float32)
    for clip_id, row in zip(done.keys, done.rows(["embedding", "frames", "ok", "note"]), strict=True):
        if row is None:
            yield clip_id, nothing, 0, False
            continue
        if not row["ok"]:
            masked[row["note"]] += 1
        yield clip_id, np.asarray(row["embedding"], np.float32), row["frames"], row["ok"]


def _write_frames(path: Path, done: Done) -> None:
    """Two passes over the cache: the lengths, then one clip's values at a time."""
    lengths, width = [], 0
    for row in done.rows(["values", "frames"]):
        filled = row is not None and bool(row["values"])
        lengths.append(row["frames"] if row is not None and filled else 0)
        if row is not None and filled:
            width = len(row["values"]) // (2 * row["frames"])  # that of a frame: a pooled deviation doubles a clip's
    width = max(width, 1)
    arrays = (
        np.frombuffer((row["values"] if row else None) or b"", "<f2").reshape(-1, width)
        for row in done.rows(["values"])
    )
    write_frames(path, arrays, lengths, width)
