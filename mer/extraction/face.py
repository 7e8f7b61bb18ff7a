"""The extract_face stage: crops of the main face, kept for any number of encoders, then face features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.clips import ClipTable
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.crops import SCHEMA, from_record, to_record
from mer.encoders.face.load import load_face_encoder
from mer.errors import ClipError
from mer.extraction.features import (
    Cached,
    Content,
    EncoderWorker,
    fill_corpus,
    for_device,
    media_digests,
    write_features,
)
from mer.media.record import MediaRecord
from mer.params import ComputeParams, FaceParams
from mer.store.fill import FillReport
from mer.store.media import MediaFolder

BATCH_CLIPS = 16


@dataclass(frozen=True)
class CropWorker:
    """Finds and crops the main face of decoded clips."""

    params: FaceParams

    def setup(self) -> Callable[[Sequence[MediaRecord]], list[dict[str, Any] | ClipError]]:
        cropper = FaceCropper(self.params)
        return lambda batch: [to_record(cropper.crop(record.images(), record.timestamps)) for record in batch]


@dataclass(frozen=True)
class FaceReport:
    """What the two steps did, and how well faces were found.

    `detection` holds `clips_with_face` and `detection_rate`, shares of the clips with frames and of their sampled
    frames, and `mean_score` over the frames with a face, on the detector's scale.
    """

    crops: FillReport
    features: FillReport
    detection: dict[str, float]


def extract_face(
    clips: ClipTable, media: MediaFolder, params: FaceParams, compute: ComputeParams, out: Path
) -> FaceReport:
    """Write the face features of `clips` to the folder `out`; see `mer.extraction.features.write_features`.

    Raises:
        MerError: the detector or the encoder that `face` names cannot be loaded.
    """
    crops = _crop(clips, media, params, compute)

    def load(clip_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from zip(clip_ids, crops.cache.read([str(crops.keys[clip_id]) for clip_id in clip_ids]), strict=True)

    usable = {clip_id: None if key in crops.report.failed else key for clip_id, key in crops.keys.items()}
    features = write_features(
        "face",
        load_face_encoder(params),
        Content(usable, load),
        EncoderWorker(partial(load_face_encoder, params), _images),
        for_device(compute, params.device),
        out,
        batch_size=BATCH_CLIPS,
        with_frames=params.frames,
    )
    return FaceReport(crops.report, features, _detection(crops))


def _crop(clips: ClipTable, media: MediaFolder, params: FaceParams, compute: ComputeParams) -> Cached:
    def load(clip_ids: Sequence[str]) -> Iterator[tuple[str, MediaRecord]]:
        for record in media.iter_records(clip_ids, ["frames", "timestamps"]):
            yield record.clip_id, record

    content = Content(media_digests(clips, media, "frames_sha256"), load)
    fingerprint = FaceCropper(params).fingerprint
    return fill_corpus("face_crops", SCHEMA, fingerprint, content, CropWorker(params), compute, batch_size=BATCH_CLIPS)


def _images(record: dict[str, Any]) -> NDArray[np.uint8]:
    return from_record(record).crops


def _detection(crops: Cached) -> dict[str, float]:
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
