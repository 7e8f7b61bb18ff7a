"""A view of features that others extracted: read in their form, pooled, and written as any other view's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.encoders.base import kept_frames
from mer.errors import MerError
from mer.extraction.per_clip import Place
from mer.extraction.settings import deciding
from mer.imports import FeatureSource, ImportedError, match, open_source
from mer.params import ImportParams
from mer.store.cache import Failure
from mer.store.keys import digest
from mer.store.manifest import Made, write_manifest
from mer.store.quarantine import write_quarantine
from mer.store.tables import write_frames, write_utterances

VERSION = 1
"""Raise when the same source and params would give other features."""


@dataclass
class Imported:
    """What became of each clip: the number of its frames, its vector, or why it has none."""

    frames: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    cached: int = 0

    @property
    def computed(self) -> int:
        return len(self.vectors)


def extract_import(name: str, params: ImportParams, place: Place) -> Imported:
    """Write `utterance.parquet`, and `frames.safetensors` where asked, a row a clip, to `features/<name>`.

    A clip that the source lacks, or has nothing but zeros for, is absent in this view.

    Raises:
        MerError: the source cannot be read, has no clip in common with the corpus, holds vectors of several widths, or
            more of its clips are damaged than `max_failed` allows.
    """
    source = open_source(Path(params.source), name=params.array)
    clip_ids = list(place.clips["clip_id"])
    lines = [source.describe(), *match(clip_ids, source.clip_ids, f"views.{name}")]
    known = set(source.clip_ids)
    found = _read(source, [clip_id for clip_id in clip_ids if clip_id in known], params)
    width = _width(found, name)
    _write(place, name, clip_ids, source, found, width, params)
    absent = len(clip_ids) - len(found.vectors)
    lines += [*source.notes(), f"{name}: {len(clip_ids)} clips: {len(found.vectors)} imported, {absent} absent"]
    print("\n".join(lines), flush=True)
    if len(found.failed) > params.max_failed * len(clip_ids):
        clip_id, fault = next(iter(found.failed.items()))
        raise MerError(
            f"views.{name}.max_failed: {len(found.failed)} of {len(clip_ids)} clips failed (clip '{clip_id}': "
            f"{fault.message}), more than the share of {params.max_failed:g}"
        )
    return found


def _read(source: FeatureSource, clip_ids: Sequence[str], params: ImportParams) -> Imported:
    found = Imported()
    try:
        for clip_id, values in source.read_many(clip_ids):
            _take(found, clip_id, values, params)
    except ImportedError:  # which one it was is told by reading them one by one
        found = Imported()
        for clip_id in clip_ids:
            try:
                _take(found, clip_id, source.read(clip_id), params)
            except ImportedError as fault:
                found.failed[clip_id] = Failure.of(fault)
    return found


def _take(found: Imported, clip_id: str, values: NDArray[np.float32] | None, params: ImportParams) -> None:
    if values is not None and values.size:
        found.vectors[clip_id] = pooled(values, params.pooling)
        found.frames[clip_id] = len(values) if values.ndim == 2 else 1


def pooled(values: NDArray[np.float32], pooling: str) -> NDArray[np.float32]:
    """The vector of a clip: [D] as it is; of frames [T, D] their mean, with `mean_std` followed by the deviation."""
    if values.ndim == 1:
        return values
    parts = [values.mean(axis=0, dtype=np.float64)]
    if pooling == "mean_std":
        parts.append(values.std(axis=0, dtype=np.float64))
    return np.concatenate(parts).astype(np.float32)


def _width(found: Imported, name: str) -> int:
    """The width of all clips' vectors."""
    widths: dict[int, list[str]] = {}
    for clip_id, vector in found.vectors.items():
        widths.setdefault(len(vector), []).append(clip_id)
    if not widths:
        raise MerError(f"views.{name}: the source has no values for any clip of the corpus")
    if len(widths) > 1:
        (most, usual), (other, odd) = sorted(widths.items(), key=lambda item: -len(item[1]))[:2]
        raise MerError(
            f"views.{name}: {len(odd)} clips give {other} columns (the first is '{odd[0]}'), where {len(usual)} clips "
            f"give {most}; a view has one width"
        )
    return next(iter(widths))


def _write(
    place: Place,
    name: str,
    clip_ids: Sequence[str],
    source: FeatureSource,
    found: Imported,
    width: int,
    params: ImportParams,
) -> None:
    out = place.data / "features" / name
    shutil.rmtree(out, ignore_errors=True)
    nothing = np.zeros(width, np.float32)
    rows = (
        (clip_id, found.vectors.get(clip_id, nothing), found.frames.get(clip_id, 0), clip_id in found.vectors)
        for clip_id in clip_ids
    )
    write_utterances(out / "utterance.parquet", rows, width)
    if params.frames:
        _write_frames(out / "frames.safetensors", name, clip_ids, source, found)
    keys = {c: sha256(found.vectors[c].tobytes()).hexdigest() for c in clip_ids if c in found.vectors}
    fingerprint = digest("import", VERSION, deciding(params), list(keys.items()))
    columns: dict[str, Sequence[Any]] = {
        "clip_id": list(clip_ids),
        "key": [keys.get(clip_id) for clip_id in clip_ids],
        "ok": [clip_id in keys for clip_id in clip_ids],
        "error": [fault and fault.error for fault in map(found.failed.get, clip_ids)],
        "message": [fault and fault.message for fault in map(found.failed.get, clip_ids)],
    }
    made = Made(f"extract@{name}", fingerprint, params.source, deciding(params))
    write_manifest(place.manifest(name), columns, made)
    write_quarantine(place.quarantine(name), _quarantined(place, made.stage, found))


def _write_frames(path: Path, name: str, clip_ids: Sequence[str], source: FeatureSource, found: Imported) -> None:
    """One clip's frames in memory at a time."""
    first = next(iter(found.vectors))
    values = source.read(first)
    if values is None or values.ndim != 2:
        raise MerError(f"views.{name}.frames: the source has a vector a clip, no frames (clip '{first}')")
    width = values.shape[1]

    def arrays() -> Iterator[NDArray[np.float16]]:
        for clip_id in clip_ids:
            own = source.read(clip_id) if clip_id in found.vectors else None
            kept = np.zeros((0, width), np.float32) if own is None else own
            yield kept_frames(kept)

    write_frames(path, arrays(), [found.frames.get(clip_id, 0) for clip_id in clip_ids], width)


def _quarantined(place: Place, stage: str, found: Imported) -> Iterator[dict[str, str | None]]:
    for clip in place.clips.itertuples(index=False):
        fault = found.failed.get(str(clip.clip_id))
        if fault is not None:
            where = {"clip_id": str(clip.clip_id), "stage": stage, "path": str(clip.path), "sha256": None}
            yield {**where, "kind": "failed", "error": fault.error, "message": fault.message}
