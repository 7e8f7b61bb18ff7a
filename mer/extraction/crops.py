"""The crop_faces stage: crops of the main face of every clip, made once for any number of face views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import SCHEMA, to_record
from mer.errors import ClipError, MerError
from mer.extraction.contents import read_contents, write_contents
from mer.extraction.crop_import import import_step, imported_crops
from mer.extraction.media import Media
from mer.extraction.per_clip import Content, Done, Limits, Step, fill_cache, run_per_clip
from mer.extraction.settings import deciding
from mer.media.record import MediaRecord
from mer.params import ComputeParams, CropParams
from mer.store.cache import ShardCache
from mer.store.location import cache_root
from mer.store.manifest import Made, read_manifest
from mer.store.shards import MissingRowsError

NAME, STAGE = "face_crops", "crop_faces"
BATCH_CLIPS = 16


@dataclass(frozen=True)
class CropWorker:
    """Finds and crops the main face of decoded clips."""

    params: CropParams

    def setup(self) -> Callable[[Sequence[MediaRecord]], list[dict[str, Any] | ClipError]]:
        cropper = FaceCropper(self.params)
        return lambda batch: [to_record(cropper.crop(record.images(), record.timestamps)) for record in batch]


@dataclass(frozen=True)
class CropReport:
    """What was done, and how well faces were found.

    `detection` holds `clips_with_face` and `detection_rate`, shares of the clips with frames and of their sampled
    frames, and `mean_score` over the frames with a face, on the detector's scale.
    """

    crops: Done
    detection: dict[str, float]


def crop_faces(media: Media, params: CropParams, compute: ComputeParams, *, wanted: bool = True) -> CropReport:
    """Fill the cache with crops; write `manifests/face_crops.parquet` and `contents/face.parquet`.

    Args:
        wanted: whether any view is made of crops; else nothing is looked for.

    Raises:
        MerError: the detector that `faces` names cannot be loaded.
    """
    place = media.place
    step, content = _work(media, params, wanted=wanted)

    def finish(done: Done) -> CropReport:
        write_contents(place.data, "face", done.keys)
        return CropReport(done, _detection(done))

    return run_per_clip(step, content, compute, place, finish)


def open_crops(media: Media, params: CropParams, compute: ComputeParams) -> Content[dict[str, Any]]:
    """The crops that `crop_faces` made; what was pruned from the cache is made again.

    Raises:
        MerError: the stage has not run; or, while reading, a clip's crops cannot be made again.
    """
    digests = read_contents(media.place.data, "face")

    def load(clip_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        done = 0
        try:
            for pair in read(clip_ids):
                yield pair
                done += 1
        except MissingRowsError:  # pruned meanwhile, or corrupt and set aside by now: made again
            yield from read(clip_ids[done:])

    def read(clip_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        keys = [str(digests[clip_id]) for clip_id in clip_ids]
        cache = ShardCache(cache_root(), NAME, SCHEMA)
        missing = set(cache.results_missing(keys))
        if missing:
            lost = [clip_id for clip_id, key in zip(clip_ids, keys, strict=True) if key in missing]
            _make_again(media, params, compute, lost, digests)
            cache.results.refresh()
        yield from zip(clip_ids, cache.read(keys), strict=True)

    return Content(digests, load)


def _make_again(
    media: Media, params: CropParams, compute: ComputeParams, clip_ids: Sequence[str], digests: dict[str, str | None]
) -> None:
    print(f"crops of {len(clip_ids)} clips are not in the cache: made again", flush=True)
    step, content = _work(media, params)
    manifest = read_manifest(media.place.manifest(NAME))
    if manifest.made.fingerprint != step.made.fingerprint:
        raise MerError(
            f"{manifest.path}: cropped by {manifest.made.name}, here it would be by {step.made.name}; "
            f"{len(clip_ids)} clips are not in the cache: run `dvc repro --force {STAGE}`"
        )
    wanted = set(clip_ids)
    _, keys, report = fill_cache(
        step, Content({c: of for c, of in content.digests.items() if c in wanted}, content.load), compute
    )
    for clip_id, key in keys.items():
        failure = report.lost.get(str(key)) or report.failed.get(str(key))
        if key != digests[clip_id] or failure is not None:
            reason = failure.message if failure is not None else "its frames are not those that were cropped"
            raise MerError(f"clip '{clip_id}': its crops are not in the cache, and cannot be made again: {reason}")


def _work(media: Media, params: CropParams, *, wanted: bool = True) -> tuple[Step[Any], Content[Any]]:
    """The step that makes crops and what it works on: decoded frames, or the crops that `faces.crops` holds."""
    clip_ids = list(media.manifest.keys)
    step: Step[Any] = _step(params) if params.crops is None else import_step(NAME, STAGE, params, BATCH_CLIPS)
    if not wanted:
        return step, Content(dict.fromkeys(clip_ids), lambda clip_ids: ())
    return step, _frames(media) if params.crops is None else imported_crops(params, clip_ids)


def _step(params: CropParams) -> Step[MediaRecord]:
    name = params.detector if params.detector_model is None else f"{params.detector} {params.detector_model}"
    cropper = FaceCropper(params)
    made = Made(STAGE, cropper.fingerprint, name, deciding(params), cropper.compatible)
    return Step(
        NAME, SCHEMA, made, CropWorker(params), Limits("faces", params.max_failed, params.max_lost), BATCH_CLIPS
    )


def _frames(media: Media) -> Content[MediaRecord]:
    def load(clip_ids: Sequence[str]) -> Iterator[tuple[str, MediaRecord]]:
        for record in media.records(clip_ids, ["frames", "timestamps"]):
            yield record.clip_id, record

    return Content(media.digests("frames_sha256"), load)


def _detection(crops: Done) -> dict[str, float]:
    clips = with_face = sampled = detected = 0
    scores = 0.0
    for row in crops.rows(["detected", "sampled", "scores"]):
        if row is not None:
            clips += 1
            with_face += row["detected"] > 0
            sampled += row["sampled"]
            detected += row["detected"]
            scores += float(np.sum(row["scores"]))
    return {
        "clips_with_face": round(with_face / max(1, clips), 6),
        "detection_rate": round(detected / max(1, sampled), 6),
        "mean_score": round(scores / max(1, detected), 6),
    }
