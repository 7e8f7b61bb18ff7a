"""Features of every clip: fill what the shard cache lacks, then write the outs in the clip table's order.

A modality says three things: what a clip's content is (a digest), how content is loaded, and which encoder takes it.
The key of a cached row is the digest of content and encoder, so one new clip costs one clip, and going back to an
earlier parameter costs nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from mer.clips import ClipTable
from mer.compute.worker import Worker
from mer.encoders.base import Encoder, Features
from mer.errors import ClipError
from mer.media import encode
from mer.params import ComputeParams
from mer.store.cache import ShardCache
from mer.store.fill import FillReport, fill, fill_and_use
from mer.store.keys import digest
from mer.store.location import cache_root
from mer.store.media import MediaFolder
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
class Content(Generic[Raw]):
    """What there is to encode.

    `digests` maps every clip, in the clip table's order, to the digest of its content, or to None where it has none.
    `load` yields pairs of clip and raw content for the clips asked for, in any order, without holding them all.
    """

    digests: Mapping[str, str | None]
    load: Callable[[Sequence[str]], Iterable[tuple[str, Raw]]]


@dataclass(frozen=True)
class EncoderWorker(Generic[Raw, Item]):
    """Loads the encoder, once a process, and turns batches of raw content into cache rows."""

    load: Callable[[], Encoder[Item]]
    unpack: Callable[[Raw], Item]

    def setup(self) -> Callable[[Sequence[Raw]], list[dict[str, Any] | ClipError]]:
        encoder = self.load()
        return lambda batch: [_to_row(features) for features in encoder.encode([self.unpack(raw) for raw in batch])]


@dataclass(frozen=True)
class Cached:
    """A corpus' rows in the shard cache: each clip's key (None: no content), and what filling them took."""

    cache: ShardCache
    keys: Mapping[str, str | None]
    report: FillReport

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any] | None]:
        """The row of every clip, in order; None where the clip has no content or failed."""
        found = [key for key in self.keys.values() if key is not None and key not in self.report.failed]
        rows = self.cache.read(found) if columns is None else self.cache.read_columns(found, columns)
        for key in self.keys.values():
            yield next(rows) if key is not None and key not in self.report.failed else None


def fill_corpus(
    name: str,
    schema: pa.Schema,
    fingerprint: str,
    content: Content[Raw],
    worker: Worker[Raw, Mapping[str, Any]],
    compute: ComputeParams,
    *,
    batch_size: int,
) -> Cached:
    """Compute the rows that the shard cache `name` lacks; clips with the same content are computed once."""
    cache = ShardCache(cache_root(), name, schema)
    keys = {
        clip_id: None if value is None else digest(name, fingerprint, value)
        for clip_id, value in content.digests.items()
    }
    first = {key: clip_id for clip_id, key in reversed(keys.items()) if key is not None}
    missing = [first[key] for key in cache.missing(list(first))]
    items = ((str(keys[clip_id]), raw) for clip_id, raw in content.load(missing)) if missing else iter(())
    report = fill(cache, items, worker, compute, batch_size=batch_size, total=len(missing), description=name)
    failed = cache.failures(list(first)) | dict(report.failed)
    return Cached(cache, keys, FillReport(report.done, len(first) - len(missing), failed))


def write_features(
    name: str,
    encoder: Encoder[Any],
    content: Content[Raw],
    worker: EncoderWorker[Raw, Any],
    compute: ComputeParams,
    out: Path,
    *,
    batch_size: int,
    with_frames: bool,
) -> FillReport:
    """Write `out/utterance.parquet`, and `out/frames.safetensors` where asked, a row a clip."""

    def compute_missing() -> Cached:
        return fill_corpus(name, FEATURES, encoder.fingerprint, content, worker, compute, batch_size=batch_size)

    def materialise(cached: Cached) -> FillReport:
        shutil.rmtree(out, ignore_errors=True)
        write_utterances(out / "utterance.parquet", _utterances(cached, encoder.dimensions), encoder.dimensions)
        if with_frames:
            _write_frames(out / "frames.safetensors", cached, encoder.dimensions)
        return cached.report

    return fill_and_use(compute_missing, materialise)


def media_digests(clips: ClipTable, media: MediaFolder, column: str) -> dict[str, str | None]:
    """Each clip's digest of its audio or frames; None where it has none or is in quarantine."""
    index = media.index(["clip_id", column])
    known = dict(zip(index["clip_id"], index[column], strict=True))
    return {clip_id: known.get(clip_id) or None for clip_id in clips.rows["clip_id"]}


def load_audio(media: MediaFolder, clip_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """FLAC bytes of the clips asked for, in stored order; those without sound are left out."""
    for record in media.iter_records(clip_ids, ["audio"]):
        if record.audio is not None:
            yield record.clip_id, record.audio


def waveforms(media: MediaFolder, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Float32 [samples] at 16 kHz of the clips asked for, as `load_audio` gives them."""
    return ((clip_id, encode.waveform(audio)) for clip_id, audio in load_audio(media, clip_ids))


def for_device(compute: ComputeParams, device: str) -> ComputeParams:
    """One worker where the encoder runs on this machine's GPU: several would only load the same weights again."""
    if compute.engine == "local" and device != "cpu" and torch.cuda.is_available():
        return compute.model_copy(update={"workers": 1})
    return compute


def _to_row(features: Features) -> dict[str, Any]:
    values = None if features.values is None else np.ascontiguousarray(features.values, "<f2").tobytes()
    return {
        "embedding": features.embedding,
        "frames": features.frames,
        "ok": features.ok,
        "values": values,
        "note": features.note,
    }


def _utterances(cached: Cached, dimensions: int) -> Iterator[tuple[str, NDArray[np.float32], int, bool]]:
    nothing = np.zeros(dimensions, np.float32)
    columns = ["embedding", "frames", "ok"]
    for clip_id, row in zip(cached.keys, cached.rows(columns), strict=True):
        if row is None:
            yield clip_id, nothing, 0, False
        else:
            yield clip_id, np.asarray(row["embedding"], np.float32), row["frames"], row["ok"]


def _write_frames(path: Path, cached: Cached, dimensions: int) -> None:
    """Two passes over the cache: the lengths, then one clip's values at a time."""
    size = 2 * dimensions
    lengths = [len(row["values"] or b"") // size if row else 0 for row in cached.rows(["values"])]
    arrays = (
        np.frombuffer((row["values"] if row else None) or b"", "<f2").reshape(-1, dimensions)
        for row in cached.rows(["values"])
    )
    write_frames(path, arrays, lengths, dimensions)
